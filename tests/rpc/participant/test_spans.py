"""With an OpenTelemetry SDK in the program each command is a span of the saga's trace, whichever way it goes."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from swit_saga_server import telemetry
from tests.rpc.participant.test_transports import BOTH, Shop, reach
from tests.support.participant.sends import command
from tests.support.waiting import eventually


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans that have ended."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    return exporter


@BOTH
async def test_a_span_per_command(kind, exported):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command("done"), command("lost", "broken"), command("slow", "slow")])
        await heard.of("done")
        await heard.of("lost")
        await eventually(lambda: shop.calls["slow"])
        transport.cancel([command("slow").command_id])
        await eventually(lambda: len(exported.get_finished_spans()) == 3)
        shop.let.set()
    spans = {str((span.attributes or {})["saga.id"]): span for span in exported.get_finished_spans()}
    assert {name: span.status.is_ok for name, span in spans.items()} == {"done": True, "lost": False, "slow": False}
    for span in spans.values():
        assert span.name == "shop/do execute"
        assert span.parent is not None
        assert f"{span.context.trace_id:032x}-{span.parent.span_id:016x}" in command().traceparent
    # What the participant was told is the span, so that its own spans are below it.
    told = {trace.split("-")[2] for trace in shop.traces}
    assert told == {f"{span.context.span_id:016x}" for span in spans.values()}
