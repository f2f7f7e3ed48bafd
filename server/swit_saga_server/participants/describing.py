"""Asking participants what they can do. Nothing waits for the answer, and nothing is refused for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from swit_saga.v1.participant_stream_service_pb2 import DescribeResponse
from swit_saga_server.core.texts import printable
from swit_saga_server.logs import get_logger
from swit_saga_server.participants.connection import CallFailed
from swit_saga_server.tasks import end

log = get_logger(__name__)

DESCRIBE_S = 5.0
MAX_ACTIONS, MAX_NAME = 10_000, 200
"""Actions of one participant that are looked at, and the characters of a name."""

Offer: TypeAlias = Callable[[str, Callable[[], Mapping[str, bool]]], None]
"""Is given a participant's name and, to be called, its actions: whether each can be undone."""


class Describing:
    """Asks participants over the network, each once per connection."""

    def __init__(self, offer: Offer) -> None:
        """``offer`` is told what they say."""
        self._offer = offer
        self._asking: dict[str, asyncio.Task[None]] = {}

    def reached(self, participant: str, describe: Callable[[float], Awaitable[DescribeResponse]]) -> None:
        """It is there, perhaps in a new version: ask it, unless that is under way. Returns at once."""
        if participant not in self._asking:
            task = self._asking[participant] = asyncio.create_task(self._ask(participant, describe))
            task.add_done_callback(lambda _: self._asking.pop(participant))

    async def close(self) -> None:
        """Ask no more."""
        await end(list(self._asking.values()))

    async def _ask(self, participant: str, describe: Callable[[float], Awaitable[DescribeResponse]]) -> None:
        try:
            answer = await describe(DESCRIBE_S)
        except CallFailed as failed:  # It need not serve this.
            log.debug("participant_not_described", participant=participant, code=failed.code)
            return
        actions = {printable(action.name, MAX_NAME): action.compensatable for action in answer.actions[:MAX_ACTIONS]}
        self._offer(participant, lambda: actions)
