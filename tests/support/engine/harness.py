"""An engine on a real SQLite store, with a transport that the test answers for and a store that fails when told to.

Engines of several versions share a store that is simulated: a real one of one file takes one process only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Cancel
from swit_saga_server.core.model import Saga, Settings, TraceContext
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.units import MILLISECOND, MINUTE, SECOND
from swit_saga_server.engine.answers import future_of
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.items import StartResult
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.store.assembled import AssembledStore
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import Verdict, Write
from swit_saga_server.store.digest import digest
from swit_saga_server.store.sqlite import SqliteStore
from swit_saga_server.store.sqlite.clock import system_clock
from tests.support.core.drive import RETRY, chain
from tests.support.invariants import check_history, require
from tests.support.simulation.store import SimStore

FAST = replace(RETRY, initial_delay=20 * MILLISECOND, max_delay=20 * MILLISECOND)
SETTINGS = Settings(timeout=10 * MINUTE, step_timeout=5 * SECOND, retry_policy=FAST, compensation_retry_policy=FAST)


class _Faulty(AssembledStore):
    """A store whose commits can be held up, and whose replies can be lost before or after the write."""

    def _begin(self) -> None:
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self._begun = asyncio.Event()
        self.lose_after = 0
        self.lose_before = 0
        self.rounds: list[list[Write]] = []
        self.durable: dict[str, Saga] = {}

    async def round_begun(self, number: int) -> None:
        """Until the ``number``-th commit has been asked for."""
        async with asyncio.timeout(10):
            while len(self.rounds) < number:
                self._begun.clear()
                await self._begun.wait()

    async def commit(self, writes: Sequence[Write], leases: Any) -> Sequence[Verdict]:
        self.rounds.append(list(writes))
        self._begun.set()
        await self.open_gate.wait()
        if self.lose_before:
            self.lose_before -= 1
            raise StoreUnavailable("lost before")
        verdicts = await super().commit(writes, leases)
        for write, verdict in zip(writes, verdicts, strict=True):
            if verdict in (Verdict.APPLIED, Verdict.ALREADY_APPLIED):
                self.durable[write.saga.id] = write.saga
        if self.lose_after:
            self.lose_after -= 1
            raise StoreUnavailable("lost after")
        return verdicts


class FaultyStore(_Faulty, SqliteStore):
    """On a real file."""

    def __init__(self, path: Path, partitions: int = 1) -> None:
        super().__init__(path, partitions=partitions)
        self._begin()


class VersionStore(_Faulty, SimStore):
    """Of one version; ``as_version`` is the same store of another, with the same gate and faults."""

    def __init__(self, codec: Codec, partitions: int = 1) -> None:
        super().__init__(partitions, system_clock, Random(1), codec=codec)
        self._begin()


class ByHand:
    """A transport that keeps the commands for the test to answer, and checks invariant 6 on each."""

    def __init__(self, store: FaultyStore | VersionStore) -> None:
        self._store = store
        self.sent: list[ParticipantCommand] = []
        self._arrived = asyncio.Event()
        self.open: set[str] = set()
        self.cancelled: list[str] = []

    @property
    def in_flight(self) -> int:
        return len(self.open)

    def knows(self, participant: str, action: str) -> str | None:
        return None

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        for c in commands:
            saga = self._store.durable.get(c.saga_id)
            require(6, saga is not None, f"{c.command_id} was sent before its saga was durable")
            assert saga is not None
            step = saga.steps[c.step_index]
            call = step.call if c.kind is Kind.EXECUTE else step.compensation.call  # type: ignore[union-attr]
            require(6, call.in_flight and call.attempts == c.attempt, f"{c.command_id} was sent without its intent")
            self.open.add(c.command_id)
        self.sent += commands
        self._arrived.set()

    def cancel(self, command_ids: Sequence[str]) -> None:
        self.open -= set(command_ids)
        self.cancelled += command_ids

    async def close(self) -> None:
        self.open.clear()

    async def next(self, number: int) -> ParticipantCommand:
        """The ``number``-th command ever sent, from 0."""
        async with asyncio.timeout(10):
            while len(self.sent) <= number:
                self._arrived.clear()
                await self._arrived.wait()
        return self.sent[number]


class Bench:
    """The engine under test."""

    def __init__(self, store: FaultyStore | VersionStore, options: EngineOptions) -> None:
        self.store = store
        self.transport = ByHand(self.store)
        self.options = options
        self.engine: Engine = self.make_engine()
        self.definition: Definition = chain("a", "b")

    def make_engine(self) -> Engine:
        return Engine(self.store, self.transport, self.options, Environment())

    def saga(self, saga_id: str, fingerprint: str = "f", definition: Definition | None = None) -> Saga:
        d = definition or self.definition
        return new_saga(
            StartRequest(), d, saga_id=saga_id, version=0, digest=digest(d), fingerprint=fingerprint,
            defaults=SETTINGS, trace=TraceContext(), source="test", now=self.engine.env.clock.now(),
        )  # fmt: skip

    async def begin(self, saga_id: str, fingerprint: str = "f") -> tuple[Saga, bool]:
        return await self.start(self.saga(saga_id, fingerprint), self.definition)

    async def start(self, saga: Saga, definition: Definition) -> tuple[Saga, bool]:
        made: asyncio.Future[StartResult] = asyncio.get_running_loop().create_future()
        self.engine.offer(saga, definition, future_of(made))
        return await made

    async def cancel(self, saga_id: str, reason: str) -> Saga:
        return await self.engine.ask(saga_id, Cancel(reason))

    async def command(self, step_id: str) -> ParticipantCommand:
        """The first command for a step."""
        number = 0
        while (c := await self.transport.next(number)).step_id != step_id:
            number += 1
        return c

    def answer(self, c: ParticipantCommand, answer: Answer) -> None:
        self.transport.open.discard(c.command_id)
        self.engine.deliver(c.saga_id, c.answered(answer))

    async def until(self, saga_id: str, holds: Callable[[Saga], bool]) -> Saga:
        """Wait, by the feed, until the applied saga is so."""
        subscription = self.engine.feed.subscribe(saga_id)
        try:
            async with asyncio.timeout(15):
                while True:
                    saga: Saga = await self.engine.get(saga_id)
                    if holds(saga):
                        return saga
                    await subscription.wait(0.5)
        finally:
            self.engine.feed.unsubscribe(saga_id, subscription)

    async def check(self, saga_id: str) -> None:
        """The recorded history, against the invariants."""
        (saga,) = await self.store.load([saga_id])
        require(1, saga is not None, f"{saga_id} is lost")
        assert saga is not None
        check_history(saga, await self.store.events(saga_id, 0, 1_000), self.definition)


def over(saga: Saga) -> bool:
    return saga.state.is_terminal


@asynccontextmanager
async def bench(
    folder: Path, *, store: FaultyStore | VersionStore | None = None, owner: str = "test", **options: Any
) -> AsyncIterator[Bench]:
    made = Bench(store or FaultyStore(folder / "saga.db"), EngineOptions(owner=owner, **options))
    await made.store.open()
    await made.engine.start()
    try:
        yield made
    finally:
        made.store.open_gate.set()
        await made.engine.stop(0.0)
        if store is None:
            await made.store.close()
        if made.engine.failure is not None:
            raise made.engine.failure  # Whatever the test made of its silence.
