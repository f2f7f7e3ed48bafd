"""One saga as it was when read."""

from swit_saga.names import name_of
from swit_saga.payload import Codecs
from swit_saga.v1 import definition_pb2, saga_pb2
from swit_saga.views.error import ErrorView
from swit_saga.views.fields import (
    PayloadField,
    flag,
    moment,
    moment_or_none,
    named,
    number,
    optional,
    span_or_none,
    struct,
    text,
    texts,
)
from swit_saga.views.retry_policy import RetryPolicyView
from swit_saga.views.states import ACTIVE, TERMINAL
from swit_saga.views.step import StepView


class SagaView:
    """One saga as it was when read.

    Attributes:
        proto: The message.
        codecs: How its values are read.
        id: Unique for ever.
        definition_id: The definition it runs.
        name, description: The definition's, for people.
        state: One of the nine states, such as ``running`` or ``compensated``.
        current_step: Index of the step it is at, from 0.
        total_steps: Steps in the definition.
        created_at: When it was accepted.
        updated_at: When it last changed.
        started_at: When it was set going.
        completed_at: When its outcome was recorded.
        timed_out_at: When its deadline stopped it.
        initial_data: ``initial_data(Order)`` is what it was started with, as an ``Order``.
        current_data: Output of the latest completed step, the initial data before.
        result_data: Output of the last step, once completed.
        error: Why it stopped or failed.
        timeout: From start to outcome.
        retry_policy: In force for steps without their own.
        metadata: JSON-like values given at the start, or the definition's.
        trace_id, span_id, parent_span_id: Its W3C trace, its own span and its caller's; empty without a trace.
        version: Transitions so far.
        definition_version: The version it is pinned to; 0 for an inline definition.
        definition_digest: SHA-256 of the definition's content.
        mode: Who decides what comes next: ``orchestration``, ``choreography`` or ``hybrid``.
        labels: Its labels.
        stop_reason: In words; empty unless stopped.
        correlation_id: Ties it to something of the caller's.
        source: The coordinator that created it.
        service: The calling service, if it said so.
        deadline: When the saga as a whole times out.
        due_at: When the coordinator next acts by itself.
        last_sequence: Sequence of its latest event.
        compensation_strategy: ``sequential``, ``parallel``, ...
        stuck: The coordinator itself failed on it, and tries again at ``due_at``.
        started_by: Who started it; empty without authentication.
    """

    id = text()
    definition_id = text()
    name = text()
    description = text()
    state = named(saga_pb2.SagaState.DESCRIPTOR)
    current_step = number()
    total_steps = number()
    created_at = moment()
    updated_at = moment()
    started_at = moment_or_none()
    completed_at = moment_or_none()
    timed_out_at = moment_or_none()
    initial_data = PayloadField()
    current_data = PayloadField()
    result_data = PayloadField()
    error = optional(ErrorView)
    timeout = span_or_none()
    retry_policy = optional(RetryPolicyView)
    metadata = struct()
    trace_id = text()
    span_id = text()
    parent_span_id = text()
    version = number()
    definition_version = number()
    definition_digest = text()
    mode = named(definition_pb2.CoordinatorMode.DESCRIPTOR)
    labels = texts()
    stop_reason = text()
    correlation_id = text()
    source = text()
    service = text()
    deadline = moment_or_none()
    due_at = moment_or_none()
    last_sequence = number()
    compensation_strategy = named(definition_pb2.CompensationStrategy.DESCRIPTOR)
    stuck = flag()
    started_by = text()

    def __init__(self, proto: saga_pb2.Saga, codecs: Codecs) -> None:
        self.proto = proto
        self.codecs = codecs

    @property
    def is_active(self) -> bool:
        """The saga is under way: running, between steps or compensating."""
        return self.state in ACTIVE

    @property
    def is_terminal(self) -> bool:
        """The saga has its outcome."""
        return self.state in TERMINAL

    @property
    def stop_cause(self) -> str:
        """Why it goes forward no more: ``failure``, ``cancel`` or ``deadline``; empty unless stopped."""
        cause = self.proto.stop_cause
        return name_of(saga_pb2.StopCause.DESCRIPTOR, cause) if cause else ""

    @property
    def step_states(self) -> list[StepView]:
        """In definition order; empty if read in the basic view."""
        return [StepView(step, self.codecs) for step in self.proto.step_states]

    @property
    def steps(self) -> list[StepView]:
        """The same as ``step_states``."""
        return self.step_states

    def step(self, step_id: str) -> StepView:
        """One of its steps.

        Raises:
            ValueError: It has no such step, or this view does not.
        """
        for step in self.proto.step_states:
            if step.id == step_id:
                return StepView(step, self.codecs)
        raise ValueError(f"saga {self.id!r} has no step {step_id!r} in this view")

    def elsewhere(self, field: str) -> str:
        """Which call reads a payload that was left out here."""
        if field == "result_data":
            return f"result({self.id!r})"
        if field == "initial_data":
            first = [step.id for step in self.proto.step_states if step.step_index == 0]
            return f"get({self.id!r}, steps={first or ['…']}), as the first step's input,"
        return f"get({self.id!r}, steps=['…']), as the latest completed step's output,"

    def __repr__(self) -> str:
        return f"<saga {self.id} {self.state}>"
