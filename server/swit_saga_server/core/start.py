"""How a saga comes to be: from a start request and its definition to the first, pending, state."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from swit_saga_server.core.definition import CoordinatorMode, Definition
from swit_saga_server.core.model import Saga, Settings, StepState, TraceContext
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import ANONYMOUS, Principal
from swit_saga_server.core.record import record
from swit_saga_server.core.retry import RetryPolicy
from swit_saga_server.core.units import Instant, Span


@record(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A start as the caller sent it.

    Attributes:
        saga_id: Chosen by the caller; empty lets the coordinator choose (and then nothing can be deduplicated).
        definition_id: A registered definition; empty if ``definition`` is given.
        definition_version: 0 takes the latest that is not disabled.
        definition: An inline definition; None if a registered one is named.
        timeout, retry_policy: Override the definition's.
    """

    saga_id: str = ""
    definition_id: str = ""
    definition_version: int = 0
    definition: Definition | None = None
    initial_data: Payload | None = None
    timeout: Span | None = None
    retry_policy: RetryPolicy | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    correlation_id: str = ""
    service: str = ""
    mode: CoordinatorMode = CoordinatorMode.ORCHESTRATION


def new_saga(
    request: StartRequest,
    definition: Definition,
    *,
    saga_id: str,
    version: int,
    digest: str,
    fingerprint: str,
    defaults: Settings,
    trace: TraceContext,
    source: str,
    now: Instant,
    started_by: Principal = ANONYMOUS,
) -> Saga:
    """The saga in its first state, ``pending`` at version 1. A ``Wake`` sets it going.

    Args:
        request: As it came.
        definition: The definition it names or carries.
        saga_id: The caller's, or one just chosen.
        version: Of the definition; 0 for an inline one.
        digest: Of the definition's content.
        fingerprint: Of the request as sent.
        defaults: The coordinator's; the request and then the definition go before them.
        trace: The caller's trace with the saga's own span.
        source: The coordinator that creates it.
        now: The time by the store's clock.
        started_by: Who asks for it.
    """
    settings = Settings(
        timeout=request.timeout or definition.timeout or defaults.timeout,
        step_timeout=defaults.step_timeout,
        retry_policy=request.retry_policy or definition.retry_policy or defaults.retry_policy,
        compensation_retry_policy=definition.compensation_retry_policy or defaults.compensation_retry_policy,
    )
    return Saga(
        id=saga_id,
        version=1,
        definition_id=definition.id,
        definition_version=version,
        definition_digest=digest,
        name=definition.name or definition.id,
        description=definition.description,
        mode=request.mode,
        compensation_strategy=definition.compensation_strategy,
        settings=settings,
        steps=tuple(StepState(id=s.id, index=i, created_at=now) for i, s in enumerate(definition.steps)),
        created_at=now,
        updated_at=now,
        initial_data=request.initial_data,
        fingerprint=fingerprint,
        labels=request.labels,
        metadata=request.metadata or definition.metadata,
        correlation_id=request.correlation_id or saga_id,
        source=source,
        service=request.service,
        trace=trace,
        started_by=started_by,
    )
