"""Customers who start, watch, read, cancel and wait, through any coordinator, and write down what they see."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from swit_saga import (
    AlreadyExistsError,
    AlreadyFinishedError,
    AsyncSagaClient,
    CallError,
    OverloadedError,
    Saga,
    SagaView,
)
from swit_saga.calls import is_passing
from tests.support.soak.history import Life, Seen
from tests.support.soak.testbed import order
from tests.support.waiting import spend

T = TypeVar("T")
UNDOABLE = ("reserve", "pay", "pack")


class Customers:
    """``lives`` is the recorded history."""

    def __init__(self, clients: list[AsyncSagaClient], chance: random.Random) -> None:
        self._clients = clients
        self._chance = chance
        self._numbers = itertools.count()
        self._open = True
        self.lives: list[Life] = []

    def close(self) -> None:
        """Nobody starts anything new."""
        self._open = False

    async def register(self) -> None:
        """The definition, in its first shape."""
        await self._register(order(1))

    async def run(self, customers: int) -> None:
        """Returns after ``close``, when everything that was started has its outcome."""
        async with asyncio.TaskGroup() as group:
            for _ in range(customers):
                group.create_task(self._customer())

    async def _register(self, definition: Saga) -> None:
        await self._insist(lambda client: client.register(definition))

    async def _customer(self) -> None:
        while self._open:
            number = next(self._numbers)
            if number % 400 == 200:  # Another shape of the definition, while sagas of the former are under way.
                await self._register(order(number // 400))
            life = Life(f"s-{number}", self._order(number))
            self.lives.append(life)
            await self._live(life)

    def _order(self, number: int) -> dict[str, Any]:
        made: dict[str, Any] = {"n": number}
        if self._chance.random() < 0.3:
            made[self._chance.choice((*UNDOABLE, "ship"))] = "reject"
        if self._chance.random() < 0.05:
            made.setdefault(self._chance.choice(UNDOABLE[:2]), "stuck")
        return made

    async def _live(self, life: Life) -> None:
        starts = [self._start(life) for _ in range(self._chance.choice((1, 1, 1, 2, 3)))]
        await asyncio.gather(*starts)
        async with asyncio.TaskGroup() as group:
            if self._chance.random() < 0.3:
                for _ in range(self._chance.choice((1, 2))):
                    group.create_task(self._watch(life))
            if self._chance.random() < 0.15:
                for _ in range(self._chance.choice((1, 2))):
                    group.create_task(self._cancel(life))
            if self._chance.random() < 0.1:
                group.create_task(self._pretend(life))
            group.create_task(self._read(life))
            group.create_task(self._wait(life))

    async def _start(self, life: Life) -> None:
        async def ask(client: AsyncSagaClient) -> bool:
            return (await client.start("order", life.order, saga_id=life.saga_id)).created

        life.created += await self._insist(ask)
        life.acknowledged = True

    async def _pretend(self, life: Life) -> None:
        """A different order under the same id."""

        async def ask(client: AsyncSagaClient) -> str:
            try:
                await client.start("order", life.order | {"n": -1}, saga_id=life.saga_id)
            except AlreadyExistsError:
                return "refused"
            return "taken"

        life.impostors.append(await self._insist(ask))

    async def _read(self, life: Life) -> None:
        seen: list[Seen] = []
        life.reads.append(seen)
        for _ in range(self._chance.choice((1, 3, 6))):
            await spend(self._chance, 0.0, 0.1)
            seen.append(_seen(await self._insist(lambda client: client.get(life.saga_id))))

    async def _watch(self, life: Life) -> None:
        seen: list[tuple[int, str, bytes]] = []
        life.watches.append(seen)
        ends = False
        while not ends:
            enough = self._chance.choice((2, 5, 1_000))
            stream = self._client().watch(life.saga_id, after=seen[-1][0] if seen else 0)
            try:
                # The client goes on by itself; a customer moves on to another coordinator when one is silent.
                async with asyncio.timeout(3):
                    async for event in stream:
                        seen.append((event.sequence, event.type, event.proto.SerializeToString(deterministic=True)))
                        enough -= 1
                        if not enough:
                            break
                    else:
                        ends = True
            except TimeoutError:
                pass
            finally:
                await stream.aclose()  # type: ignore[attr-defined] # an async generator

    async def _cancel(self, life: Life) -> None:
        await spend(self._chance, 0.0, 0.4)

        async def ask(client: AsyncSagaClient) -> str:
            try:
                await client.cancel(life.saga_id, "changed my mind")
            except AlreadyFinishedError:
                return "over"
            return "accepted"

        life.cancels.append(await self._insist(ask))

    async def _wait(self, life: Life) -> None:
        async def ask(client: AsyncSagaClient) -> SagaView | None:
            saga = await client.wait(life.saga_id, timeout="3s")
            return saga if saga.is_terminal else None

        while (saga := await self._insist(ask)) is None:
            pass
        life.outcome = saga.state
        life.reads.append([_seen(saga)])

    async def _insist(self, ask: Callable[[AsyncSagaClient], Awaitable[T]]) -> T:
        """Through one coordinator or another, until one answers."""
        while True:
            try:
                return await ask(self._client())
            except OverloadedError as busy:
                await asyncio.sleep(busy.retry_after_s or 0.1)
            except CallError as error:
                if not is_passing(error):
                    raise

    def _client(self) -> AsyncSagaClient:
        return self._chance.choice(self._clients)


def _seen(saga: SagaView) -> Seen:
    content = saga.proto.SerializeToString(deterministic=True)
    return Seen(saga.proto.version, saga.state, saga.proto.definition_version, content)
