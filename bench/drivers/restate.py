"""Calls of Restate's ingress, answered when the saga is over. ``python -m bench.drivers.restate PORT SERVICE``"""

import asyncio
import sys

import aiohttp

from bench.drivers.loop import PAYLOAD, answer_rounds


async def main(port: str, service: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one() -> None:
            async with session.post(f"http://127.0.0.1:{port}/{service}/four", json=PAYLOAD) as response:
                assert response.status == 200, await response.text()
                assert await response.json() == PAYLOAD

        await answer_rounds(one)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
