"""SQLite keeps the contract."""

from pathlib import Path

import pytest

from swit_saga_server.core.units import Span
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.conformance import StateStorageConformance
from swit_saga_server.store.conformance.samples import T0
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.store.sqlite import SqliteStore


class SqliteBackend:
    """One file, and a clock that tests turn."""

    is_shared = False
    time_is_free = True

    def __init__(self, path: Path, partitions: int) -> None:
        self._path, self._partitions, self._now = path, partitions, T0

    def handle(self, codec: Codec = PRESENT) -> StateStorage:
        return SqliteStore(self._path, partitions=self._partitions, clock=lambda: self._now, codec=codec)

    async def pass_time(self, span: Span) -> None:
        self._now += span


class TestOnePartition(StateStorageConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> SqliteBackend:
        return SqliteBackend(tmp_path / "saga.db", 1)


class TestEightPartitions(StateStorageConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> SqliteBackend:
        return SqliteBackend(tmp_path / "saga.db", 8)
