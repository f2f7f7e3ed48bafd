"""Coordinators of two versions side by side: which worlds have them, and what the versions are.

They are made up from this one: who started a saga came with level 2, and the older version does not have it. Some
starts say so, on their first try only: a start that is refused for it is tried again without.

One slot's lives are newer and older in turn, all others are newer. The newer write nothing that an older one which
lives cannot read; but each older life comes into a world in which that was written before.
"""

from swit_saga_server.core.principal import Principal
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from swit_saga_server.store.codec import PRESENT, Codec
from tests.support.simulation.draws import Draws
from tests.support.simulation.faults import PlannedFault

SINCE = {"Saga.started_by": 2}
CODECS = {1: Codec(1, SINCE), 2: Codec(2, SINCE)}
MET = "record of a newer level met"
"""What the store notes when it refuses to read one to an older version."""
SOMEBODY = Principal("somebody")

NEWER, IN_TURN = (2,), (2, 1)
"""Levels of a slot's lives, over and over."""


def codec_of(levels: tuple[int, ...], life: int) -> Codec:
    """What a slot's life reads and writes; this version if no levels are planned."""
    return CODECS[levels[life % len(levels)]] if levels else PRESENT


class PlannedLevels:
    """One world's, drawn apart, so that a world of one version is as it was without this."""

    def __init__(self, draws: Draws, slots: int, calm_at: Span) -> None:
        self._draws = draws
        self._slots = slots
        self._calm_at = calm_at
        self.mixed = draws.chance("mixed", 0.2) and slots > 1
        self._in_turn = draws.below("slot", slots)

    def of_slot(self, number: int) -> tuple[int, ...]:
        """Levels of its lives."""
        if not self.mixed:
            return ()
        return IN_TURN if number == self._in_turn else NEWER

    def is_newer(self, saga: int) -> bool:
        """Whether its starts say who starts it."""
        return self.mixed and self._draws.of("saga", saga).chance("newer", 0.6)

    def faults(self) -> list[PlannedFault]:
        """Changes from one version to the other, in good order, besides what else befalls that slot."""
        if not self.mixed:
            return []
        each = [self._draws.of("change", n) for n in range(self._draws.whole("changes", 1, 3))]
        return [
            PlannedFault(
                at=100 * MILLISECOND + draws.below("at", self._calm_at - 100 * MILLISECOND),
                kind="handover",
                slot=self._in_turn,
                span=draws.below("away", SECOND),
            )
            for draws in each
        ]
