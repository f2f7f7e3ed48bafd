"""The one door for what callers send: every field of every request is judged by a rule before anything reads it.

``rules`` are the kinds of rule, ``table`` says which field has which, ``admission`` walks a message with them.
"""

from swit_saga_server.wire.door.admission import admit, violations

__all__ = ["admit", "violations"]
