"""One event of a saga."""

from swit_saga.payload import Codecs
from swit_saga.v1 import event_pb2
from swit_saga.views.error import ErrorView
from swit_saga.views.fields import PayloadField, moment, number, optional, span_or_none, struct, text


class EventView:
    """One event of a saga.

    Attributes:
        proto: The message.
        codecs: How its data is read.
        id: ``saga_id/sequence``; unique for ever.
        saga_id: The saga it happened to.
        step_id: The step it happened to; empty for the saga as a whole.
        type: For example ``saga.step.completed``; the set is open.
        version: Of this message's meaning.
        timestamp: When it was decided; ``at`` is the same.
        correlation_id: The saga's.
        data: ``data(Order)`` is the initial data or the step's output.
        previous_state, new_state: Of the step or the saga; empty if it did not change.
        error: What went wrong.
        duration: How long the attempt, step or saga took that ended with this.
        attempt: Of the step or compensation, from 1; 0 for the saga as a whole.
        max_attempts: Allowed; 0 for the saga as a whole.
        metadata: More about this event.
        source: The coordinator that created the saga.
        service: Who did it: the participant's name, or ``swit-saga``.
        service_version: Version of the coordinator's software.
        trace_id, span_id, parent_span_id: The saga's trace, its span and its caller's; empty without a trace.
        sequence: From 1 without gaps; where to resume a watch.
        definition_id: The definition the saga runs.
        definition_version: Its version; 0 for an inline one.
        principal: Who caused it, where a person or a program did; empty without authentication.
    """

    id = text()
    saga_id = text()
    step_id = text()
    type = text()
    version = text()
    at = timestamp = moment("timestamp")
    correlation_id = text()
    data = PayloadField()
    previous_state = text()
    new_state = text()
    error = optional(ErrorView)
    duration = span_or_none()
    attempt = number()
    max_attempts = number()
    metadata = struct()
    source = text()
    service = text()
    service_version = text()
    trace_id = text()
    span_id = text()
    parent_span_id = text()
    sequence = number()
    definition_id = text()
    definition_version = number()
    principal = text()

    def __init__(self, proto: event_pb2.SagaEvent, codecs: Codecs) -> None:
        self.proto = proto
        self.codecs = codecs

    def elsewhere(self, field: str) -> str:
        """Which call reads a payload that was left out here."""
        return f"get({self.saga_id!r}, steps=[{self.step_id!r}])"

    def __repr__(self) -> str:
        return f"<{self.saga_id}/{self.sequence} {self.type} {self.step_id}>"
