"""The file of a running coordinator, and what becomes of it: one holder by whatever name, and no word given in vain."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.store import troubles
from swit_saga_server.store.conformance.backend import hold_all
from swit_saga_server.store.conformance.samples import applied, change, start
from swit_saga_server.store.contract import Lease
from swit_saga_server.store.sqlite import SqliteStore
from tests.contract.store.test_sqlite_file import another_process, content, full_disk, opened
from tests.support.logs import logged
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    monkeypatch.setattr(troubles, "QUIET_S", 0.05)
    monkeypatch.setattr(troubles, "TROUBLED_EVERY_S", 0.05)
    with logged() as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "saga.db"


# ---- one holder ------------------------------------------------------------------------------------------------------


def a_symbolic_link(path: Path) -> Path:
    (path.parent.parent / "link.db").symlink_to(path)
    return path.parent.parent / "link.db"


def a_link_to_a_link(path: Path) -> Path:
    (path.parent.parent / "again.db").symlink_to(a_symbolic_link(path))
    return path.parent.parent / "again.db"


def a_linked_folder(path: Path) -> Path:
    (path.parent.parent / "other").symlink_to(path.parent)
    return path.parent.parent / "other" / path.name


def a_hard_link(path: Path) -> Path:
    os.link(path, path.parent.parent / "hard.db")
    return path.parent.parent / "hard.db"


def a_detour(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def a_relative_path(path: Path) -> Path:
    return Path(os.path.relpath(path))


NAMES = [a_symbolic_link, a_link_to_a_link, a_linked_folder, a_hard_link, a_detour, a_relative_path]


@pytest.mark.parametrize("other_name", NAMES)
async def test_by_any_other_name_it_is_in_use(path: Path, other_name: Callable[[Path], Path]) -> None:
    """By this process and by another: refused in words, and whoever has it is not disturbed."""
    async with opened(path) as store:
        other = other_name(path)
        for _ in range(2):
            with pytest.raises(StoreRefused, match="in use by another coordinator"):
                await SqliteStore(other).open()
        await applied(store, await hold_all(store, "me"), start())
    async with another_process(path):
        with pytest.raises(StoreRefused, match="in use by another coordinator"):
            await SqliteStore(other).open()
    async with opened(other):
        pass


async def test_by_a_link_it_is_the_same_file(path: Path) -> None:
    """Its log stands beside the file, not beside the link."""
    async with opened(path) as store:
        (saga,) = await applied(store, await hold_all(store, "me"), start())
    async with opened(a_symbolic_link(path)) as store:
        assert await store.load([saga.id]) == [saga]
        assert f"{path.name}-wal" in os.listdir(path.parent)
    assert sorted(p.name for p in path.parent.parent.iterdir()) == ["data", "link.db"]


# ---- what becomes of it ----------------------------------------------------------------------------------------------


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def replaced_by_nothing(path: Path) -> None:
    path.unlink()
    path.touch()


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def folder_gone(path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def log_deleted(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def log_cut_off(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


def log_index_deleted(path: Path) -> None:
    Path(f"{path}-shm").unlink()


FATES = [
    deleted, moved, replaced, replaced_by_nothing, cut_off, folder_gone, folder_moved, log_deleted, log_cut_off,
    log_index_deleted,
]  # fmt: skip


def spoil(path: Path, at: int) -> bytes:
    """Overwrite most of it; what it is then."""
    size = path.stat().st_size
    with path.open("r+b") as spoiled:
        spoiled.seek(at)
        spoiled.write(b"\xa5" * (size - at - 8 * 4096))
    return path.read_bytes()


@pytest.mark.parametrize("fate", FATES)
async def test_nothing_is_acknowledged_into_nowhere(path: Path, logs: list[Any], fate: Callable[[Path], None]) -> None:
    """It is noticed within a second or two, by whoever writes and by itself; it is said once, and it stays so."""
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        await applied(store, leases, start())
        fate(path)
        await eventually(lambda: store.trouble, within_s=2)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="until it is back"):
                await store.commit([start()], leases)
            with pytest.raises(StoreUnavailable):
                await store.load(["x"])
        said = [line for line in logs if line["event"] == "store_unavailable"]
        assert len(said) == 1
        assert str(path) in said[0]["error"]
        assert not [line for line in logs if line["event"] == "store_available_again"]


@pytest.mark.parametrize("fate", FATES)
async def test_whoever_writes_notices_it_by_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch, fate: Callable[[Path], None]
) -> None:
    monkeypatch.setattr("swit_saga_server.store.sqlite.file.LOOK_EVERY_S", 0.0)
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        await applied(store, leases, start())
        fate(path)
        with pytest.raises(StoreUnavailable, match="until it is back"):
            await store.commit([start()], leases)


async def test_what_was_only_moved_comes_back_by_itself(path: Path, logs: list[Any]) -> None:
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        folder_moved(path)
        await eventually(lambda: store.trouble)
        path.parent.with_name("elsewhere").rename(path.parent)
        await eventually(lambda: not store.trouble)
        await applied(store, leases, change(saga))
        assert [x["event"] for x in logs] == ["store_unavailable", "store_available_again"]


async def test_a_full_disk_is_waited_for(path: Path, logs: list[Any]) -> None:
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        with full_disk(100_000):
            with pytest.raises(StoreUnavailable):
                await store.commit([change(saga, stop_reason="x" * 300_000)], leases)
            assert store.trouble
        await eventually(lambda: not store.trouble)
        await applied(store, leases, change(saga))
        assert [x["event"] for x in logs] == ["store_unavailable", "store_available_again"]


async def test_damage_while_it_runs_is_said_and_stays(path: Path, logs: list[Any]) -> None:
    """Also of pages that are still read from the disk: nothing more is written into a damaged file."""
    async with opened(path, partitions=8) as store:
        leases: dict[int, Lease] = await hold_all(store, "me")
        for _ in range(30):
            await applied(store, leases, *(start() for _ in range(40)))
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        spoil(path, 8 * 4096)
        with suppress(StoreUnavailable):
            await store.count()
            for p in range(store.partitions):
                await store.due(p, leases[p].expires_at, 10_000)
        await eventually(lambda: "damaged" in store.trouble)
        with pytest.raises(StoreUnavailable, match="restore it from a backup"):
            await store.commit([start()], leases)


# ---- at the start ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1, 3])
async def test_a_damaged_file_is_refused_in_words(path: Path, first: int) -> None:
    async with opened(path, partitions=8) as store:
        leases = await hold_all(store, "me")
        for _ in range(10):
            await applied(store, leases, *(start() for _ in range(40)))
    before = spoil(path, first * 4096 + (100 if first == 0 else 0))
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"cannot be used|damaged") as refused:
            await SqliteStore(path).open()
        assert str(path) in str(refused.value)
    assert content(path) == before


async def test_a_log_without_its_file_is_not_thrown_away(path: Path) -> None:
    """It may hold what was acknowledged, and SQLite would delete it."""
    async with another_process(path) as process:
        process.kill()
        await process.wait()
    moved(path)
    with pytest.raises(StoreRefused, match="its log is"):
        await SqliteStore(path).open()
    os.replace(path.with_name("moved.db"), path)
    async with opened(path):
        pass
