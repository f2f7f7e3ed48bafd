"""CoordinatorService over a real connection: what it answers, and how it refuses."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from swit_saga import (
    AlreadyExistsError,
    AlreadyFinishedError,
    AsyncSagaClient,
    InvalidRequestError,
    NotFoundError,
    Payload,
    Saga,
    SagaCompensated,
    SagaFailed,
    Step,
    UnavailableError,
    UnsupportedError,
)
from swit_saga.errors import from_rpc_error
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import (
    coordinator_service_pb2_grpc,
    definition_pb2,
    event_service_pb2_grpc,
    operator_service_pb2,
    operator_service_pb2_grpc,
)
from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.units import Instant
from swit_saga_server.rpc.serving import SERVICES
from tests.support.rpc.serve import ORDER, serve
from tests.support.waiting import eventually

both = pytest.mark.parametrize("batch", [False, True], ids=["unary", "stream"])


@both
async def test_start_watch_result(tmp_path, batch):
    async with serve(tmp_path, batch=batch) as s:
        assert await s.client.register(ORDER) == 1
        assert await s.client.register(ORDER) == 1, "the same content keeps its version"
        handle = await s.client.start("order", {"n": 1}, saga_id="o-1", labels={"region": "eu"})
        assert handle.created
        assert not (await s.client.start("order", {"n": 1}, saga_id="o-1", labels={"region": "eu"})).created
        events = [e async for e in handle.watch()]
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "saga.completed"
        assert await handle.result() == {"paid": True}
        assert [e.sequence async for e in handle.watch(after=4)] == [5, 6]


async def test_a_different_start_under_the_same_id_is_refused(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.start(ORDER, {"n": 1}, saga_id="o-1")
        with pytest.raises(AlreadyExistsError) as refused:
            await s.client.start(ORDER, {"n": 2}, saga_id="o-1")
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SAGA_ALREADY_EXISTS")
        assert refused.value.fields["saga_id"] == "o-1"


async def test_outcomes_are_raised_by_result_only(tmp_path):
    async with serve(tmp_path) as s:
        handle = await s.client.start(ORDER, {"pay": "rejected"})
        saga = await handle.wait()
        assert saga.state == "compensated"
        with pytest.raises(SagaCompensated) as outcome:
            await handle.result()
        assert outcome.value.saga.error is not None
        assert outcome.value.saga.error.code == "NO_FUNDS"
        failed = await s.client.start(ORDER, {"pay": "rejected", "release": "rejected"})
        with pytest.raises(SagaFailed):
            await failed.result()


async def test_an_ordinary_exception_is_unknown_and_its_traceback_on_record(tmp_path):
    async with serve(tmp_path) as s:
        handle = await s.client.start(ORDER, {"pay": "broken"})
        saga = await handle.wait(timeout="20s")
        assert saga.state == "compensated"
        assert [name for name, _ in s.shop.calls].count("pay") == 3
        assert "refund" in [name for name, _ in s.shop.calls], "it may have happened, so it is undone"
        error = saga.steps[1].error
        assert error is not None
        assert error.cause is not None
        assert "RuntimeError: broken" in error.cause.proto.stack_trace


@both
async def test_cancel(tmp_path, batch):
    async with serve(tmp_path, batch=batch) as s:
        slow = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="1h")])
        handle = await s.client.start(slow, {"n": 1})
        assert (await handle.wait(states=["step_completed"])).state == "step_completed"
        assert (await handle.cancel("changed my mind")).proto.stop_reason == "changed my mind"
        assert (await handle.wait()).state == "cancelled"
        assert (await handle.cancel("again")).state == "cancelled"
        done = await s.client.start(ORDER, {})
        await done.wait()
        with pytest.raises(AlreadyFinishedError) as refused:
            await done.cancel()
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


@both
async def test_wait_answers_not_yet(tmp_path, batch):
    async with serve(tmp_path, batch=batch) as s:
        handle = await s.client.start(Saga("slow", [Step("reserve", "shop", delay="1h")]))
        assert (await handle.wait(timeout="50ms")).state == "step_completed"
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        response = await stub.WaitSaga(pb.WaitSagaRequest(saga_id=handle.id), timeout=0.6)
        assert not response.done, "answered before the call's own deadline"


async def test_list_filters_and_pages(tmp_path):
    async with serve(tmp_path) as s:
        for i in range(7):
            handle = await s.client.start(ORDER, {"pay": "rejected" if i % 2 else ""}, labels={"odd": str(i % 2)})
            await handle.wait()
        assert len([x async for x in s.client.list(page_size=2)]) == 7
        assert len([x async for x in s.client.list(states=["compensated"], page_size=2)]) == 3
        assert len([x async for x in s.client.list(labels={"odd": "0"})]) == 4
        assert len([x async for x in s.client.list(definitions=["order"], metadata={"team": "shop"})]) == 7
        assert not [x async for x in s.client.list(definitions=["other"])]
        with pytest.raises(InvalidRequestError) as refused:
            [x async for x in s.client.list(order_by="name")]
        assert refused.value.violations[0][0] == "order_by"
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        page = await stub.ListSagas(pb.ListSagasRequest(page_size=2))
        with pytest.raises(grpc.aio.AioRpcError) as mixed:
            await stub.ListSagas(pb.ListSagasRequest(page_token=page.next_page_token, filter=pb.SagaFilter(stuck=True)))
        assert mixed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("call", ["get", "cancel", "wait"])
@both
async def test_unknown_saga(tmp_path, call, batch):
    async with serve(tmp_path, batch=batch) as s:
        with pytest.raises(NotFoundError) as refused:
            await getattr(s.client, call)("nope")
        assert (refused.value.reason, refused.value.fields) == ("SAGA_NOT_FOUND", {"saga_id": "nope"})
        with pytest.raises(NotFoundError):
            [e async for e in s.client.watch("nope")]


async def test_watch_beyond_the_latest_event(tmp_path):
    async with serve(tmp_path) as s:
        handle = await s.client.start(ORDER, {})
        await handle.wait()
        with pytest.raises(InvalidRequestError) as refused:
            [e async for e in handle.watch(after=99)]
        assert refused.value.reason == "CURSOR_OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.StartSagaRequest(), "definition_id"),
        (pb.StartSagaRequest(definition_id="order", saga_id="a/b"), "saga_id"),
        (pb.StartSagaRequest(definition_id="order", saga_id="x" * 201), "saga_id"),
        (pb.StartSagaRequest(definition_id="order", labels={str(i): "" for i in range(9)}), "labels"),
        (pb.StartSagaRequest(definition_id="order", labels={"k": "v" * 201}), "labels[k]"),
        (pb.StartSagaRequest(definition_id="order", initial_data=Payload(text="x")), "initial_data.content_type"),
        (
            pb.StartSagaRequest(definition=definition_pb2.SagaDefinition(id="x")),
            "definition.steps",
        ),
        (
            pb.StartSagaRequest(
                definition=definition_pb2.SagaDefinition(
                    id="x", steps=[definition_pb2.StepDefinition(id="a", participant="nobody")]
                )
            ),
            "definition.steps[0].participant",
        ),
        (
            pb.StartSagaRequest(
                definition=definition_pb2.SagaDefinition(
                    id="x", steps=[definition_pb2.StepDefinition(id="a", participant="shop", action="dance")]
                )
            ),
            "definition.steps[0].participant",
        ),
    ],
    ids=str,
)
async def test_bad_starts_name_the_field_and_leave_nothing(tmp_path, request_, field):
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.StartSaga(request_)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        bad = error_details_pb2.BadRequest()
        status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
        assert status is not None
        assert any(d.Unpack(bad) for d in status.details)
        assert field in [v.field for v in bad.field_violations]
        assert not [x async for x in s.client.list()]


async def test_unsupported_fields_are_refused(tmp_path):
    async with serve(tmp_path) as s:
        proto = ORDER.to_proto()
        proto.compensation_strategy = definition_pb2.COMPENSATION_STRATEGY_PARALLEL
        proto.steps[1].depends_on.append("reserve")
        proto.steps[1].kind = definition_pb2.STEP_KIND_PIVOT
        with pytest.raises(UnsupportedError) as refused:
            await s.client.register(proto)
        assert refused.value.reason == "UNSUPPORTED_FIELD"
        assert {f for f, _ in refused.value.violations} == {
            "compensation_strategy",
            "steps[1].depends_on",
            "steps[1].kind",
        }


async def test_what_is_not_built_says_so(tmp_path):
    async with serve(tmp_path) as s:
        operators = operator_service_pb2_grpc.OperatorServiceStub(s.channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await operators.RetrySaga(operator_service_pb2.RetrySagaRequest(saga_id="x"))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        info = error_details_pb2.ErrorInfo()
        status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
        assert status is not None
        assert status.details[0].Unpack(info)
        assert (info.reason, info.domain) == ("NOT_IMPLEMENTED", "swit-saga")
        events = event_service_pb2_grpc.EventServiceStub(s.channel)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            async for _ in events.Subscribe(iter([])):
                pass
        assert stream.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_payload_too_large_is_our_error(tmp_path):
    async with serve(tmp_path) as s:
        with pytest.raises(InvalidRequestError) as refused:
            await s.client.start(ORDER, "x" * ((1 << 20) + 1))
        assert refused.value.reason == "PAYLOAD_TOO_LARGE"


async def test_definitions(tmp_path):
    async with serve(tmp_path) as s:
        assert await s.client.register(ORDER) == 1
        changed = Saga("order", ORDER.steps, description="changed")
        assert await s.client.register(changed) == 2
        assert (await s.client.definition("order")).description == "changed"
        assert (await s.client.definition("order", 1)).description == "An order"
        with pytest.raises(NotFoundError):
            await s.client.definition("order", 3)
        read = await s.client.definition("order", 1)
        assert await s.client.register(read) == 1, "what was read can be sent back"


async def test_a_saga_keeps_its_definition_version(tmp_path):
    """Invariant 17."""
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        handle = await s.client.start("order", {})
        await s.client.register(Saga("order", ORDER.steps, description="changed"))
        assert (await handle.get()).proto.definition_version == 1
        assert (await s.client.start("order", {})).id
        assert {x.proto.definition_version async for x in s.client.list()} == {1, 2}


async def away() -> Instant:
    """In place of ``StateStorage.now``."""
    raise StoreUnavailable("away")


async def test_health_of_every_service(tmp_path):
    async with serve(tmp_path) as s:
        health: Any = health_pb2_grpc.HealthStub(s.channel)
        for name in ("", *(d.full_name for d in SERVICES)):
            response = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        s.runtime.engine.store.now = away  # type: ignore[method-assign]

        async def serves_no_more() -> bool:
            response = await health.Check(health_pb2.HealthCheckRequest())
            return bool(response.status == health_pb2.HealthCheckResponse.NOT_SERVING)

        await eventually(serves_no_more)


@both
async def test_drain_refuses_what_is_new_and_finishes_what_runs(tmp_path, batch):
    async with serve(tmp_path, batch=batch) as s:
        slow = Saga("slow", [Step("reserve", "shop"), Step("pay", "shop", delay="300ms")])
        handle = await s.client.start(slow, {"n": 1})
        watching = asyncio.create_task(_events(s.client, handle.id))
        s.runtime.service.begin_stop()
        async with AsyncSagaClient(s.address, timeout="200ms") as other:
            with pytest.raises(UnavailableError) as refused:
                await other.start(ORDER, {})
            assert refused.value.reason == "COORDINATOR_STOPPING"
            assert refused.value.retry_after_s == 1.0
        assert (await handle.wait(timeout="5s")).state == "completed"
        assert (await watching)[-1] == "saga.completed"


async def _events(client, saga_id):
    return [e.type async for e in client.watch(saga_id)]


async def test_a_watcher_that_does_not_read_is_cut_with_where_to_resume(tmp_path):
    async with serve(tmp_path, slow_watcher_timeout="300ms") as s:
        big = Saga("big", [Step(f"s{i}", "shop", action="reserve") for i in range(12)])
        async with AsyncSagaClient(s.address) as client:
            handle = await client.start(big, {"fill": "x" * 500_000})
            await handle.wait()
        # HTTP/2's window fills up unread.
        options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
        async with grpc.aio.insecure_channel(s.address, options=options) as channel:
            stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(channel)
            stream = stub.WatchSaga(pb.WatchSagaRequest(saga_id=handle.id))
            messages = aiter(stream)
            seen = [(await anext(messages)).event.sequence]
            await eventually(lambda: not s.runtime.engine.feed.is_watched(handle.id))
            try:
                async for message in messages:
                    seen.append(message.event.sequence)
            except grpc.aio.AioRpcError as cut:
                error = from_rpc_error(cut)
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "SLOW_WATCHER")
        resume_after = int(error.fields["resume_after"])
        assert seen == list(range(1, len(seen) + 1))
        assert resume_after <= len(seen) < 26
        async with AsyncSagaClient(s.address) as client:
            assert [e.sequence async for e in client.watch(handle.id, after=resume_after)][-1] == 26


async def test_metrics(tmp_path):
    async with serve(tmp_path) as s:
        await (await s.client.start(ORDER, {"pay": "flaky"})).wait()
        await (await s.client.start(ORDER, {"pay": "rejected"})).wait()
        m = await s.client.metrics()
        assert (m.total_sagas, m.completed_sagas, m.compensated_sagas, m.active_sagas) == (2, 1, 1, 0)
        assert (m.total_retries, m.successful_retries, m.total_compensations) == (1, 1, 1)
        assert m.average_saga_duration.ToMicroseconds() > 0
        assert m.start_time.seconds > 0


async def test_trace_context_reaches_saga_events_and_participants(tmp_path):
    async with serve(tmp_path) as s:
        header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        async with AsyncSagaClient(channel=s.channel, metadata={"traceparent": header}) as traced:
            handle = await traced.start(ORDER, {})
            saga = (await handle.wait()).proto
            assert saga.trace_id == "0af7651916cd43dd8448eb211c80319c"
            assert saga.parent_span_id == "b7ad6b7169203331"
            assert saga.span_id not in ("", saga.parent_span_id)
            async for event in handle.watch():
                assert (event.proto.trace_id, event.proto.span_id) == (saga.trace_id, saga.span_id)
        assert {step.traceparent.split("-")[1] for _, step in s.shop.calls} == {saga.trace_id}
