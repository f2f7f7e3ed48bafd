"""A participant's own server and a connection to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from swit_saga import Participant
from swit_saga.v1.participant_service_pb2_grpc import ParticipantServiceStub


@asynccontextmanager
async def serve(participant: Participant) -> AsyncIterator[Any]:
    async with (
        participant.serve("127.0.0.1:0") as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        yield ParticipantServiceStub(channel)
