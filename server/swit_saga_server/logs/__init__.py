"""Logs: one event name and fields a line. Payloads never, secrets never, locals of tracebacks never.

Every part logs by ``get_logger``, to the standard library's ``logging`` under ``swit_saga_server``: a program that
embeds a coordinator decides where it goes, as for any library. ``set_up_logs`` is for a process of our own. A line that
cannot be written is lost, and nothing else: no call here raises. Lines that come in floods are folded, see ``folding``.
"""

from swit_saga_server.logs.logger import Log, forget_folded, get_logger, set_level
from swit_saga_server.logs.set_up import set_up_logs

__all__ = ["Log", "forget_folded", "get_logger", "set_level", "set_up_logs"]
