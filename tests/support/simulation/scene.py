"""What everything simulated has in common: the time, the chances, and the record of what was seen."""

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from swit_saga_server.core.units import NO_TIME, Instant, Span
from tests.support.simulation.draws import Rolls, rolls
from tests.support.simulation.observed import Fault, Noted, Observation
from tests.support.simulation.virtual_loop import VirtualLoop

BEGINNING = Instant(1_790_000_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Chances, in [0, 1], that something happens to one message while the faults last.

    Attributes:
        store: That a call to the store loses its request, loses its reply, is late or is slow; each.
        message: That a command or its answer is lost, delayed or doubled; each.
        client: That a client's request or the reply to it is lost; each.
        hint: That a wake-up of the store is lost.
    """

    store: float = 0.0
    message: float = 0.0
    client: float = 0.0
    hint: float = 0.0


CALM = Weather()


@dataclass(slots=True, eq=False)
class Scene:
    """One world's stage.

    Attributes:
        weather: In force now; ``CALM`` once the faults are over.
        store_step: The store's clock minus true time.
        outage: The store cannot be reached now.
    """

    seed: int
    loop: VirtualLoop
    weather: Weather = CALM
    store_step: Span = NO_TIME
    outage: bool = False
    observations: list[Observation] = field(default_factory=list)
    world: Context = field(default_factory=Context)

    def now(self) -> Instant:
        """True time."""
        return BEGINNING + self.loop.ticks

    def store_now(self) -> Instant:
        """The store's clock."""
        return self.now() + self.store_step

    def saw(self, observation: Observation) -> None:
        """Put it on record."""
        self.observations.append(observation)

    def fault(self, kind: str, on: str) -> None:
        """Put a fault on record."""
        self.observations.append(Fault(at=self.now(), kind=kind, on=on))

    def note(self, what: str, on: str) -> None:
        """Put a situation on record, for the count of what was really tested."""
        self.observations.append(Noted(at=self.now(), what=what, on=on))

    def rolls(self, *identity: str | int) -> Rolls:
        """Eight uniform numbers in [0, 1) for one message: by what it is, not by how many came before it."""
        return rolls(self.seed, *identity)

    def later(self, span: Span | float, call: Callable[..., Any], *args: Any, context: Context | None = None) -> None:
        """Call in ``span`` microseconds, by the world's own hand unless another context is given."""
        self.loop.call_later(int(span) / 1e6, call, *args, context=context or self.world)
