"""The participant under strain: the benchmark's steps, ``grow`` with a long answer, ``again`` which always fails."""

import asyncio

from bench.participant import shop

LONG = "y" * 20_000


@shop.step("grow")
async def grow(value: str) -> str:
    return LONG


@shop.step("again")
async def again(value: str) -> str:
    raise RuntimeError("try again")


async def main() -> None:
    async with shop.serve("127.0.0.1:0") as server:
        print(f"port={server.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
