"""What the log says of participants that leave answers in doubt: that they do, now and then how many, and the end.

A participant that is down leaves a doubt for every saga that needs it, thousands a second; people need one line.
"""

from collections import Counter

from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.inputs import Answered, Unknown
from swit_saga_server.core.texts import cut
from swit_saga_server.core.units import SECOND, Instant, Span
from swit_saga_server.engine.environment import Clock
from swit_saga_server.engine.working_set import WorkingSet
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

LOGGED_BYTES = 500
"""Of a participant's own words, in one line of the log."""
QUIET = 5 * SECOND
"""Without a doubt for this long, an answer says that a participant is well again."""


class Doubts:
    """Answers in doubt, by participant.

    Attributes:
        of_late: When the last one was. Only while there are some need certain answers be noted.
    """

    def __init__(self, working_set: WorkingSet, clock: Clock) -> None:
        self.of_late: dict[str, Span] = {}
        self._working_set = working_set
        self._clock = clock
        self._first: dict[str, Span] = {}
        self._count: Counter[str] = Counter()

    def note(self, saga_id: str, answered: Answered, error: SagaError) -> None:
        """An answer that is none, or one that cannot be used."""
        participant, now = self._participant(saga_id, answered), self._clock.elapsed()
        is_doubt = isinstance(answered.answer, Unknown)
        if is_doubt:
            self._first.setdefault(participant, now)
            self.of_late[participant] = now
            self._count[participant] += 1
        log.warning(
            "step_in_doubt" if is_doubt else "output_not_usable",
            fold_by=(participant, error.code),
            participant=participant,
            saga_id=saga_id,
            step=answered.step_index,
            attempt=answered.send_id.attempt,
            kind=answered.kind.value,
            code=error.code,
            error=cut(error.message, LOGGED_BYTES),
        )

    def note_answer(self, saga_id: str, answered: Answered) -> None:
        """A certain answer, while there were doubts of late."""
        now = self._clock.elapsed()
        if all(now - last < QUIET for last in self.of_late.values()):
            return
        participant = self._participant(saga_id, answered)
        if participant in self.of_late and now - self.of_late[participant] >= QUIET:
            del self.of_late[participant]
            log.info(
                "participant_answers_again",
                participant=participant,
                in_doubt=self._count.pop(participant),
                since_s=round((now - self._first.pop(participant)) / 1e6, 1),
            )

    def _participant(self, saga_id: str, answered: Answered) -> str:
        """Who was asked; empty if the saga is not in memory, so that nobody knows here."""
        entry = self._working_set.find(saga_id, self._now)
        steps = entry.definition.steps if entry is not None and entry.definition is not None else ()
        return steps[answered.step_index].participant if answered.step_index < len(steps) else ""

    def _now(self) -> Instant:
        return self._clock.now()
