"""One step of a saga, and its undoing."""

from swit_saga.payload import Codecs
from swit_saga.v1 import definition_pb2, saga_pb2
from swit_saga.views.error import ErrorView
from swit_saga.views.fields import PayloadField, flag, moment, moment_or_none, named, number, optional, struct, text


class CompensationView:
    """How far a step's undoing is.

    Attributes:
        proto: The message.
        state: ``pending``, ``running``, ``completed``, ``failed`` or ``skipped``.
        attempts: Intended so far.
        max_attempts: Allowed, the first included.
        started_at: When the first attempt was intended.
        completed_at: When it was confirmed, skipped or given up.
        error: The latest failure.
        resends: Times an attempt was sent again under its own number.
        retry_at: When the next attempt is made.
        idempotency_key: Carried by every attempt.
        in_flight: Whether the latest attempt is out and unanswered.
        generation: Of the latest attempt, from 1; a new one begins after a rejection that is tried again.
        sends: So far over all attempts, resends included.
    """

    state = named(saga_pb2.CompensationStatus.DESCRIPTOR)
    attempts = number()
    max_attempts = number()
    started_at = moment_or_none()
    completed_at = moment_or_none()
    error = optional(ErrorView)
    resends = number()
    retry_at = moment_or_none()
    idempotency_key = text()
    in_flight = flag()
    generation = number()
    sends = number()

    def __init__(self, proto: saga_pb2.CompensationState) -> None:
        self.proto = proto

    def __repr__(self) -> str:
        return f"<compensation {self.state}>"


class StepView:
    """One step of a saga.

    Attributes:
        proto: The message.
        codecs: How its values are read.
        id: The step's id in the definition.
        saga_id: The saga it belongs to.
        step_index: Place in the definition, from 0.
        name: For people.
        state: ``pending``, ``running``, ``completed``, ``failed``, ``compensating``, ``compensated`` or ``skipped``.
        attempts: Intended so far; resends are not counted.
        max_attempts: Allowed, the first included; 0 before the first.
        created_at: When the saga was created.
        started_at: When the first attempt was intended.
        completed_at: When it completed or failed for good.
        last_attempt_at: When the latest attempt was intended.
        input_data: ``input_data(Order)`` is what it was given, as an ``Order``; ``input`` is the same.
        output_data: ``output_data(Hold)`` is what it returned; ``output`` is the same.
        error: The latest failure.
        compensation_state: Its undoing; None until it is to be undone.
        metadata: The definition's, of the step.
        participant: Who is asked.
        action: What is asked.
        effect: What is durably known: ``none``, ``maybe`` or ``done``.
        kind: ``compensatable``, ``pivot`` or ``retriable``.
        in_flight: Whether the latest attempt is out and unanswered.
        resends: Times an attempt was sent again under its own number.
        retry_at: When the next attempt is made.
        not_after: The latest moment at which an unanswered attempt may start.
        idempotency_key: Carried by every attempt of this generation.
        generation: Of the latest attempt, from 1; a new one begins after a rejection that is tried again.
        sends: So far over all attempts, resends included.
    """

    id = text()
    saga_id = text()
    step_index = number()
    name = text()
    state = named(saga_pb2.StepStatus.DESCRIPTOR)
    attempts = number()
    max_attempts = number()
    created_at = moment()
    started_at = moment_or_none()
    completed_at = moment_or_none()
    last_attempt_at = moment_or_none()
    input = input_data = PayloadField("input_data")
    output = output_data = PayloadField("output_data")
    error = optional(ErrorView)
    compensation_state = optional(CompensationView)
    metadata = struct()
    participant = text()
    action = text()
    effect = named(saga_pb2.Effect.DESCRIPTOR)
    kind = named(definition_pb2.StepKind.DESCRIPTOR)
    in_flight = flag()
    resends = number()
    retry_at = moment_or_none()
    not_after = moment_or_none()
    idempotency_key = text()
    generation = number()
    sends = number()

    def __init__(self, proto: saga_pb2.StepState, codecs: Codecs) -> None:
        self.proto = proto
        self.codecs = codecs

    def elsewhere(self, field: str) -> str:
        """Which call reads a payload that was left out here."""
        return f"get({self.saga_id!r}, steps=[{self.id!r}])" if self.saga_id else f"get(…, steps=[{self.id!r}])"

    def __repr__(self) -> str:
        return f"<step {self.id} {self.state}>"
