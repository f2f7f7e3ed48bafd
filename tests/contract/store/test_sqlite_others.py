"""Other programs in the file of a running coordinator: what is their right, and what is not."""

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swit_saga_server.core.errors import StoreFault, StoreRefused, StoreUnavailable
from swit_saga_server.store import troubles
from swit_saga_server.store.conformance.backend import hold_all
from swit_saga_server.store.conformance.samples import applied, change, start
from swit_saga_server.store.sqlite import SqliteStore
from tests.contract.store.test_sqlite_file import opened
from tests.support.logs import logged

PROGRAM = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
for line in sys.argv[2:]:
    other.execute(line).fetchall()
other.close()
"""


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    monkeypatch.setattr("swit_saga_server.store.sqlite.file.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(troubles, "TROUBLED_EVERY_S", 0.05)
    with logged() as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saga.db"


async def another_runs(path: Path, *lines: str) -> None:
    """SQL, by a process of its own: within one process, closing the file would drop the locks of both."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, str(path), *lines)
    assert await process.wait() == 0


def sizes(path: Path) -> tuple[int, int]:
    return path.stat().st_size, Path(f"{path}-wal").stat().st_size


@pytest.mark.parametrize("how", ["vacuum", "select 1"])
async def test_what_is_made_smaller_is_not_cut_off(path: Path, logs: list[Any], how: str) -> None:
    """VACUUM, and the checkpoints that programs for backups make."""
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        await another_runs(
            path,
            "create table filler as with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)"
            " select randomblob(4000) from n",
            "pragma wal_checkpoint(passive)",
            "drop table filler",
        )
        await applied(store, leases, start())  # Here it sees how large they are.
        before = sizes(path)
        await another_runs(path, how, "pragma wal_checkpoint(truncate)")
        after = sizes(path)
        assert after[1] < before[1]
        assert (after[0] < before[0]) == (how == "vacuum")
        await applied(store, leases, change(saga))
        assert store.trouble == ""
        assert not [line for line in logs if line["event"] == "store_unavailable"]


async def test_tables_that_are_gone_are_damage(path: Path, logs: list[Any]) -> None:
    """Nothing can be written: health is to know, and whoever asks is told what to do."""
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        await applied(store, leases, start())
        await another_runs(path, "drop table step")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="damaged: no such table: step; stop, and restore"):
                await store.commit([start()], leases)
        assert "damaged" in store.trouble
        assert len([line for line in logs if line["event"] == "store_unavailable"]) == 1


async def test_rows_that_are_there_already_are_not_the_values_fault(path: Path) -> None:
    """A start that meets them is not refused as one that can never be written."""
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        await applied(store, leases, start())
        await another_runs(path, "delete from saga")  # And not from the other tables.
        with pytest.raises(StoreFault, match="UNIQUE"):
            await store.commit([start()], leases)


@pytest.mark.parametrize("table", ["step", "event", "meta", "inbox", "definition"])
async def test_a_table_that_is_gone_at_the_start(path: Path, table: str) -> None:
    async with opened(path):
        pass
    await another_runs(path, f"drop table {table}")
    with pytest.raises(StoreRefused, match=f"damaged: it lacks the table {table}; restore"):
        await SqliteStore(path).open()


async def test_a_disk_that_is_full_at_the_very_start(path: Path) -> None:
    """SQLite rolls back by itself; it is told as what it is."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limit[1]))
    try:
        with pytest.raises(StoreUnavailable, match="SQLite cannot open"):
            await SqliteStore(path).open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/null", path)])
async def test_what_is_no_regular_file(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(StoreRefused, match="regular file"):
        await SqliteStore(path).open()
    assert list(path.parent.iterdir()) == [path]
