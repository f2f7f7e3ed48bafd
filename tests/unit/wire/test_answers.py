"""What a participant's answer means: completed, rejected or unknown (invariant 11)."""

import grpc
import pytest

from swit_saga.v1 import command_pb2, error_pb2, payload_pb2
from swit_saga.v1 import participant_service_pb2 as pb
from swit_saga_server.core.errors import ErrorType
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.inputs import Completed, Rejected, Unknown
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import Effect
from swit_saga_server.core.units import MILLISECOND, Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.wire.answer import AnswerReader, status_answer
from swit_saga_server.wire.command import compensate_request, execute_request, metadata

execute_answer, compensate_answer = AnswerReader().execute, AnswerReader().compensate

S = grpc.StatusCode
REJECTED, UNKNOWN = Rejected, Unknown
STATUSES: dict[grpc.StatusCode, tuple[type, ErrorType]] = {
    S.INVALID_ARGUMENT: (REJECTED, ErrorType.BUSINESS),
    S.FAILED_PRECONDITION: (REJECTED, ErrorType.BUSINESS),
    S.NOT_FOUND: (REJECTED, ErrorType.BUSINESS),
    S.OUT_OF_RANGE: (REJECTED, ErrorType.BUSINESS),
    S.ALREADY_EXISTS: (REJECTED, ErrorType.BUSINESS),
    S.DEADLINE_EXCEEDED: (UNKNOWN, ErrorType.TIMEOUT),
    S.UNAVAILABLE: (UNKNOWN, ErrorType.NETWORK),
    S.CANCELLED: (UNKNOWN, ErrorType.NETWORK),
    S.PERMISSION_DENIED: (UNKNOWN, ErrorType.SYSTEM),
    S.UNAUTHENTICATED: (UNKNOWN, ErrorType.SYSTEM),
    S.OK: (UNKNOWN, ErrorType.SERVICE),
    S.UNKNOWN: (UNKNOWN, ErrorType.SERVICE),
    S.RESOURCE_EXHAUSTED: (UNKNOWN, ErrorType.SERVICE),
    S.ABORTED: (UNKNOWN, ErrorType.SERVICE),
    S.UNIMPLEMENTED: (UNKNOWN, ErrorType.SERVICE),
    S.INTERNAL: (UNKNOWN, ErrorType.SERVICE),
    S.DATA_LOSS: (UNKNOWN, ErrorType.SERVICE),
}


def command(kind: Kind = Kind.EXECUTE, attempt: int = 1, resend: int = 0, codes: tuple[str, ...] = ()):
    return ParticipantCommand(
        kind=kind,
        saga_id="saga-ü",
        step_id="reserve",
        step_index=2,
        participant="shop",
        action="take",
        send_id=SendId(1, attempt, attempt + resend),
        idempotency_key="key",
        not_after=Instant(1_700_000_000_123_456),
        timeout=2_500 * MILLISECOND,
        epoch=9,
        completion_token="token",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="a=b",
        definition_id="order",
        definition_version=3,
        correlation_id="c-1",
        metadata={"shelf": 7.0},
        labels={"region": "eu"},
        input=Payload("text/plain", "in"),
        output=Payload("text/plain", "out"),
        execute_key="execute-key",
        certainty=Effect.DONE,
        initial_data=Payload("text/plain", "initial"),
        reason="why",
        rejected_status_codes=codes,
        compensatable=True,
    )


def test_the_table_has_every_status():
    assert set(STATUSES) == set(grpc.StatusCode)


@pytest.mark.parametrize("code", STATUSES, ids=lambda c: c.name)
def test_statuses_of_a_plain_servicer(code):
    kind, type_ = STATUSES[code]
    answer = status_answer(command(), code.name, "text", "trace")
    assert isinstance(answer, kind)
    assert isinstance(answer, Rejected | Unknown)
    assert (answer.error.code, answer.error.message, answer.error.stack_trace) == (code.name, "text", "trace")
    assert (answer.error.type, answer.error.retryable) == (type_, kind is UNKNOWN)
    assert answer.error.timestamp == 0, "the ledger dates it"


@pytest.mark.parametrize(("attempt", "resend"), [(2, 0), (1, 1), (2, 1)])
def test_already_exists_may_be_our_own_earlier_attempt(attempt, resend):
    assert isinstance(status_answer(command(attempt=attempt, resend=resend), "ALREADY_EXISTS", ""), Unknown)
    assert isinstance(status_answer(command(attempt=attempt, resend=resend), "NOT_FOUND", ""), Rejected)


def test_a_step_may_take_more_statuses_as_rejected():
    assert isinstance(status_answer(command(codes=("ABORTED",)), "ABORTED", ""), Rejected)
    assert isinstance(status_answer(command(codes=("ABORTED",)), "INTERNAL", ""), Unknown)


def test_completed():
    output = payload_pb2.Payload(content_type="text/plain", text="x")
    done = pb.ExecuteResponse(completed=command_pb2.Completed(output=output))
    assert execute_answer(done) == Completed(Payload("text/plain", "x"))
    assert execute_answer(pb.ExecuteResponse(completed=command_pb2.Completed())) == Completed(None)
    assert compensate_answer(pb.CompensateResponse(completed=command_pb2.Completed())) == Completed()


@pytest.mark.parametrize(
    ("read", "response"), [(execute_answer, pb.ExecuteResponse), (compensate_answer, pb.CompensateResponse)]
)
def test_rejected_pending_and_nothing_said(read, response):
    said = error_pb2.SagaError(code="OUT_OF_STOCK", message="none left", type=error_pb2.ERROR_TYPE_DATA)
    answer = read(response(rejected=command_pb2.Rejected(error=said)))
    assert isinstance(answer, Rejected)
    assert (answer.error.code, answer.error.message, answer.error.type) == (
        "OUT_OF_STOCK",
        "none left",
        ErrorType.DATA,
    )
    bare = read(response(rejected=command_pb2.Rejected()))
    assert isinstance(bare, Rejected), "without a reason it is a rejection all the same"
    assert bare.error.code == "REJECTED"
    empty = read(response())
    assert isinstance(empty, Unknown)
    assert (empty.error.code, empty.error.retryable) == ("EMPTY_ANSWER", True)
    pending = read(response(pending=command_pb2.Pending()))
    assert isinstance(pending, Unknown)
    assert (pending.error.code, pending.error.retryable) == ("PENDING_NOT_SUPPORTED", False)


def test_an_error_type_of_a_later_version_is_business():
    later = error_pb2.SagaError.FromString(error_pb2.SagaError(code="X").SerializeToString() + b"\x18\x63")
    assert later.type == 99
    answer = execute_answer(pb.ExecuteResponse(rejected=command_pb2.Rejected(error=later)))
    assert isinstance(answer, Rejected)
    assert answer.error.type is ErrorType.BUSINESS


def test_every_field_of_a_command_is_sent():
    for request in (execute_request(command(resend=1)), compensate_request(command(Kind.COMPENSATE, resend=1))):
        unset = {f.name for f in request.command.DESCRIPTOR.fields} - {f.name for f, _ in request.command.ListFields()}
        assert not unset
    sent = {f.name for f, _ in compensate_request(command(Kind.COMPENSATE)).ListFields()}
    assert sent == set(pb.CompensateRequest.DESCRIPTOR.fields_by_name)
    # dependency_outputs belongs to depends_on, which is refused.
    assert {f.name for f, _ in execute_request(command()).ListFields()} == {"command", "input"}


def test_metadata_is_ascii():
    sent = dict(metadata(command()))
    assert sent["swit-saga-id"] == "saga-\\xfc"
    assert sent["swit-not-after-ms"] == "1700000000123"
    assert all(v.isascii() for v in sent.values())
    assert {"swit-step-id", "swit-generation", "swit-attempt", "swit-send", "swit-idempotency-key", "swit-epoch"} < set(
        sent
    )
