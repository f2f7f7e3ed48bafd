"""Whatever a participant answers: certain stays certain, nothing raises, and what goes on record has its bounds."""

import contextlib
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swit_saga.v1 import error_pb2
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamResponse
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Answered, Completed, Rejected, Unknown
from swit_saga_server.core.limits import (
    MAX_CAUSES,
    MAX_DETAILS_BYTES,
    MAX_ERROR_CODE_LENGTH,
    MAX_INSTANT,
    MAX_STACK_TRACE_BYTES,
    MAX_TEXT_BYTES,
)
from swit_saga_server.core.texts import MARK_BYTES
from swit_saga_server.store.codec import PRESENT
from swit_saga_server.store.levels import LEVEL
from swit_saga_server.wire import decoding
from swit_saga_server.wire.answer import AnswerReader
from swit_saga_server.wire.saga import event, head, saga
from tests.support.core.drive import Driven, chain, done, no, sent
from tests.support.wire.anything import anything
from tests.support.wire.hostile import COMPLETED, LIMIT, REJECTED, UNKNOWN, UNUSABLE, tagged

READER = AnswerReader(LIMIT)
READERS = {
    Kind.EXECUTE: lambda raw: READER.execute(decoding.execute_response(raw)),
    Kind.COMPENSATE: lambda raw: READER.compensate(decoding.compensate_response(raw)),
}
MARKS = MAX_CAUSES * MARK_BYTES
"""Of stack traces that were left out."""


def streamed(kind: Kind, raw: bytes) -> Answer:
    """The same answer by the stream, beside one that is well."""
    number = b"\x08\x07"
    well = StreamResponse(answers=[StreamAnswer(command_id=8, execute=ExecuteResponse())]).SerializeToString()
    response = decoding.stream_response(tagged(1, number + tagged(2 if kind is Kind.EXECUTE else 3, raw)) + well)
    assert [said.command_id for said in response.answers] == [7, 8]
    return READER.streamed(response.answers[0], kind)


def by_each_way(kind: Kind, raw: bytes) -> list[Answer]:
    return [READERS[kind](raw), streamed(kind, raw)]


def chain_of(error: SagaError | None) -> list[SagaError]:
    found = []
    while error is not None:
        found.append(error)
        error = error.cause
    return found


def is_within_bounds(error: SagaError) -> None:
    """And can be written, read and shown."""
    errors = chain_of(error)
    assert len(errors) <= 1 + MAX_CAUSES
    for part in errors:
        assert part.code
        assert part.code.isprintable()
        assert len(part.code) <= MAX_ERROR_CODE_LENGTH
        assert len(part.message.encode()) <= MAX_TEXT_BYTES
        assert 0 <= part.timestamp <= MAX_INSTANT
    assert sum(len(part.stack_trace.encode()) for part in errors) <= MAX_STACK_TRACE_BYTES + MARKS
    size = sum(len(json.dumps(dict(part.details), ensure_ascii=False, allow_nan=False).encode()) for part in errors)
    assert size <= 2 * MAX_DETAILS_BYTES, "keys, quotes and commas counted"
    assert PRESENT.unpack_error(PRESENT.at(LEVEL).pack_error(error)) == error


def is_readable(kind: Kind, answer: Answer) -> Driven:
    """A saga that was answered so is stored, read, shown and watched, whatever it was."""
    s = Driven(chain("a", "b")).start().ran(0, done())
    if kind is Kind.COMPENSATE:
        s.ran(1, no())
        s.give(Answered(kind, 0, sent(1), answer))
    else:
        s.ran(1, answer)
    writer = PRESENT.at(LEVEL)
    steps = tuple(PRESENT.unpack_step(writer.pack_step(step)) for step in s.saga.steps)
    read = PRESENT.unpack_saga(writer.pack_origin(s.saga), writer.pack_progress(s.saga), steps)
    assert read == s.saga
    assert PRESENT.unpack_events(writer.pack_events(s.events)) == s.events
    for made in (saga(read, s.definition), head(read), *(event(e, read) for e in s.events)):
        assert type(made).FromString(made.SerializeToString()) == made
        json.loads(MessageToJson(made))
        assert made.ByteSize() < 1 << 20
    return s


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("raw", REJECTED.values(), ids=REJECTED)
def test_rejected_stays_rejected_whatever_its_error(kind: Kind, raw: bytes) -> None:
    for answer in by_each_way(kind, raw):
        assert isinstance(answer, Rejected)
        is_within_bounds(answer.error)
        is_readable(kind, answer)


@pytest.mark.parametrize("raw", REJECTED.values(), ids=REJECTED)
def test_unknown_is_retried_whatever_its_error(raw: bytes) -> None:
    error = decoding.execute_response(raw).rejected.error.SerializeToString()
    response = decoding.stream_response(tagged(1, b"\x08\x07" + tagged(4, error)))
    for kind in Kind:
        answer = READER.streamed(response.answers[0], kind)
        assert isinstance(answer, Unknown)
        assert answer.error.retryable
        is_within_bounds(answer.error)
        is_readable(kind, answer)


@pytest.mark.parametrize(("raw", "code"), UNUSABLE.values(), ids=UNUSABLE)
def test_completed_with_what_cannot_be_used_is_done(raw: bytes, code: str) -> None:
    for answer in by_each_way(Kind.EXECUTE, raw):
        assert isinstance(answer, Completed)
        assert answer.error is not None
        assert answer.output is None
        assert (answer.error.code, answer.error.type, answer.error.retryable) == (code, ErrorType.DATA, False)
        is_within_bounds(answer.error)
        assert is_readable(Kind.EXECUTE, answer).saga.steps[1].effect == "done"
    for answer in by_each_way(Kind.COMPENSATE, raw):
        assert answer == Completed(), "of a compensation it does not matter"


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("raw", COMPLETED.values(), ids=COMPLETED)
def test_completed(kind: Kind, raw: bytes) -> None:
    for answer in by_each_way(kind, raw):
        assert isinstance(answer, Completed)
        assert answer.error is None
        is_readable(kind, answer)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("raw", "code"), UNKNOWN.values(), ids=UNKNOWN)
def test_neither_is_unknown(kind: Kind, raw: bytes, code: str) -> None:
    for answer in by_each_way(kind, raw):
        assert isinstance(answer, Unknown)
        assert answer.error.code == code


@pytest.mark.parametrize("kind", Kind)
def test_an_answer_of_the_wrong_kind_is_unknown(kind: Kind) -> None:
    """Also one that says completed: of what was asked it says nothing."""
    other = 3 if kind is Kind.EXECUTE else 2
    for raw in (*COMPLETED.values(), *REJECTED.values()):
        (said,) = decoding.stream_response(tagged(1, b"\x08\x07" + tagged(other, raw))).answers
        answer = READER.streamed(said, kind)
        assert isinstance(answer, Unknown)
        assert (answer.error.code, answer.error.retryable) == ("UNREADABLE_ANSWER", True)


@pytest.mark.parametrize("response", [None, "completed", 7, StreamAnswer(), object()], ids=lambda r: type(r).__name__)
def test_what_is_no_response_at_all_is_unknown(response: Any) -> None:
    """As a participant in the coordinator's own process may return it."""
    for answer in (READER.execute(response), READER.compensate(response)):
        assert isinstance(answer, Unknown)


def test_what_is_cut_says_so() -> None:
    raw = REJECTED["a message of 20 MB"]
    answer = READERS[Kind.EXECUTE](raw)
    assert isinstance(answer, Rejected)
    assert answer.error.message.startswith("üüü")
    omitted = 20_000_000 - 2 * answer.error.message.count("ü")
    assert answer.error.message.endswith(f"… [{omitted:,} bytes cut]")
    assert answer.error.details == {"omitted_bytes": omitted}
    assert saga(is_readable(Kind.EXECUTE, answer).saga, None).error.omitted_bytes == omitted


def test_an_ordinary_error_is_kept_as_it_is() -> None:
    said = error_pb2.SagaError(code="NO_STOCK", message="none", stack_trace="at x", retryable=True)
    said.type = error_pb2.ERROR_TYPE_TIMEOUT
    said.timestamp.seconds = 1_700_000_000
    said.details.update({"left": 0, "half": 0.5, "who": None, "list": [1, "a", {"b": True}]})
    said.cause.code = "EMPTY"
    answer = READER.execute(ExecuteResponse(rejected={"error": said}))  # type: ignore[arg-type]
    assert isinstance(answer, Rejected)
    assert answer.error == SagaError(
        code="NO_STOCK", message="none", type=ErrorType.TIMEOUT, retryable=True, stack_trace="at x",
        timestamp=1_700_000_000_000_000,  # type: ignore[arg-type]
        details={"left": 0, "half": 0.5, "who": None, "list": [1, "a", {"b": True}]},
        cause=SagaError(code="EMPTY", message="", type=ErrorType.BUSINESS),
    )  # fmt: skip


def test_the_ends_of_a_stack_trace_are_kept() -> None:
    trace = "begin" + "x" * 100_000 + "end"
    answer = READER.execute(ExecuteResponse(rejected={"error": {"stack_trace": trace}}))  # type: ignore[arg-type]
    assert isinstance(answer, Rejected)
    assert answer.error.stack_trace.startswith("begin")
    assert answer.error.stack_trace.endswith("end")
    assert "bytes cut" in answer.error.stack_trace


def expected(response: Any, kind: Kind) -> type[Answer]:
    """The table of docs/participants.md."""
    match response.WhichOneof("answer"):
        case "completed":
            return Completed
        case "rejected":
            return Rejected
        case _:
            return Unknown


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(Kind))
def test_any_response(data: st.DataObject, kind: Kind) -> None:
    response = data.draw(anything(ExecuteResponse if kind is Kind.EXECUTE else CompensateResponse))
    for answer in by_each_way(kind, response.SerializeToString()):
        assert isinstance(answer, expected(response, kind))
        if answer.error is not None:
            is_within_bounds(answer.error)
    is_readable(kind, answer)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(anything(StreamResponse), st.sampled_from(Kind))
def test_any_answer_of_a_stream(response: StreamResponse, kind: Kind) -> None:
    read = decoding.stream_response(response.SerializeToString())
    assert (len(read.answers), read.credits) == (len(response.answers), response.credits)
    for said in read.answers:
        answer = READER.streamed(said, kind)
        own = "execute" if kind is Kind.EXECUTE else "compensate"
        is_own = said.WhichOneof("response") == own
        assert isinstance(answer, expected(getattr(said, own), kind) if is_own else Unknown)
        is_readable(kind, answer)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    """They are read, or refused as a whole; nothing else is raised."""
    for decode in (decoding.execute_response, decoding.compensate_response, decoding.stream_response):
        with contextlib.suppress(DecodeError):
            decode(raw)
