"""Calls of Restate's ingress, answered when the saga is over. ``python -m bench.drivers.restate PORT SERVICE``"""

import asyncio
import sys

import aiohttp

from bench.drivers.loop import Order, answer_rounds

REFUSED_STATUS = 409
"""With which the service's rejection comes out, see ``restate_service``."""


async def main(port: str, service: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(order: Order) -> None:
            handler = "ten" if order.ten else "four"
            async with session.post(f"http://127.0.0.1:{port}/{service}/{handler}", json=order.value) as response:
                if order.is_refused:
                    assert response.status == REFUSED_STATUS, await response.text()
                else:
                    assert response.status == 200, await response.text()
                    assert await response.json() == order.value

        await answer_rounds(one)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
