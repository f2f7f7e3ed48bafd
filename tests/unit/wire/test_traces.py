"""A trace context that is malformed is ignored, as the W3C says; whatever goes on can be a header."""

import pytest

from swit_saga_server.core.model import TraceContext
from swit_saga_server.rpc.callers import trace_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("header", [GOOD, f" {GOOD} ", f"cc-{TRACE}-{SPAN}-01-what-will-be"])
def test_what_is_well_formed_is_taken(header):
    assert trace_of(header, "a=1,b=2") == TraceContext(
        trace_id=TRACE, parent_span_id=SPAN, flags=1, tracestate="a=1,b=2"
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        GOOD.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"{GOOD}-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-+{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE[:-2]}_1-{SPAN}-01",
        f"00-{' ' * 31}1-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1 ",
        f"00-{TRACE}-{SPAN}-\u0661\u0661",
        f"00-{TRACE}-{SPAN}",
        GOOD + "\x00",
        "0" * 1_000_000,
    ],
)
def test_what_is_malformed_is_no_trace(header):
    assert trace_of(header, "a=1") is None


@pytest.mark.parametrize("state", ["a=" + "x" * 511, "a=\u00e9", "a=\x00", "a=1\r\nx: y", "x" * 1_000_000])
def test_a_state_that_is_malformed_or_too_long_is_left_out(state):
    found = trace_of(GOOD, state)
    assert found is not None
    assert found.tracestate == ""
    assert trace_of(GOOD, "a=" + "x" * 510) != found
