"""Watches a saga over lost connections and restarts, without gaps or duplicates."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc.aio

from swit_saga.calls import FIRST_WAIT_S, MAX_CUTS, MAX_WAIT_S, is_cut, is_passing
from swit_saga.connection import Connection
from swit_saga.durations import duration_message
from swit_saga.errors import CallError, UnavailableError, from_rpc_error
from swit_saga.ids import given_number
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.views import EventView

HEARTBEAT_S = 15.0
SILENCE_S = 2 * HEARTBEAT_S + 5
"""A stream that is silent for longer is a broken connection."""


async def watch(
    connection: Connection, codecs: Codecs, saga_id: str, *, after: int, follow: bool
) -> AsyncIterator[EventView]:
    """See ``AsyncSagaClient.watch``."""
    after = given_number(after, "after", highest=2**64 - 1)
    wait_s, cuts = FIRST_WAIT_S, 0
    while True:
        request = pb.WatchSagaRequest(
            saga_id=saga_id,
            after_sequence=after,
            follow=follow,
            heartbeat_interval=duration_message(timedelta(seconds=HEARTBEAT_S)),
        )
        try:
            async for message in _messages(connection, request):
                wait_s, cuts = FIRST_WAIT_S, 0
                if message.WhichOneof("message") == "event" and message.event.sequence > after:
                    after = message.event.sequence
                    yield EventView(message.event, codecs)
            return
        except CallError as error:
            if not is_passing(error):
                cuts += 1
                if not is_cut(error) or cuts == MAX_CUTS:
                    raise
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, MAX_WAIT_S)


async def _messages(connection: Connection, request: pb.WatchSagaRequest) -> AsyncIterator[pb.WatchSagaResponse]:
    """One stream's messages."""
    stream = connection.stubs.coordinator.WatchSaga(request, metadata=connection.metadata() or None)
    messages = aiter(stream)
    try:
        while True:
            try:
                with connection.open():
                    async with asyncio.timeout(SILENCE_S):
                        message = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError as silent:
                raise UnavailableError("the watch fell silent") from silent
            except grpc.aio.AioRpcError as failed:
                raise from_rpc_error(failed) from failed
            yield message
    finally:
        if isinstance(stream, grpc.aio.Call):
            stream.cancel()
        else:
            await stream.aclose()  # In process, or over a blocking channel.
