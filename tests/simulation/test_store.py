"""The simulated store keeps the contract; or the simulator would find the wrong bugs."""

import random

import pytest

from swit_saga_server.core.units import Span
from swit_saga_server.store.conformance import StateStorageConformance
from swit_saga_server.store.conformance.samples import T0
from swit_saga_server.store.contract import StateStorage
from tests.support.simulation.store import SimStore


class SimBackend:
    """One set of data; a handle on it is a store object that shares it."""

    time_is_free = True
    is_shared = True

    def __init__(self, partitions: int) -> None:
        self._partitions, self._now, self._rng = partitions, T0, random.Random(1)
        self._data = self._new().data

    def _new(self) -> SimStore:
        return SimStore(self._partitions, lambda: self._now, self._rng)

    def handle(self) -> StateStorage:
        store = self._new()
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
