"""When and how often something is tried again."""

from swit_saga.v1 import definition_pb2
from swit_saga.views.fields import fraction, named, number, span_or_none


class RetryPolicyView:
    """When and how often something is tried again.

    Attributes:
        proto: The message.
        backoff: How the delay grows: ``none``, ``fixed``, ``linear`` or ``exponential``.
        initial_delay: Before the second attempt.
        max_delay: Cap on every delay.
        multiplier: Growth factor of the exponential backoff.
        max_attempts: In all, the first included.
        jitter: How the delay is spread: ``none``, ``full``, ``equal`` or ``decorrelated``.
    """

    backoff = named(definition_pb2.BackoffKind.DESCRIPTOR)
    initial_delay = span_or_none()
    max_delay = span_or_none()
    multiplier = fraction()
    max_attempts = number()
    jitter = named(definition_pb2.Jitter.DESCRIPTOR)

    def __init__(self, proto: definition_pb2.RetryPolicy) -> None:
        self.proto = proto

    def __repr__(self) -> str:
        return f"<{self.backoff} retry, {self.max_attempts} attempts>"
