"""An error on record."""

from swit_saga.v1 import error_pb2
from swit_saga.views.fields import flag, moment_or_none, named, number, struct, text


class ErrorView:
    """An error on record.

    Attributes:
        proto: The message.
        code: Stable UPPER_SNAKE code.
        message: For a person.
        type: ``business``, ``timeout``, ...
        retryable: Whether another attempt may help.
        timestamp: When the coordinator learned of it.
        stack_trace: The participant's, if it sent one.
        details: What the participant attached.
        omitted_bytes: Of message, stack trace and details, its causes' too, that were cut; 0 if all is here.
    """

    code = text()
    message = text()
    type = named(error_pb2.ErrorType.DESCRIPTOR)
    retryable = flag()
    timestamp = moment_or_none()
    stack_trace = text()
    details = struct()
    omitted_bytes = number()

    def __init__(self, proto: error_pb2.SagaError) -> None:
        self.proto = proto

    @property
    def cause(self) -> "ErrorView | None":
        """The error behind this one."""
        return ErrorView(self.proto.cause) if self.proto.HasField("cause") else None

    def __repr__(self) -> str:
        return f"<error {self.code}, {self.type}>"
