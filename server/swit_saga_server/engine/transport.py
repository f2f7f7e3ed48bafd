"""The seam between the engine and the participants: commands go out, answers come back, each in its own time."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from swit_saga_server.core.inputs import Answered
from swit_saga_server.engine.commands import ParticipantCommand

Deliver: TypeAlias = Callable[[str, Answered], None]
"""Called with the saga's id and the answer to one send, on the engine's event loop. (The engine takes repeats, too.)"""


class Transport(Protocol):
    """Carries commands to participants. One per way to reach them; a router picks by participant name."""

    @property
    def in_flight(self) -> int:
        """Sends that are not over: neither answered nor cancelled."""
        ...

    def knows(self, participant: str, action: str) -> str | None:
        """None if the participant can be asked for this action as far as is known, else what is wrong with it."""
        ...

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """Set the commands on their way and return at once; never raises.

        Every command is answered by ``Deliver`` exactly once by its not-after time at the latest, with ``Unknown`` if
        nothing certain came. (The engine survives silence too: see ``core.machine.due_at``.)
        """
        ...

    def cancel(self, command_ids: Sequence[str]) -> None:
        """The answers to these (``ParticipantCommand.command_id``) no longer matter; best-effort, never raises."""
        ...

    async def close(self) -> None:
        """Cancel what is out and let go of connections. Safe to call twice."""
        ...
