"""The exit codes of every command, in one place. docs/cli.md has the same table."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    """Done. Of ``serve`` and ``dev``: after a signal, drained and closed."""
    FAILED = 1
    """Refused by the coordinator, or failed."""
    USAGE = 2
    """What was typed cannot be used."""
    NOT_COMPLETED = 3
    """Of ``start --wait``: the saga ended, and not as completed."""
    UNREACHABLE = 4
    """The coordinator could not be reached, or did not answer in time."""
    INTERRUPTED = 130
    """Ctrl-C, as shells say it: 128 + SIGINT."""
    NOBODY_READS = 141
    """Whoever read the output has gone, as in ``| head -1``: 128 + SIGPIPE."""
