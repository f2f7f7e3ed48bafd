"""The participant of the project's contestants: every step returns what it was given."""

import asyncio

from swit_saga import Participant

shop = Participant("shop")


async def step(value: str) -> str:
    return value


async def undo(value: str) -> None:
    """Nothing to undo."""


for name in ("order", "stock", "pay", "ship"):
    shop.step(name)(step).compensate(undo)


async def main() -> None:
    async with shop.serve("127.0.0.1:0") as server:
        print(f"port={server.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
