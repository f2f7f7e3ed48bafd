"""With an OpenTelemetry SDK in the program each unary call served is a span of the caller's trace; without one the
trace goes on as it came.
"""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from swit_saga import AsyncSagaClient
from tests.support.rpc.serve import ORDER, serve
from tests.support.waiting import eventually

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans that have ended."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


async def test_a_span_per_call_with_an_sdk(tmp_path, exported):
    async with serve(tmp_path) as s, AsyncSagaClient(channel=s.channel, metadata=SENT, batch_starts=False) as client:
        handle = await client.start(ORDER, {"order": 1})
        found = await handle.wait()
        await eventually(lambda: [x for x in exported.get_finished_spans() if x.name.endswith("/StartSaga")])
    (served,) = [x for x in exported.get_finished_spans() if x.name.endswith("/StartSaga")]
    assert f"{served.context.trace_id:032x}" == found.proto.trace_id == TRACE_ID
    assert f"{served.parent.span_id:016x}" == SPAN_ID
    assert found.proto.parent_span_id == f"{served.context.span_id:016x}"
    assert not [x for x in exported.get_finished_spans() if x.name.endswith("/WaitSagas")]


async def test_the_trace_goes_on_without_an_sdk(tmp_path):
    async with serve(tmp_path) as s, AsyncSagaClient(channel=s.channel, metadata=SENT, batch_starts=False) as client:
        found = await (await client.start(ORDER, {"order": 1})).wait()
    assert (found.proto.trace_id, found.proto.parent_span_id) == (TRACE_ID, SPAN_ID)
