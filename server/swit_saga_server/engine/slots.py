"""How many commands may be open at once, in all and per participant; who must wait for room waits here, in order.

What counts is the state, not the network: a command is open from the decision that intends it until the one that takes
its answer. A saga that goes on after an answer keeps the room its last command had, so that what was begun is finished
before more is begun. Compensations and resends after a takeover count, but never wait.

Nothing here is durable: a saga that waits is overdue in the store, and is found there by whoever comes next.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.model import Saga


class Slots:
    """Open commands, and the sagas that wait for room."""

    def __init__(self, most: int | None, most_of: Mapping[str, int]) -> None:
        """Limit open commands to ``most`` in all, and to ``most_of[participant]``; unlimited where nothing is said."""
        self._most = most
        self._most_of = dict(most_of)
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
        """Sagas that wait for room."""
        return len(self._queue_of)

    def is_waiting(self, saga_id: str) -> bool:
        """Whether it waits for room."""
        return saga_id in self._queue_of

    def take(self, before: Saga, after: Saga, definition: Definition) -> str | None:
        """Note what is open when ``before`` has become ``after``, which waits no more then.

        Returns:
            None; or the participant for which there is no room, and then nothing is noted.
        """
        saga_id = after.id
        own, then = self._open.get(saga_id, ()), _open(after, definition)
        if then != own:  # Else it goes on in the room it had.
            for i, step in enumerate(after.steps):
                was = before.steps[i].call
                if not step.call.in_flight or (was.in_flight and was.attempts == step.call.attempts):
                    continue
                participant = definition.steps[i].participant
                if self._is_behind(saga_id, participant, own) or self._is_full(participant, own, then):
                    return participant
            self._set(saga_id, then)
        self._leave(saga_id)
        self._called.pop(saga_id, None)
        return None

    def wait(self, saga: Saga, definition: Definition, participant: str) -> None:
        """It waits for room from now on; one that was called and came too late stands where it stood."""
        saga_id = saga.id
        self._set(saga_id, _open(saga, definition))
        if saga_id in self._queue_of:
            return
        ticket = self._called.pop(saga_id, None)
        queue = self._queues.setdefault(participant, OrderedDict())
        if ticket is None:
            self._ticket += 1
            ticket = self._ticket
        queue[saga_id] = ticket
        if ticket < self._ticket:
            queue.move_to_end(saga_id, last=False)
        self._queue_of[saga_id] = participant

    def call(self) -> str | None:
        """Whose turn it is: the one that has waited longest of those for whom there is room; None if there is none.

        The room is kept for it until ``take``, ``wait`` or ``forget`` says what became of it.
        """
        if not self._queue_of or (self._most is not None and self._total >= self._most):
            return None
        best: tuple[int, str] | None = None
        for participant, queue in self._queues.items():
            if not queue or self._of[participant] >= self._most_of.get(participant, self._of[participant] + 1):
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
        """It is no longer known here what is open for it, or it is another coordinator's."""
        self._set(saga_id, ())
        self._leave(saga_id)
        self._called.pop(saga_id, None)

    def known(self) -> set[str]:
        """All sagas of which something is known here."""
        return {*self._open, *self._queue_of, *self._called}

    def _is_behind(self, saga_id: str, participant: str, own: tuple[str, ...]) -> bool:
        """Whether others have waited for longer. Who was called stands before them all, and so does who has room."""
        if not self._queues.get(participant) or saga_id in self._called:
            return False
        return not own or (participant in self._most_of and participant not in own)

    def _is_full(self, participant: str, own: tuple[str, ...], then: tuple[str, ...]) -> bool:
        if self._most is not None and self._total - len(own) + len(then) > max(self._most, self._total):
            return True
        most = self._most_of.get(participant)
        of = self._of[participant]
        return most is not None and of - own.count(participant) + then.count(participant) > max(most, of)

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


def _open(saga: Saga, definition: Definition) -> tuple[str, ...]:
    """The participants of the saga's open commands, one for each."""
    found: tuple[str, ...] = ()
    for step in saga.steps:
        if step.call.in_flight or (step.compensation is not None and step.compensation.call.in_flight):
            found += (definition.steps[step.index].participant,)
    return found
