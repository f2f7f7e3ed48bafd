"""A limit: four unary calls in a row, straight to the participant. ``python -m bench.drivers.raw HOST:PORT``"""

import asyncio
import itertools
import sys
from typing import Any

import grpc.aio

from bench.drivers.loop import Order, answer_rounds
from swit_saga.v1 import command_pb2, participant_service_pb2, participant_service_pb2_grpc, payload_pb2


async def main(target: str) -> None:
    numbers = itertools.count()
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = participant_service_pb2_grpc.ParticipantServiceStub(channel)

        async def one(order: Order) -> None:
            number = next(numbers)
            value = payload_pb2.Payload(content_type="text/plain; charset=utf-8", text=order.value)
            for action in order.steps:
                command = command_pb2.CommandContext(
                    saga_id=str(number), step_id=action, participant="shop", action=action, attempt=1,
                    idempotency_key=f"{number}/{action}",
                )  # fmt: skip
                request = participant_service_pb2.ExecuteRequest(command=command, input=value)
                response = await stub.Execute(request, timeout=30)
                value = response.completed.output

        await answer_rounds(one)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
