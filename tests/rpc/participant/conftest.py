"""Every story of a participant is told twice: a call per command, and by the batched stream."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from swit_saga import Participant
from tests.support.participant.serve import by_calls, by_stream


class Connect(Protocol):
    """``async with connect(port) as stub``: the two calls, whichever way they go."""

    def __call__(self, port: int) -> AbstractAsyncContextManager[Any]: ...


@pytest.fixture(params=[by_calls, by_stream], ids=["calls", "stream"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """A connection to a participant's server."""
    made: Connect = request.param
    return made


@pytest.fixture
def serve(connect: Connect) -> Any:
    """``async with serve(participant) as stub``: a server and a connection to it."""

    @asynccontextmanager
    async def serve_and_connect(participant: Participant) -> AsyncIterator[Any]:
        async with participant.serve("127.0.0.1:0") as serving, connect(serving.port) as stub:
            yield stub

    return serve_and_connect
