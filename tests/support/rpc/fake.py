"""A coordinator that answers as the test says, for tests of the client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from swit_saga import AsyncSagaClient
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc, error_pb2, saga_pb2

Answer = pb.StartSagasResponse.Item
Waited = pb.WaitSagasResponse.Item


class Cut:
    """In place of an answer: the stream of starts or waits ends, with this status if there is one."""

    def __init__(self, status: status_pb2.Status | None = None) -> None:
        self.status = status


class Fake:
    """A coordinator that does as the test says: ``answers`` are taken one by one, the last one stays.

    Attributes:
        requests: As they came; of a stream, each item's.
        metadata: Of each request's call.
        messages: Items per message of the streams, one list per stream.
        items: The items of all streams.
        withdrawn: Ids of items given up.
        open_streams: Streams of starts and waits that have not ended.
        address: Where it is served.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.messages: list[list[int]] = []
        self.items: list[Any] = []
        self.withdrawn: list[int] = []
        self.metadata: list[dict[str, Any]] = []
        self.open_streams = 0
        self.address = ""

    async def _answer(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, status_pb2.Status):
            await context.abort_with_status(rpc_status.to_status(answer))
        if answer is None:
            await asyncio.Event().wait()
        return answer

    def __getattr__(self, rpc: str) -> Any:
        return self._answer

    async def StartSagas(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        def answer(item_id: int, response: pb.StartSagaResponse) -> Any:
            return Answer(item_id=item_id, saga=response.saga, created=response.created)

        async for answers in self._stream(requests, context, "start", Answer, answer):
            yield pb.StartSagasResponse(items=answers)

    async def WaitSagas(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        def answer(item_id: int, response: pb.WaitSagaResponse) -> Any:
            return Waited(item_id=item_id, saga=response.saga, done=response.done)

        async for answers in self._stream(requests, context, "wait", Waited, answer):
            yield pb.WaitSagasResponse(items=answers)

    async def _stream(
        self, requests: Any, context: Any, ask: str, kind: type[Any], made: Callable[[int, Any], Any]
    ) -> AsyncIterator[Any]:
        messages: list[int] = []
        self.messages.append(messages)
        self.open_streams += 1
        try:
            async for answers in self._answers_of(requests, context, ask, kind, made, messages):
                yield answers
        finally:
            self.open_streams -= 1

    async def _answers_of(
        self,
        requests: Any,
        context: Any,
        ask: str,
        kind: type[Any],
        made: Callable[[int, Any], Any],
        messages: list[int],
    ) -> AsyncIterator[Any]:
        async for message in requests:
            messages.append(len(message.items))
            self.withdrawn += getattr(message, "withdrawn", ())
            for item in message.items:
                self.items.append(item)
                self.requests.append(getattr(item, ask))
                self.metadata.append(dict(context.invocation_metadata()))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, Cut):
                    if answer.status is None:
                        return
                    await context.abort_with_status(rpc_status.to_status(answer.status))
                if isinstance(answer, status_pb2.Status):
                    status = error_pb2.ItemStatus(code=answer.code, message=answer.message, details=answer.details)
                    yield [kind(item_id=item.item_id, status=status)]
                elif answer is not None:
                    yield [made(item.item_id, answer)]

    async def WatchSaga(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        for item in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
            if isinstance(item, status_pb2.Status):
                await context.abort_with_status(rpc_status.to_status(item))
            if item is None:
                await asyncio.Event().wait()
            yield item


@asynccontextmanager
async def faking(fake: Fake, **options: Any) -> AsyncIterator[AsyncSagaClient]:
    server = grpc.aio.server()
    coordinator_service_pb2_grpc.add_CoordinatorServiceServicer_to_server(fake, server)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    fake.address = f"127.0.0.1:{port}"
    try:
        async with AsyncSagaClient(fake.address, **options) as client:
            yield client
    finally:
        await server.stop(None)


def refusal(code: int, reason: str = "", retry_s: float | None = None) -> status_pb2.Status:
    made = status_pb2.Status(code=code, message="refused")
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=reason, domain="swit-saga")] if reason else []
    if retry_s is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=round(retry_s * 1e9))))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        made.details.append(packed)
    return made


BUSY = refusal(code_pb2.UNAVAILABLE, "COORDINATOR_UNAVAILABLE")
STARTED = pb.StartSagaResponse(saga=saga_pb2.Saga(id="o-1"), created=True)
GOT = pb.GetSagaResponse(saga=saga_pb2.Saga(id="o-1", state=saga_pb2.SAGA_STATE_RUNNING))
