"""What a participant's own process is told of its handlers, on the logger ``swit_saga.participant``.

Every record says which saga, step and attempt, in its text and as fields (``extra``); no payload is in any. Python
shows warnings and errors on stderr where nobody has set logging up.
"""

import logging
from contextlib import suppress
from typing import Any

from swit_saga.participant.failures import describe, trace_of
from swit_saga.v1.command_pb2 import CommandContext

log = logging.getLogger("swit_saga.participant")


MOST = 16_384
"""Characters of a text that others wrote: a line of megabytes keeps the event loop, and helps nobody."""


def _cut(text: str) -> str:
    half = MOST // 2
    return text if len(text) <= MOST else f"{text[:half]}\n… [{len(text) - MOST:,} characters cut]\n{text[-half:]}"


class Journal:
    """Of one participant. Writing never raises: a log that cannot be written costs the line, and no answer."""

    def __init__(self, participant: str) -> None:
        """``participant`` is its name."""
        self._participant = participant
        self._blocking: set[str] = set()

    def failed(self, command: CommandContext, what: str, error: BaseException) -> None:
        """The outcome of a call is unknown, or its output is lost: an error, with the traceback."""
        said, trace = _cut(describe(error)), _cut(trace_of(error).rstrip())
        self._write(logging.ERROR, command, f"{what}: {said}\n{trace}", error=said)

    def rejected(self, command: CommandContext, code: str, message: str = "") -> None:
        """A handler said no, or a command came too late."""
        self._write(logging.INFO, command, _cut(f"{code}: {message}" if message else code), error=code)

    def refused(self, command: CommandContext, code: str, message: str) -> None:
        """No handler can be called for this: the program, a definition or a configuration is wrong."""
        self._write(logging.WARNING, command, f"{code}: {message}", error=code)

    def blocked(self, command: CommandContext, took_s: float) -> None:
        """An async handler kept the event loop to itself. Said once for an action."""
        if command.action in self._blocking:
            return
        self._blocking.add(command.action)
        text = f"its async handler kept the event loop for {took_s:.1f} s, and with it every other step here"
        self._write(logging.WARNING, command, f"{text}; make it a plain function, which runs in a thread, or await")

    def cut_short(self, running: int, within_s: float) -> None:
        """Handlers that still run when serving ends."""
        with suppress(Exception):
            text = "participant %s: %d handlers still ran %g s after it was stopped; their outcomes are unknown"
            log.warning(text, self._participant, running, within_s)

    def stray(self, error: BaseException) -> None:
        """Something that a handler left behind on the event loop would have ended the program."""
        with suppress(Exception):
            text = "participant %s: %s in a task or callback that a handler left behind; serving goes on\n%s"
            log.error(text, self._participant, describe(error), trace_of(error).rstrip())

    def fell(self) -> None:
        """A call that gRPC cannot take ended the server, which was made anew."""
        with suppress(Exception):
            text = "participant %s: a call that gRPC cannot take (see its own line) ended the server; it listens again"
            log.error(text, self._participant)

    def _write(self, level: int, command: CommandContext, text: str, **more: Any) -> None:
        with suppress(Exception):
            if not log.isEnabledFor(level):
                return
            fields = {
                "participant": self._participant,
                "saga_id": command.saga_id,
                "step_id": command.step_id,
                "action": command.action,
                "attempt": command.attempt,
                **more,
            }
            where = f"{self._participant}.{command.action}, saga {command.saga_id}, step {command.step_id}"
            log.log(level, "%s, attempt %d: %s", where, command.attempt, text, extra=fields)
