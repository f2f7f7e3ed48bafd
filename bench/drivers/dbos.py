"""DBOS is a library: the workflows run in the process that makes the load. ``python -m bench.drivers.dbos URL``"""

import asyncio
import sys

from dbos import DBOS, DBOSConfig

from bench.drivers.loop import REFUSED, Order, answer_rounds


class Refused(Exception):
    """The step will not."""


@DBOS.step()
async def step(name: str, value: str) -> str:
    if name == "pay" and value == REFUSED:
        raise Refused(name)
    return value


@DBOS.step()
async def undo(name: str, value: str) -> None:
    """Nothing to undo."""


@DBOS.workflow()
async def saga(steps: list[str], value: str) -> str:
    done: list[tuple[str, str]] = []
    try:
        for name in steps:
            value = await step(name, value)
            done.append((name, value))
    except Refused:
        for name, given in reversed(done):
            await undo(name, given)
        raise
    return value


async def main() -> None:
    async def one(order: Order) -> None:
        handle = await DBOS.start_workflow_async(saga, list(order.steps), order.value)
        try:
            found = await handle.get_result()
        except Exception:
            assert order.is_refused
        else:
            assert found == order.value
            assert not order.is_refused

    await answer_rounds(one)


if __name__ == "__main__":
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": sys.argv[1],
        "log_level": "ERROR",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    asyncio.run(main())
