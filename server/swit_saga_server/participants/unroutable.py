"""The transport for participants nobody knows any more: every command is in doubt and tried again.

A saga may outlive a change of configuration; giving up at once would compensate it for a typing error.
"""

import asyncio
from collections.abc import Callable, Sequence

from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.inputs import Unknown
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.ledger import Ledger, wall_clock


class Unroutable:
    """Answers *unknown* for everybody. Its sends stay queued until then, for there is nothing to hand them over to."""

    def __init__(self, deliver: Deliver, clock: Callable[[], Instant] = wall_clock) -> None:
        """``deliver`` gets the answers; for ``clock`` see ``Ledger``."""
        self._ledger = Ledger(deliver, clock=clock)

    @property
    def in_flight(self) -> int:
        """Commands whose answer is about to be delivered."""
        return self._ledger.in_flight

    def knows(self, participant: str, action: str) -> str | None:
        """Nobody is known here."""
        return f"there is no participant {participant!r}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        for send in self._ledger.enter(commands):
            text = f"participant {send.command.participant!r} is not configured on this coordinator"
            error = SagaError(code="UNKNOWN_PARTICIPANT", message=text, type=ErrorType.SYSTEM, retryable=True)
            asyncio.get_running_loop().call_soon(self._ledger.answer, send, Unknown(error))

    def cancel(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.cancel``."""
        self._ledger.cancel(command_ids)

    async def close(self) -> None:
        """Nothing more is delivered."""
        self._ledger.close()
