"""How many commands may be open at once, in all and per participant; who must wait for a place waits here, in order.

What counts is the state, not the network: a command is open from the decision that intends it until the one that takes
its answer. A saga that goes on after an answer keeps the place of its last command, so that what was begun is finished
before more is begun. Compensations and resends after a takeover count, but never wait.

Nothing here is durable: a saga that waits is overdue in the store, and is found there by whoever comes next.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.gate import UNLIMITED, Gate, Reason, Waiting
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import Saga


class ConcurrencyLimiter:
    """Open commands, and the sagas that wait for a place."""

    def __init__(self, max_open: int | None, max_of: Mapping[str, int]) -> None:
        """Limit open commands to ``max_open`` in all and to ``max_of[participant]``; None and unnamed: unlimited."""
        self._max = max_open
        self._max_of = dict(max_of)
        self._open: dict[str, tuple[str, ...]] = {}
        """By saga: the participants of its open commands."""
        self._total = 0
        self._of: Counter[str] = Counter()
        self._queues: dict[str, OrderedDict[str, int]] = {}
        """By participant: the sagas that wait, and when they came."""
        self._queue_of: dict[str, str] = {}
        self._ticket = 0
        self._called: dict[str, int] = {}

    @property
    def open(self) -> int:
        """Open commands."""
        return self._total

    @property
    def waiting(self) -> int:
        """Sagas that wait for a place."""
        return len(self._queue_of)

    def is_waiting(self, saga_id: str) -> bool:
        """Whether it waits for a place."""
        return saga_id in self._queue_of

    def gate(self, saga_id: str) -> Gate:
        """What the saga may have open, as things stand."""
        return _Gate(self, saga_id)

    def note(self, after: Saga, definition: Definition, waiting: Sequence[Waiting]) -> None:
        """Take in what became of a saga, and what it waits for.

        One that was called and came too late stands where it stood.
        """
        saga_id = after.id
        self._set(saga_id, _open(after, definition))
        if not waiting:
            self._leave(saga_id)
            self._called.pop(saga_id, None)
            return
        if saga_id in self._queue_of:
            return
        participant, ticket = waiting[0].participant, self._called.pop(saga_id, None)
        queue = self._queues.setdefault(participant, OrderedDict())
        if ticket is None:
            self._ticket += 1
            ticket = self._ticket
        queue[saga_id] = ticket
        if ticket < self._ticket:
            queue.move_to_end(saga_id, last=False)
        self._queue_of[saga_id] = participant

    def call(self) -> str | None:
        """Whose turn it is: the one that has waited longest of those for whom there is a place; None if there is none.

        The place is kept for it until ``note`` or ``forget`` says what became of it.
        """
        if not self._queue_of or (self._max is not None and self._total >= self._max):
            return None
        best: tuple[int, str] | None = None
        for participant, queue in self._queues.items():
            if not queue or self._of[participant] >= self._max_of.get(participant, self._of[participant] + 1):
                continue
            saga_id, ticket = next(iter(queue.items()))
            if best is None or ticket < best[0]:
                best = ticket, saga_id
        if best is None:
            return None
        ticket, saga_id = best
        participant = self._queue_of[saga_id]
        self._leave(saga_id)
        self._called[saga_id] = ticket
        self._set(saga_id, (*self._open.get(saga_id, ()), participant))
        return saga_id

    def forget(self, saga_id: str) -> None:
        """This coordinator no longer knows what the saga has open, or another one holds the saga."""
        self._set(saga_id, ())
        self._leave(saga_id)
        self._called.pop(saga_id, None)

    def known(self) -> set[str]:
        """All sagas of which something is known here."""
        return {*self._open, *self._queue_of, *self._called}

    def in_all(self, saga_id: str) -> int:
        """How many commands the saga may have open: those it has, and what is free."""
        own = len(self._open.get(saga_id, ()))
        return UNLIMITED if self._max is None else own + max(self._max - self._total, 0)

    def places(self, saga_id: str, participant: str) -> int:
        """The same for one participant."""
        own = self._open.get(saga_id, ())
        if self._is_behind(saga_id, participant, own):
            return own.count(participant)
        limit = self._max_of.get(participant)
        return UNLIMITED if limit is None else own.count(participant) + max(limit - self._of[participant], 0)

    def _is_behind(self, saga_id: str, participant: str, own: tuple[str, ...]) -> bool:
        """Whether others have waited for longer. Who was called stands before them all, and so does who has a place."""
        if not self._queues.get(participant) or saga_id in self._called:
            return False
        return not own or (participant in self._max_of and participant not in own)

    def _set(self, saga_id: str, participants: tuple[str, ...]) -> None:
        was = self._open.pop(saga_id, ())
        if participants:
            self._open[saga_id] = participants
        if was != participants:
            self._total += len(participants) - len(was)
            for participant in was:
                self._of[participant] -= 1
            for participant in participants:
                self._of[participant] += 1

    def _leave(self, saga_id: str) -> None:
        participant = self._queue_of.pop(saga_id, None)
        if participant is not None:
            del self._queues[participant][saga_id]


class _Gate:
    """One saga's view of the limits. Compensations are never held back: what must be undone goes before what is new."""

    __slots__ = ("_limiter", "_saga_id")

    def __init__(self, limiter: ConcurrencyLimiter, saga_id: str) -> None:
        self._limiter = limiter
        self._saga_id = saga_id

    def in_all(self, kind: Kind) -> int:
        return self._limiter.in_all(self._saga_id) if kind is Kind.EXECUTE else UNLIMITED

    def places(self, participant: str, kind: Kind) -> int | Reason:
        return self._limiter.places(self._saga_id, participant) if kind is Kind.EXECUTE else UNLIMITED


def _open(saga: Saga, definition: Definition) -> tuple[str, ...]:
    """The participants of the saga's open commands, one for each."""
    found: tuple[str, ...] = ()
    for step in saga.steps:
        if step.call.in_flight or (step.compensation is not None and step.compensation.call.in_flight):
            found += (definition.steps[step.index].participant,)
    return found
