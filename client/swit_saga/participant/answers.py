"""Answers as they are sent: one that no coordinator could receive would take everything else on its stream with it."""

from swit_saga.limits import MAX_MESSAGE_BYTES
from swit_saga.participant.execution import Answer
from swit_saga.v1 import command_pb2, error_pb2

ANSWER_BYTES = MAX_MESSAGE_BYTES - (4 << 20)
"""Of one answer. What a coordinator lets a step return (``max_payload_bytes``) is far less; it says so itself."""
_TEXT = 1_000


def sendable(answer: Answer, size: int) -> Answer:
    """The answer, or what is left of it if it is too large: as certain, without what makes it large.

    Args:
        answer: The answer.
        size: Its bytes, encoded.
    """
    if size <= ANSWER_BYTES:
        return answer
    if isinstance(answer, command_pb2.Rejected):
        return command_pb2.Rejected(error=_without_details(answer.error, size))
    text = f"the answer has {size} bytes; at most {ANSWER_BYTES} can be sent: return a reference to what is that large"
    error = error_pb2.SagaError(code="OUTPUT_TOO_LARGE", message=text, type=error_pb2.ERROR_TYPE_DATA)
    return command_pb2.Completed(output_error=error)


def sendable_failure(error: error_pb2.SagaError, size: int) -> error_pb2.SagaError:
    """The same for what a failure is told as."""
    return error if size <= ANSWER_BYTES else _without_details(error, size)


def _without_details(error: error_pb2.SagaError, size: int) -> error_pb2.SagaError:
    made = error_pb2.SagaError(
        code=error.code[:_TEXT], message=error.message[:_TEXT], type=error.type, retryable=error.retryable
    )
    made.omitted_bytes = size
    return made
