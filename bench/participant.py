"""The participant of the project's contestants: every step returns what it was given; ``pay`` may say no."""

import asyncio

from bench.drivers.loop import REFUSED, STEPS
from swit_saga import Participant, Reject

shop = Participant("shop")


async def step(value: str) -> str:
    return value


async def pay(value: str) -> str:
    if value == REFUSED:
        raise Reject("REFUSED")
    return value


async def undo(value: str) -> None:
    """Nothing to undo."""


for name in STEPS:
    shop.step(name)(pay if name == "pay" else step).compensate(undo)


async def main() -> None:
    async with shop.serve("127.0.0.1:0") as server:
        print(f"port={server.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
