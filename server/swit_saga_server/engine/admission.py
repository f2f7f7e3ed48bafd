"""Which starts are taken: what would only pile up is refused at once, before anything is spent on it.

Only starts are ever refused. Results, timers, cancels and compensations of what was taken go on whatever the load, or
the load would never end.
"""

from collections.abc import Iterable

from swit_saga_server.core.errors import CoordinatorOverloaded
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.store.contract import partition_of


class Admission:
    """Counts what was taken.

    Attributes:
        refused: Starts refused since this process began.
    """

    def __init__(self, max_sagas: int | None, max_waiting: int | None, longest_wait: Span | None) -> None:
        """Limit the sagas that are not over, and those that wait; None is no limit.

        Args:
            max_sagas: Of those this coordinator drives, starts under way included.
            max_waiting: Starts that wait to be taken in; and sagas that wait for a place for a step.
            longest_wait: For a start to be taken in.
        """
        self._max_sagas = max_sagas
        self._max_waiting = max_waiting
        self._longest_wait = longest_wait
        self._active: set[str] = set()
        self._starting: dict[str, int] = {}
        """Starts under way of sagas that are not active yet, by saga."""
        self.refused = 0

    @property
    def max_to_read(self) -> int:
        """How many sagas of a new partition are worth knowing: more than may be. 0 if none."""
        return 0 if self._max_sagas is None else self._max_sagas + 1

    def refusal(
        self, saga_id: str, *, queued: int = 0, starts_waiting: int = 0, wait: Span = NO_TIME, sagas_waiting: int = 0
    ) -> CoordinatorOverloaded | None:
        """Why a start is not taken now; None if it is. A start of what is known to be under way always is.

        Args:
            saga_id: As asked for; empty if it is still to be chosen.
            queued: Starts that wait before they come here.
            starts_waiting: Starts that came here and wait to be taken in.
            wait: How long this one would wait, as far as can be told.
            sagas_waiting: Sagas that wait for a place for a step.
        """
        if self._max_waiting is not None:
            if queued + starts_waiting >= self._max_waiting:
                return self._refuse(f"{self._max_waiting} starts are waiting already")
            if sagas_waiting >= self._max_waiting:
                return self._refuse(f"{self._max_waiting} sagas are waiting already for a place for a step")
        if self._longest_wait is not None and wait > self._longest_wait:
            return self._refuse(f"it would wait for more than {self._longest_wait / 1e6:g} s")
        if (
            self._max_sagas is not None
            and len(self._active) + len(self._starting) + queued >= self._max_sagas
            and saga_id not in self._active
        ):
            return self._refuse(f"{self._max_sagas} sagas are under way already (max_concurrent_sagas)")
        return None

    def starting(self, saga_id: str) -> None:
        """A start was taken; ``started`` follows in any case."""
        if self._max_sagas is not None and saga_id not in self._active:
            self._starting[saga_id] = self._starting.get(saga_id, 0) + 1

    def started(self, saga_id: str) -> None:
        """The start has its outcome, whatever it is."""
        left = self._starting.pop(saga_id, 0) - 1
        if left > 0:
            self._starting[saga_id] = left

    def note(self, saga: Saga) -> None:
        """``saga`` is what is durable."""
        if self._max_sagas is None:
            return
        self._starting.pop(saga.id, None)
        if saga.state.is_terminal:
            self._active.discard(saga.id)
        else:
            self._active.add(saga.id)

    def found(self, saga_ids: Iterable[str]) -> None:
        """Sagas not over, of a partition that was taken."""
        self._active.update(saga_ids)

    def lost(self, partition: int, partitions: int) -> None:
        """The partition is another coordinator's."""
        self._active -= {i for i in self._active if partition_of(i, partitions) == partition}

    def _refuse(self, why: str) -> CoordinatorOverloaded:
        self.refused += 1
        return CoordinatorOverloaded(why)
