"""Sagas by the project's own client. ``python -m bench.drivers.swit HOST:PORT [--unary]``"""

import asyncio
import sys

from bench.drivers.loop import REFUSED, STEPS, Order, answer_rounds
from swit_saga import AsyncSagaClient, Saga, SagaClientError, SagaCompensated, Step

FOUR = Saga("four", [Step(name, "shop") for name in STEPS[:4]])
TEN = Saga("ten", [Step(name, "shop") for name in STEPS])


async def main(target: str, unary: bool) -> None:
    async with AsyncSagaClient(target, batch_starts=not unary, batch_waits=True) as client:
        await client.register(FOUR)
        await client.register(TEN)

        async def one(order: Order) -> None:
            saga = await client.start("ten" if order.ten else "four", order.value)
            try:
                result = await saga.result(str)
            except SagaCompensated:
                result = REFUSED
            if result != order.value:
                raise SagaClientError(f"{saga.id} gave {result!r}")

        await answer_rounds(one)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], "--unary" in sys.argv))
