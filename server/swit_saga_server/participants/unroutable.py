"""The transport for participants nobody knows any more: every command is in doubt and tried again.

A saga may outlive a change of configuration; giving up at once would compensate it for a typing error.
"""

import asyncio
import time
from collections.abc import Sequence

from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.inputs import Unknown
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver


class Unroutable:
    """Answers *unknown* for everybody."""

    in_flight = 0

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def knows(self, participant: str, action: str) -> str | None:
        """Nobody is known here."""
        return f"there is no participant {participant!r}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        for c in commands:
            text = f"participant {c.participant!r} is not configured on this coordinator"
            now = Instant(time.time_ns() // 1000)
            error = SagaError(
                code="UNKNOWN_PARTICIPANT", message=text, type=ErrorType.SYSTEM, retryable=True, timestamp=now
            )
            answered = c.answered(Unknown(error))
            asyncio.get_running_loop().call_soon(self._deliver, c.saga_id, answered)

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """Nothing is ever out."""

    async def close(self) -> None:
        """Nothing is open."""
