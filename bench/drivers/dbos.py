"""DBOS is a library: the workflows run in the process that makes the load. ``python -m bench.drivers.dbos URL``"""

import asyncio
import sys

from dbos import DBOS, DBOSConfig

from bench.drivers.loop import PAYLOAD, answer_rounds


@DBOS.step()
async def step(name: str, value: str) -> str:
    return value


@DBOS.step()
async def undo(name: str, value: str) -> None:
    """Nothing to undo."""


@DBOS.workflow()
async def four(value: str) -> str:
    done: list[tuple[str, str]] = []
    try:
        for name in ("order", "stock", "pay", "ship"):
            done.append((name, value))
            value = await step(name, value)
    except Exception:
        for name, given in reversed(done):
            await undo(name, given)
        raise
    return value


async def main() -> None:
    async def one() -> None:
        handle = await DBOS.start_workflow_async(four, PAYLOAD)
        assert await handle.get_result() == PAYLOAD

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
