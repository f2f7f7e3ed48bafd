"""The pipe: ``python -m bench.pipe PARTICIPANT_PORT REDIS_PORT``.

Per saga it reads one start and one wait, sends four commands and reads four answers on the participant's stream, and
writes five rounds' worth of what the coordinator writes, with the coordinator's script as it was; one round at a time,
what comes meanwhile goes into the next. It decides nothing, checks nothing, keeps no time and forgets a saga when it is
done: payloads included, it sends and writes those of the templates. What it costs is what gRPC, protobuf, asyncio and
the store cost.

Nothing of the coordinator is imported: later changes there are measured against what it sent and wrote when the
templates were made.
"""

import asyncio
import json
import secrets
import sys
import zlib
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import (
    definition_service_pb2,
    participant_stream_service_pb2,
    participant_stream_service_pb2_grpc,
)

HERE = Path(__file__).parent
PARTITIONS, ROUND = 64, 256
MESSAGE_STARTS, MESSAGE_WAITS, MESSAGE_COMMANDS = 256, 64, 256
SAGA_ID, COMMIT_ID, NONCE, EPOCH = b"I" * 32, b"C" * 16, "N" * 16, 1_790_000_000_000
"""Those of the templates; ids of sagas must be as long."""
PARTITION_AT = 3
"""Where the partition stands in a write: after the head of an array of 20."""
PREFIX, KEEP_MS, FEED_LENGTH = "swit-saga:", 1_200_000, 10_000
"""As the coordinator has them, so that every key and command is as long as its."""


@dataclass(slots=True)
class Run:
    """One saga under way.

    Attributes:
        starts: The answers of the stream that started it, and the id there.
        done: Its last write is durable.
        waits: Who waits for it: the answers of their streams, and the id there.
    """

    id: bytes
    partition: int
    item_id: int
    starts: "asyncio.Queue[Any]"
    step: int = 0
    done: bool = False
    waits: "list[tuple[asyncio.Queue[Any], int]]" = field(default_factory=list)


class Pipe:
    """The methods that the driver calls, the participant's stream, and the rounds."""

    def __init__(self, participant: str, redis: Redis) -> None:
        templates = json.loads((HERE / "templates.json").read_text())
        self._writes, self._commands, self._started, self._result = (
            [b64decode(one) for one in templates[name]] for name in ("writes", "commands", "started", "result")
        )
        self._redis = redis
        self._script: AsyncScript
        self._runs: dict[str, Run] = {}
        self._ready: deque[Run] = deque()
        self._some = asyncio.Event()
        self._out: dict[int, Run] = {}
        self._unsent: deque[Run] = deque()
        self._more = asyncio.Event()
        self._credits = 0
        self._number = 0
        self._channel = grpc.aio.insecure_channel(participant)

    def handlers(self) -> tuple[Any, ...]:
        """For the server."""
        register = grpc.unary_unary_rpc_method_handler(
            self._register,
            definition_service_pb2.RegisterDefinitionRequest.FromString,
            definition_service_pb2.RegisterDefinitionResponse.SerializeToString,
        )
        starts = grpc.stream_stream_rpc_method_handler(
            self._starts, pb.StartSagasRequest.FromString, pb.StartSagasResponse.SerializeToString
        )
        waits = grpc.stream_stream_rpc_method_handler(
            self._waits, pb.WaitSagasRequest.FromString, pb.WaitSagasResponse.SerializeToString
        )
        made = grpc.method_handlers_generic_handler
        return (
            made("swit_saga.v1.DefinitionService", {"RegisterDefinition": register}),
            made("swit_saga.v1.CoordinatorService", {"StartSagas": starts, "WaitSagas": waits}),
        )

    async def prepare(self) -> None:
        """The script as this Redis takes it, and leases that it finds in order."""
        header = "#!lua\n" if not str((await self._redis.info("server"))["redis_version"]).startswith("6.") else ""
        self._script = self._redis.register_script(header + (HERE / "round.lua").read_text())
        for partition in range(PARTITIONS):
            await self._redis.hset(f"{PREFIX}{{{partition}}}:lease", mapping={"epoch": EPOCH, "nonce": NONCE})

    # ---- the driver's calls ------------------------------------------------------------------------------------------

    async def _register(self, request: Any, context: Any) -> Any:
        made = definition_service_pb2.RegisterDefinitionResponse()
        made.definition.version = 1
        return made

    async def _starts(self, requests: Any, context: Any) -> None:
        answers: asyncio.Queue[Any] = asyncio.Queue()
        async with _beside(self._answer(answers, context, pb.StartSagasResponse, MESSAGE_STARTS)):
            async for request in requests:
                for item in request.items:
                    saga_id = item.start.saga_id
                    partition = zlib.crc32(saga_id.encode()) % PARTITIONS
                    run = self._runs[saga_id] = Run(saga_id.encode(), partition, item.item_id, answers)
                    self._ready.append(run)
                self._some.set()

    async def _waits(self, requests: Any, context: Any) -> None:
        answers: asyncio.Queue[Any] = asyncio.Queue()
        async with _beside(self._answer(answers, context, pb.WaitSagasResponse, MESSAGE_WAITS)):
            async for request in requests:
                for item in request.items:
                    run = self._runs[item.wait.saga_id]
                    if run.done:
                        self._tell(run, answers, item.item_id)
                    else:
                        run.waits.append((answers, item.item_id))

    async def _answer(self, answers: "asyncio.Queue[Any]", context: Any, response: Any, most: int) -> None:
        while True:
            items = [await answers.get()]
            while len(items) < most and not answers.empty():
                items.append(answers.get_nowait())
            await context.write(response(items=items))

    def _tell(self, run: Run, answers: "asyncio.Queue[Any]", item_id: int) -> None:
        item = pb.WaitSagasResponse.Item(item_id=item_id, done=True)
        item.saga.ParseFromString(self._result[0].replace(SAGA_ID, run.id))
        answers.put_nowait(item)
        del self._runs[run.id.decode()]

    # ---- rounds ------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Round after round, for ever."""
        while True:
            await self._some.wait()
            runs = [self._ready.popleft() for _ in range(min(len(self._ready), ROUND))]
            if not self._ready:
                self._some.clear()
            if not runs:
                continue
            writes = [self._write(run) for run in runs]
            key = f"{PREFIX}{{{runs[0].partition}}}:lease"
            verdicts = await self._script(keys=[key], args=[PREFIX, KEEP_MS, FEED_LENGTH, 0, *writes])
            if any(verdict != b"A" for verdict in verdicts):
                raise RuntimeError(f"the script said {verdicts}")
            for run in runs:
                self._apply(run)

    def _write(self, run: Run) -> bytes:
        made = bytearray(self._writes[run.step].replace(SAGA_ID, run.id))
        made[PARTITION_AT] = run.partition
        return bytes(made).replace(COMMIT_ID, secrets.token_hex(8).encode())

    def _apply(self, run: Run) -> None:
        if run.step == 0:
            item = pb.StartSagasResponse.Item(item_id=run.item_id, created=True)
            item.saga.ParseFromString(self._started[0].replace(SAGA_ID, run.id))
            run.starts.put_nowait(item)
        if run.step < len(self._commands):
            self._unsent.append(run)
            self._more.set()
            return
        run.done = True
        for answers, item_id in run.waits:
            self._tell(run, answers, item_id)

    # ---- the participant ---------------------------------------------------------------------------------------------

    async def ask(self) -> None:
        """One stream, for ever."""
        stub = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(self._channel)
        call: Any = stub.Stream()
        async with _beside(self._send(call)):
            while (response := await call.read()) is not grpc.aio.EOF:
                self._hear(response)
        raise RuntimeError(f"the stream ended: {await call.code()}")

    def _hear(self, response: Any) -> None:
        for said in response.answers:
            run = self._out.pop(said.command_id)
            if not said.execute.HasField("completed"):
                raise RuntimeError(f"the participant said {said}")
            run.step += 1
            self._ready.append(run)
        self._credits = response.credits
        self._some.set()
        self._more.set()

    async def _send(self, call: Any) -> None:
        while True:
            request = participant_stream_service_pb2.StreamRequest()
            while self._unsent and self._credits > 0 and len(request.commands) < MESSAGE_COMMANDS:
                run = self._unsent.popleft()
                self._number += 1
                self._credits -= 1
                self._out[self._number] = run
                message = request.commands.add(command_id=self._number)
                message.execute.ParseFromString(self._commands[run.step].replace(SAGA_ID, run.id))
            if request.commands:
                await call.write(request)
            else:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def _beside(body: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """``body`` runs while the context lasts; its failure is the context's, too."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(body)
        yield
        task.cancel()


async def main(participant: str, redis_port: int) -> None:
    pipe = Pipe(participant, Redis(port=redis_port))
    await pipe.prepare()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(pipe.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"port={port}", flush=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pipe.commit())
        tasks.create_task(pipe.ask())


if __name__ == "__main__":
    asyncio.run(main(f"127.0.0.1:{sys.argv[1]}", int(sys.argv[2])))
