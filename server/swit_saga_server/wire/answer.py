"""What a participant's answer means, whatever is in it: completed, rejected or unknown.

Nothing in here raises, and no certainty is lost: what says *completed* is done, also when its output cannot be used;
what says *rejected* was not done, whatever its error looks like. docs/participants.md has the table. An error has the
time that the participant gave it, or none: the ledger dates it.
"""

from collections.abc import Mapping
from typing import Any

from swit_saga.participant.failures import describe, trace_of
from swit_saga.v1 import command_pb2, error_pb2
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer
from swit_saga_server.core.bounds import content_type_fault
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Completed, Rejected, Unknown
from swit_saga_server.core.limits import MAX_STACK_TRACE_BYTES, MAX_TEXT_BYTES
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import evolve
from swit_saga_server.core.texts import cut, cut_middle
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.wire.command import STOCK_COMMAND_BYTES
from swit_saga_server.wire.decoding import OUTPUT_INVALID, UNREADABLE_ANSWER
from swit_saga_server.wire.foreign_error import read_error

REJECTED_STATUS = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "OUT_OF_RANGE"})
"""From a plain servicer these mean *rejected*: libraries and proxies do not make them up."""

_STATUS_TYPES: Mapping[str, ErrorType] = {
    "DEADLINE_EXCEEDED": ErrorType.TIMEOUT,
    "UNAVAILABLE": ErrorType.NETWORK,
    "CANCELLED": ErrorType.NETWORK,
    "PERMISSION_DENIED": ErrorType.SYSTEM,
    "UNAUTHENTICATED": ErrorType.SYSTEM,
}
_DONE = Completed()


class AnswerReader:
    """Reads the answers of participants, by whichever way they came."""

    def __init__(self, max_payload_bytes: int = 1 << 20) -> None:
        """``max_payload_bytes`` is the most that an output may have."""
        self._max_payload_bytes = max_payload_bytes
        self._content_type: str | None = None  # The last one that was found to be one: nearly always it comes again.

    def execute(self, response: object) -> Answer:
        """What an answer to an Execute says."""
        if not isinstance(response, ExecuteResponse):
            return _of_wrong_kind("an Execute", response)
        match response.WhichOneof("answer"):
            case "completed":
                return self._completed(response.completed)
            case "rejected":
                return _rejected(response.rejected)
            case other:
                return _no_answer(other)

    def compensate(self, response: object) -> Answer:
        """What an answer to a Compensate says. Whatever it returns, it is done or not."""
        if not isinstance(response, CompensateResponse):
            return _of_wrong_kind("a Compensate", response)
        match response.WhichOneof("answer"):
            case "completed":
                return _DONE
            case "rejected":
                return _rejected(response.rejected)
            case other:
                return _no_answer(other)

    def streamed(self, said: StreamAnswer, kind: Kind) -> Answer:
        """What an answer of a stream says to a command of ``kind``."""
        match said.WhichOneof("response"):
            case "execute":
                response: object = said.execute
                if kind is Kind.EXECUTE and said.execute.WhichOneof("answer") == "completed":  # Nearly all of them.
                    return self._completed(said.execute.completed)
            case "compensate":
                response = said.compensate
            case "unknown":
                return unknown_answer(said.unknown)
            case _:
                return no_answer()
        return self.execute(response) if kind is Kind.EXECUTE else self.compensate(response)

    def _completed(self, said: command_pb2.Completed) -> Completed:
        if said.HasField("output_error"):
            return Completed(error=_of_output(read_error(said.output_error, ErrorType.DATA)))
        if not said.HasField("output"):
            return _DONE
        output, most = said.output, self._max_payload_bytes
        data: str | bytes = output.text if output.WhichOneof("data") == "text" else output.binary
        content_type = output.content_type
        # No character has more than four bytes: most texts need not be encoded to be known to fit.
        if 4 * len(data) > most:
            size = len(data.encode()) if isinstance(data, str) else len(data)
            if size > most:
                text = f"the output has {size} bytes; at most {most} (max_payload_bytes)"
                return Completed(error=_made_up("OUTPUT_TOO_LARGE", text))
        if content_type != self._content_type:
            if wrong := content_type_fault(content_type):
                return Completed(error=_made_up(OUTPUT_INVALID, f"the output's content_type {wrong}"))
            self._content_type = content_type
        if output.omitted_bytes:
            text = "the output says that some of it was left out (omitted_bytes), which only a coordinator may say"
            return Completed(error=_made_up(OUTPUT_INVALID, text))
        return Completed(Payload(content_type, data))


def status_answer(c: ParticipantCommand, code: str, details: str, stack_trace: str = "") -> Answer:
    """What an aborted call means. Only the participant's own certain statuses are a rejection.

    Args:
        c: What was asked.
        code: The gRPC status's name.
        details: Its text.
        stack_trace: The participant's, if it sent one.
    """
    first = c.send_id.send == 1
    rejected = code in REJECTED_STATUS or code in c.rejected_status_codes or (code == "ALREADY_EXISTS" and first)
    kind = ErrorType.BUSINESS if rejected else _STATUS_TYPES.get(code, ErrorType.SERVICE)
    error = _error(code, details, kind, retryable=not rejected, stack_trace=stack_trace)
    return Rejected(error) if rejected else Unknown(error)


def with_advice(details: str, code: str, size: int) -> str:
    """The text of an aborted call, and what is to be done where its server did not take a command of ``size`` bytes."""
    if code != "RESOURCE_EXHAUSTED" or size <= STOCK_COMMAND_BYTES:
        return details
    return (
        f"{cut(details, MAX_TEXT_BYTES // 2)}; the command has {size} bytes: raise the largest message that the "
        "participant's server receives (in gRPC's core grpc.max_receive_message_length, by default 4 MiB), or lower "
        "the coordinator's max_payload_bytes"
    )


def unknown_answer(error: error_pb2.SagaError) -> Unknown:
    """What a participant's failure means that came by the stream; always worth another attempt."""
    return Unknown(evolve(read_error(error, ErrorType.SERVICE), retryable=True))


def broken_answer(code: str, details: str) -> Unknown:
    """What a stream's end means to each command that it carried: no status of a stream speaks of one command."""
    return Unknown(_error(code, details, _STATUS_TYPES.get(code, ErrorType.SERVICE), retryable=True))


def raised_answer(error: BaseException) -> Unknown:
    """What an exception of a participant in this process means."""
    trace = trace_of(error)
    return Unknown(
        _error(type(error).__name__, describe(error), ErrorType.SERVICE, retryable=True, stack_trace=trace),
    )


def failed_here(error: BaseException) -> Unknown:
    """Something went wrong on our side, such as a command that cannot be written: no certain answer."""
    return Unknown(_error("CALL_FAILED", describe(error), ErrorType.SYSTEM, retryable=True))


def no_answer() -> Unknown:
    """What an answer without an answer means."""
    return _no_answer(None)


def _rejected(answer: command_pb2.Rejected) -> Rejected:
    if not answer.HasField("error"):
        return Rejected(_made_up("REJECTED", "rejected without a reason"))
    return Rejected(read_error(answer.error, ErrorType.BUSINESS))


def _no_answer(kind: str | None) -> Unknown:
    if kind == "pending":
        text = "the participant answered 'pending', which this version of the coordinator does not support"
        return Unknown(_made_up("PENDING_NOT_SUPPORTED", text))
    return Unknown(_made_up("EMPTY_ANSWER", "the participant answered without saying what became of it", retry=True))


def _of_wrong_kind(asked: str, response: Any) -> Unknown:
    text = f"{asked} was answered with a {type(response).__name__}, which says nothing about it"
    return Unknown(_made_up(UNREADABLE_ANSWER, text, retry=True))


def _of_output(error: SagaError) -> SagaError:
    """Whatever the participant says of it: the same output would come again."""
    code = OUTPUT_INVALID if error.code == "UNSPECIFIED" else error.code
    return evolve(error, code=code, type=ErrorType.DATA, retryable=False)


def _made_up(code: str, message: str, *, retry: bool = False) -> SagaError:
    return SagaError(code=code, message=message, type=ErrorType.DATA, retryable=retry)


def _error(code: str, message: str, kind: ErrorType, *, retryable: bool, stack_trace: str = "") -> SagaError:
    trace, _ = cut_middle(stack_trace, MAX_STACK_TRACE_BYTES)
    return SagaError(code=code, message=cut(message, MAX_TEXT_BYTES), type=kind, retryable=retryable, stack_trace=trace)
