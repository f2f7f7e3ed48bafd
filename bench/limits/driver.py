"""Load, watchers and more than can be taken. ``python -m bench.limits.driver HOST:PORT...``"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from bench.drivers.loop import PAYLOAD, Order, answer_rounds
from bench.drivers.swit import FOUR, TEN
from bench.limits.flood import flood
from bench.limits.watching import Following, Watching
from swit_saga import AsyncSagaClient, Saga, Step, fixed

WAITING = Saga("waiting", [Step("order", "shop", delay="2h"), *FOUR.steps[1:]], timeout="24h")
NOISY = Saga(
    "noisy",
    [
        *(Step(f"grow{n}", "shop", action="grow") for n in range(8)),
        Step("again", "shop", retry=fixed("2s", max_attempts=100_000)),
    ],
    timeout="24h",
)
"""160 KB of history, more than gRPC keeps for who does not read; then some events every two seconds."""
STARTED_TOGETHER = 500


async def main(targets: list[str]) -> None:
    clients = [AsyncSagaClient(target) for target in targets]
    watching, following = Watching(targets[0]), Following(targets[0])
    own_ids = False
    try:
        for definition in (FOUR, TEN, WAITING, NOISY):
            await clients[0].register(definition)
        turn = itertools.cycle(clients)

        async def one(order: Order) -> None:
            saga = await next(turn).start("four", order.value, saga_id=uuid4().hex if own_ids else None)
            following.started(saga.id)
            if await saga.result(str) != order.value:
                raise ValueError(saga.id)

        async def wait_in_store(asked: Mapping[str, Any]) -> dict[str, Any]:
            """So many sagas that wait for their first step."""
            todo = iter(range(asked["sagas"]))

            async def starter() -> None:
                for _ in todo:
                    await clients[0].start("waiting", PAYLOAD)

            async with asyncio.TaskGroup() as starters:
                for _ in range(STARTED_TOGETHER):
                    starters.create_task(starter())
            return {}

        async def watch(asked: Mapping[str, Any]) -> dict[str, Any]:
            """Noisy sagas, watched."""
            sagas = [await clients[0].start("noisy", PAYLOAD) for _ in range(asked["sagas"])]
            for saga in sagas:
                while (await saga.get()).proto.current_step < len(NOISY.steps) - 1:  # noqa: ASYNC110 - once
                    await asyncio.sleep(0.1)
            return await watching.start([saga.id for saga in sagas], asked["reading"], asked["idle"])

        async def follow(asked: Mapping[str, Any]) -> dict[str, Any]:
            """The load's own sagas, watched from now on."""
            following.watchers = asked["watchers"]
            return {}

        async def ids(asked: Mapping[str, Any]) -> dict[str, Any]:
            """Whose they are from now on."""
            nonlocal own_ids
            own_ids = asked["own"]
            return {}

        async def metrics(asked: Mapping[str, Any]) -> dict[str, Any]:
            found = await clients[0].metrics()
            return {"active": found.active_sagas, "in_memory": found.working_set_size}

        others: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "wait_in_store": wait_in_store,
            "watch": watch,
            "watched": lambda asked: watching.finish(),
            "follow": follow,
            "followed": lambda asked: following.finish(),
            "ids": ids,
            "metrics": metrics,
            "flood": lambda asked: flood(targets[0], clients[0], asked["rate"], asked["seconds"]),
        }
        await answer_rounds(one, others)
    finally:
        await watching.close()
        await following.close()
        for client in clients:
            await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
