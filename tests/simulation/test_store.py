"""The simulated store keeps the contract; or the simulator would find the wrong bugs."""

import random
from dataclasses import dataclass, field, fields

import pytest

from swit_saga_server.core.units import Instant, Span
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.conformance import StateStorageConformance
from swit_saga_server.store.conformance.samples import T0
from swit_saga_server.store.contract import Lease, StateStorage
from tests.support.simulation.store import Data, SimStore


class SimBackend:
    """One set of data; a handle on it is a store object that shares it."""

    time_is_free = True
    is_shared = True

    def __init__(self, partitions: int) -> None:
        self._partitions, self._now, self._rng = partitions, T0, random.Random(1)
        self._data = self._new().data

    def _new(self, codec: Codec = PRESENT) -> SimStore:
        return SimStore(self._partitions, lambda: self._now, self._rng, codec=codec)

    def handle(self, codec: Codec = PRESENT) -> StateStorage:
        store = self._new(codec)
        store.data = self._data
        return store

    async def pass_time(self, span: Span) -> None:
        self._now += span


class TestOnePartition(StateStorageConformance):
    @pytest.fixture
    def backend(self) -> SimBackend:
        return SimBackend(1)


class TestEightPartitions(StateStorageConformance):
    @pytest.fixture
    def backend(self) -> SimBackend:
        return SimBackend(8)


@dataclass
class More(Data):
    """What a later capability adds."""

    cursors: dict[str, int] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)


def test_a_snapshot_has_everything() -> None:
    """A rewind must not empty what nobody thought of: every container is copied, and none is shared."""
    data = More(position=7, cursors={"a": 1}, tombstones={"s"}, leases={0: (Lease(0, 1, "n", Instant(2)), "me")})
    snapshot = data.copy()
    assert snapshot == data
    for each in fields(Data):
        container = getattr(data, each.name)
        assert isinstance(container, int) or container is not getattr(snapshot, each.name), each.name
    data.cursors["a"] = 2
    data.tombstones.clear()
    data.leases.clear()
    assert (snapshot.cursors, snapshot.tombstones, len(snapshot.leases)) == ({"a": 1}, {"s"}, 1)
