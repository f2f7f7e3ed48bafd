"""Requests into the core's terms. ``wire.door`` has let them in before, but for starts, which it lets in here."""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.errors import InvalidRequest, Violation
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
from swit_saga_server.wire.door import admit
from swit_saga_server.wire.saga import read_state

MAX_NAMED = 5
"""Of many things that are wrong in the same way, these are named."""
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
DEFAULT_WAIT_S = 30.0
ANSWER_MARGIN_S = 0.2
"""A wait ends this much before its caller's deadline, so that "not yet" still gets there."""
FIRST = Instant(1)
"""The first moment there is: the one before it is "never"."""


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


def start_request(request: pb.StartSagaRequest) -> StartRequest:
    """A start.

    Raises:
        InvalidRequest, InvalidDefinition, UnsupportedField.
    """
    admit(request)
    policy = read_retry_policy(request.retry_policy, "retry_policy") if request.HasField("retry_policy") else None
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
        mode=read_mode(request.mode),
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
        InvalidRequest: They are asked of a view that has no steps.
    """
    if request.step_ids and request.view not in (pb.SAGA_VIEW_UNSPECIFIED, pb.SAGA_VIEW_FULL):
        text = "are for the full view; leave view out, or take SAGA_VIEW_FULL"
        raise InvalidRequest((Violation("step_ids", text),))
    return frozenset(request.step_ids)


def refuse_unknown_steps(wanted: frozenset[str], saga: Saga) -> None:
    """Return if the saga has all of these steps.

    Raises:
        InvalidRequest: It does not.
    """
    if wanted and (unknown := sorted(wanted - {step.id for step in saga.steps})):
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        named = ", ".join(repr(step_id) for step_id in unknown[:MAX_NAMED])
        raise InvalidRequest((Violation("step_ids", f"saga {saga.id!r} has no step {named}{more}"),))


def states(values: Iterable["saga_pb2.SagaState.ValueType"]) -> frozenset[SagaState]:
    """States asked for."""
    return frozenset(read_state(v) for v in values)


def wait_request(request: pb.WaitSagaRequest, time_left_s: float | None) -> WaitRequest:
    """A wait whose caller has ``time_left_s``, None without a deadline."""
    timeout_s = span(request.timeout) / SECOND if request.HasField("timeout") else DEFAULT_WAIT_S
    if time_left_s is not None:
        timeout_s = min(timeout_s, max(time_left_s - ANSWER_MARGIN_S, 0.0))
    return WaitRequest(saga_id=request.saga_id, states=states(request.states), timeout_s=timeout_s)


def saga_filter(wanted: pb.SagaFilter, now: Instant) -> SagaFilter:
    """A filter."""
    return SagaFilter(
        states=states(wanted.states),
        definition_ids=frozenset(wanted.definition_ids),
        created_from=instant(wanted.created_from),
        created_to=_end(wanted.created_to) if wanted.HasField("created_to") else NEVER,
        updated_from=instant(wanted.updated_from),
        updated_to=_end(wanted.updated_to) if wanted.HasField("updated_to") else NEVER,
        labels=dict(wanted.labels),
        metadata=mapping(wanted.metadata),
        overdue_at=max(now - span(wanted.overdue_by), FIRST) if wanted.HasField("overdue_by") else NEVER,
        stuck=wanted.stuck,
    )


def _end(at: Timestamp) -> Instant:
    """An exclusive end; that of 1970's first moment is not "never"."""
    return max(instant(at), FIRST)


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
    """Items per page; 0 takes the default, too many are cut to the most allowed (AIP-158)."""
    return min(value or DEFAULT_PAGE, MAX_PAGE)
