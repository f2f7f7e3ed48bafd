"""Waits for a saga, in slices: however long a wait lasts, no single call does."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from swit_saga.connection import Connection
from swit_saga.durations import DurationLike, duration_message, named_duration
from swit_saga.errors import TimedOutError, UnavailableError
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.views import SagaView, state_values
from swit_saga.waits import WAITS

WAIT_SLICE_S = 60.0
ANSWER_S = 5.0
"""What a wait may take longer than it was asked to, to reach the coordinator and back."""


class Waiting:
    """The waits of one client."""

    def __init__(self, connection: Connection, codecs: Codecs, *, batched: bool) -> None:
        """Wait through ``connection``; ``batched`` says whether waits under way at the same time share a stream."""
        self._connection = connection
        self._codecs = codecs
        self._batched = batched

    async def wait(
        self, saga_id: str, timeout: DurationLike | None, states: Iterable[str], view: "pb.SagaView.ValueType"
    ) -> tuple[SagaView, bool]:
        """Until the saga has its outcome, is in one of ``states``, or ``timeout`` is over.

        Returns:
            The saga as it then is, and whether what was waited for has come.

        Raises:
            NotFoundError: There is no such saga.
            UnavailableError, TimedOutError: The coordinator could not be asked, and the time is over.
        """
        connection, loop = self._connection, asyncio.get_running_loop()
        until = loop.time() + named_duration(timeout, "timeout").total_seconds() if timeout is not None else None
        wanted = state_values(states)
        while True:
            left_s = WAIT_SLICE_S if until is None else min(max(until - loop.time(), 0.0), WAIT_SLICE_S)
            request = pb.WaitSagaRequest(
                saga_id=saga_id,
                states=wanted,
                timeout=duration_message(timedelta(seconds=max(left_s, 0.001))),
                view=view,
            )
            rpc = connection.shared(WAITS) if self._batched else connection.stubs.coordinator.WaitSaga
            try:
                response = await connection.call(rpc, request, left_s + min(connection.timeout_s, ANSWER_S))
            except (UnavailableError, TimedOutError):
                if until is not None and loop.time() >= until:
                    raise
                continue
            saga = SagaView(response.saga, self._codecs)
            done = response.done or saga.is_terminal
            if done or (until is not None and loop.time() >= until):
                return saga, done
