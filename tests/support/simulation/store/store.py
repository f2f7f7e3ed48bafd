"""The simulated store, put together from its ports, and what the world asks of it."""

import random
from collections.abc import Callable

from swit_saga_server.core.units import Instant
from swit_saga_server.store.assembled import AssembledStore
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.fleet import Fleet
from tests.support.simulation.observed import Observation, Remains
from tests.support.simulation.store.data import Data, Memory
from tests.support.simulation.store.definitions import SimDefinitions
from tests.support.simulation.store.hints import SimHints
from tests.support.simulation.store.inbox import SimInbox
from tests.support.simulation.store.leases import SimLeases
from tests.support.simulation.store.listing import SimListing
from tests.support.simulation.store.reading import SimReading
from tests.support.simulation.store.retention import SimRetention
from tests.support.simulation.store.rounds import SimRounds


class SimStore(AssembledStore):
    """``StateStorage`` on ``data``. See ``contract`` for what its methods guarantee."""

    def __init__(
        self,
        partitions: int,
        clock: Callable[[], Instant],
        rng: random.Random,
        *,
        saw: Callable[[Observation], None] = lambda seen: None,
        true_time: Callable[[], Instant] | None = None,
        codec: Codec = PRESENT,
    ) -> None:
        """An empty store.

        Args:
            partitions: Their number.
            clock: The store's clock.
            rng: For nonces.
            saw: Told of every lease, judged write and posted entry.
            true_time: For observations; the store's clock by default.
            codec: Of the version that the store is to be.
        """
        self._memory = memory = Memory(partitions, clock, true_time or clock, saw, Fleet(codec))
        hints = SimHints()
        super().__init__(
            leases=SimLeases(memory, hints, rng),
            rounds=SimRounds(memory, hints),
            inbox=SimInbox(memory, hints),
            reading=SimReading(memory),
            listing=SimListing(memory),
            retention=SimRetention(memory),
            definitions=SimDefinitions(memory),
            hints=hints,
        )

    @property
    def partitions(self) -> int:
        return self._memory.partitions

    @property
    def data(self) -> Data:
        """Everything stored."""
        return self._memory.data

    @data.setter
    def data(self, data: Data) -> None:
        self._memory.data = data

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    @property
    def is_settled(self) -> bool:
        """Every saga has its outcome and every inbox is empty."""
        return all(r.saga.state.is_terminal for r in self.data.sagas.values()) and all(
            x.answer is not None for x in self.data.inbox.values()
        )

    def remains(self) -> list[Remains]:
        """Every saga as it is now."""
        at = self._memory.true_time()
        return [
            Remains(at=at, saga=r.saga, events=r.events, due_at=r.due_at, in_flight=r.in_flight)
            for _, r in sorted(self.data.sagas.items())
        ]

    def orphans(self) -> tuple[str, ...]:
        """Ids of sagas whose definition is not here."""
        pins = {i: (r.saga.definition_id, r.saga.definition_version, r.saga.definition_digest)
                for i, r in self.data.sagas.items()}  # fmt: skip
        return tuple(sorted(i for i, pin in pins.items() if pin not in self.data.definitions))
