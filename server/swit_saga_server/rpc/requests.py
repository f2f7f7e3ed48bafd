"""Requests into the core's terms, with a violation for everything wrong."""

from collections.abc import Iterable

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.definition import MAX_ID_LENGTH, CoordinatorMode
from swit_saga_server.core.errors import InvalidRequest, Violation
from swit_saga_server.core.limits import MAX_STEPS
from swit_saga_server.core.model import Saga
from swit_saga_server.core.principal import Principal
from swit_saga_server.core.record import record
from swit_saga_server.core.start import StartRequest
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import NEVER, SECOND, Instant
from swit_saga_server.rpc.callers import trace_of
from swit_saga_server.service.starting import Start
from swit_saga_server.store.contract import SagaFilter, SagaOrder
from swit_saga_server.wire.basic import instant, mapping, read_payload, span
from swit_saga_server.wire.definition import read_definition, read_mode, read_retry_policy
from swit_saga_server.wire.saga import read_state
from swit_saga_server.wire.unsupported import refuse_unsupported

MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE = 8, 63, 200
MAX_NAMED = 5
"""Of many things that are wrong in the same way, these are named."""
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
DEFAULT_WAIT_S = 30.0
ANSWER_MARGIN_S = 0.2
"""A wait ends this much before its caller's deadline, so that "not yet" still gets there."""


@record(frozen=True, slots=True, kw_only=True)
class WaitRequest:
    """A wait.

    Attributes:
        saga_id: For which saga.
        states: Until it is in one of these; empty for any outcome.
        timeout_s: At most this long; not positive for "as it is now".
    """

    saga_id: str
    states: frozenset[SagaState]
    timeout_s: float


class _Violations:
    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        self.found.append(Violation(field, description))

    def raise_if_any(self) -> None:
        if self.found:
            raise InvalidRequest(tuple(self.found))


def saga_id(value: str) -> str:
    """A saga's id as given.

    Raises:
        InvalidRequest: It is empty or cannot be one.
    """
    violations = _Violations()
    if not value:
        violations.add("saga_id", "must not be empty")
    else:
        _check_id(value, "saga_id", violations)
    violations.raise_if_any()
    return value


def start_request(request: pb.StartSagaRequest) -> StartRequest:
    """A start.

    Raises:
        InvalidRequest, InvalidDefinition, UnsupportedField.
    """
    refuse_unsupported(request)
    violations = _Violations()
    if request.saga_id:
        _check_id(request.saga_id, "saga_id", violations)
    if request.HasField("timeout") and span(request.timeout) <= 0:
        violations.add("timeout", "must be greater than 0")
    if len(request.labels) > MAX_LABELS:
        violations.add("labels", f"has {len(request.labels)} labels; at most {MAX_LABELS}")
    for key, value in request.labels.items():
        if not 1 <= len(key) <= MAX_LABEL_KEY:
            violations.add("labels", f"key {key!r} must have 1 to {MAX_LABEL_KEY} characters")
        if len(value) > MAX_LABEL_VALUE:
            violations.add(f"labels[{key}]", f"has {len(value)} characters; at most {MAX_LABEL_VALUE}")
    if request.HasField("initial_data") and not request.initial_data.content_type:
        violations.add("initial_data.content_type", "must not be empty")
    if len(request.correlation_id) > MAX_ID_LENGTH:
        violations.add("correlation_id", f"has {len(request.correlation_id)} characters; at most {MAX_ID_LENGTH}")
    mode = CoordinatorMode.ORCHESTRATION
    try:
        mode = read_mode(request.mode)
    except ValueError as unknown:
        violations.add("mode", str(unknown))
    policy = read_retry_policy(request.retry_policy, "retry_policy") if request.HasField("retry_policy") else None
    if policy is not None and policy.max_delay < policy.initial_delay:
        violations.add("retry_policy.max_delay", "must not be less than initial_delay")
    violations.raise_if_any()
    return StartRequest(
        saga_id=request.saga_id,
        definition_id=request.definition_id,
        definition_version=request.definition_version,
        definition=read_definition(request.definition) if request.HasField("definition") else None,
        initial_data=read_payload(request.initial_data) if request.HasField("initial_data") else None,
        timeout=span(request.timeout) if request.HasField("timeout") else None,
        retry_policy=policy,
        labels=dict(request.labels),
        metadata=mapping(request.metadata),
        correlation_id=request.correlation_id,
        service=request.service,
        mode=mode,
    )


def read_start(request: pb.StartSagaRequest, traceparent: str, tracestate: str, principal: Principal) -> Start:
    """A start, with the trace it belongs to (empty without one) and who asks for it.

    Raises:
        InvalidRequest, InvalidDefinition, UnsupportedField.
    """
    return Start(start_request(request), trace_of(traceparent, tracestate), principal)


def step_ids(request: pb.GetSagaRequest) -> frozenset[str]:
    """The steps asked for; none for all.

    Raises:
        InvalidRequest: They are asked of a view that has no steps, or are too many.
    """
    violations = _Violations()
    if len(request.step_ids) > MAX_STEPS:
        violations.add("step_ids", f"has {len(request.step_ids)} ids; at most {MAX_STEPS}")
    if request.step_ids and request.view not in (pb.SAGA_VIEW_UNSPECIFIED, pb.SAGA_VIEW_FULL):
        violations.add("step_ids", "are for the full view; leave view out, or take SAGA_VIEW_FULL")
    violations.raise_if_any()
    return frozenset(request.step_ids)


def refuse_unknown_steps(wanted: frozenset[str], saga: Saga) -> None:
    """Return if the saga has all of these steps.

    Raises:
        InvalidRequest: It does not.
    """
    if wanted and (unknown := sorted(wanted - {step.id for step in saga.steps})):
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        named = ", ".join(repr(step_id[:MAX_ID_LENGTH]) for step_id in unknown[:MAX_NAMED])
        raise InvalidRequest((Violation("step_ids", f"saga {saga.id!r} has no step {named}{more}"),))


def states(values: Iterable["saga_pb2.SagaState.ValueType"]) -> frozenset[SagaState]:
    """States asked for.

    Raises:
        InvalidRequest: One is not a state.
    """
    try:
        return frozenset(read_state(v) for v in values)
    except ValueError as unknown:
        raise InvalidRequest((Violation("states", str(unknown)),)) from unknown


def wait_request(request: pb.WaitSagaRequest, time_left_s: float | None) -> WaitRequest:
    """A wait whose caller has ``time_left_s``, None without a deadline.

    Raises:
        InvalidRequest.
    """
    timeout_s = span(request.timeout) / SECOND if request.HasField("timeout") else DEFAULT_WAIT_S
    if time_left_s is not None:
        timeout_s = min(timeout_s, max(time_left_s - ANSWER_MARGIN_S, 0.0))
    return WaitRequest(saga_id=saga_id(request.saga_id), states=states(request.states), timeout_s=timeout_s)


def saga_filter(wanted: pb.SagaFilter, now: Instant) -> SagaFilter:
    """A filter.

    Raises:
        InvalidRequest.
    """
    violations = _Violations()
    metadata = mapping(wanted.metadata)
    for key, value in metadata.items():
        if not isinstance(value, str | float | int | bool):
            violations.add(f"filter.metadata[{key}]", "must be a string, a number or a boolean")
    if wanted.HasField("overdue_by") and span(wanted.overdue_by) <= 0:
        violations.add("filter.overdue_by", "must be greater than 0")
    violations.raise_if_any()
    return SagaFilter(
        states=states(wanted.states),
        definition_ids=frozenset(wanted.definition_ids),
        created_from=instant(wanted.created_from),
        created_to=instant(wanted.created_to),
        updated_from=instant(wanted.updated_from),
        updated_to=instant(wanted.updated_to),
        labels=dict(wanted.labels),
        metadata=metadata,
        overdue_at=now - span(wanted.overdue_by) if wanted.HasField("overdue_by") else NEVER,
        stuck=wanted.stuck,
    )


def order(value: str) -> SagaOrder:
    """A sort order; newest first by default.

    Raises:
        InvalidRequest.
    """
    if not value:
        return SagaOrder.CREATED_DESC
    try:
        return SagaOrder(" ".join(value.split()))
    except ValueError as unknown:
        known = ", ".join(f"'{o.value}'" for o in SagaOrder)
        raise InvalidRequest((Violation("order_by", f"{value!r} is not one of {known}"),)) from unknown


def page_size(value: int) -> int:
    """Items per page; 0 takes the default, too many are cut to the most allowed (AIP-158).

    Raises:
        InvalidRequest: It is negative.
    """
    if value < 0:
        raise InvalidRequest((Violation("page_size", "must not be negative"),))
    return min(value or DEFAULT_PAGE, MAX_PAGE)


def _check_id(value: str, field: str, violations: _Violations) -> None:
    if len(value) > MAX_ID_LENGTH:
        violations.add(field, f"has {len(value)} characters; at most {MAX_ID_LENGTH}")
    elif not value.isprintable() or value != value.strip() or "/" in value:
        violations.add(field, f"{value!r} must be printable, without '/' and without spaces at its ends")
