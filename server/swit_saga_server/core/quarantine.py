"""Setting aside a saga on which the machine itself failed: durably visible, tried again later, nothing else touched."""

from swit_saga_server.core.draft import COORDINATOR_SERVICE, Decision
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.events import EventType, SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.record import evolve
from swit_saga_server.core.units import HOUR, MINUTE, Instant


def quarantine(saga: Saga, error: SagaError, now: Instant) -> Decision:
    """The first failure in a row is an event; the wait doubles from one minute to one hour."""
    times = saga.quarantined + 1
    first = saga.quarantined == 0
    at = max(now, saga.updated_at)
    event = SagaEvent(
        sequence=saga.last_sequence + 1, type=EventType.SAGA_STUCK, at=at, error=error, service=COORDINATOR_SERVICE
    )
    after = evolve(
        saga,
        version=saga.version + 1,
        quarantined=times,
        quarantined_until=at + min(MINUTE << min(times - 1, 10), HOUR),
        last_sequence=saga.last_sequence + first,
        updated_at=at,
    )
    return Decision(after, (event,) if first else ())
