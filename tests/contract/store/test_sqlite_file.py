"""What SQLite alone promises: one process at a time, nothing acknowledged is lost to a kill, bad files are refused."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.core.units import MINUTE
from swit_saga_server.store.conformance.backend import hold_all
from swit_saga_server.store.conformance.samples import applied, change, event, start
from swit_saga_server.store.contract import Hint, InboxEntry, Verdict, partition_of
from swit_saga_server.store.sqlite import SqliteStore
from swit_saga_server.store.sqlite.file import SqliteFile
from tests.support.waiting import turn

SAGAS = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saga.db"


@asynccontextmanager
async def opened(path: Path, partitions: int = 1) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, partitions=partitions)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def another_process(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """It has the file open and writes as fast as it can; killed at the end, if not before."""
    command = (sys.executable, "-m", "tests.support.store.sqlite_writer", str(path), str(SAGAS))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        while (line := await process.stdout.readline()) != b"open\n":
            assert line, "it ended"  # Else it was logged.
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_second_process_is_refused_and_the_killed_ones_file_is_free(path: Path) -> None:
    """In words for an operator; neither the lock nor the lease outlives the process."""
    async with another_process(path) as process:
        store = SqliteStore(path)
        with pytest.raises(StoreRefused, match="in use by another coordinator") as refused:
            await store.open()
        assert str(path) in str(refused.value)
        await store.close()
        process.kill()
        await process.wait()
        async with opened(path) as after:
            assert await after.acquire(0, "somebody else", MINUTE) is not None


async def test_second_store_of_the_same_process_is_refused(path: Path) -> None:
    """The writer's thread must be the only one; the first goes on undisturbed."""
    async with opened(path) as store:
        with pytest.raises(StoreRefused):
            await SqliteStore(path).open()
        await applied(store, await hold_all(store, "me"), start())


@pytest.mark.timeout(60)
async def test_kill_in_mid_commits_loses_nothing_acknowledged(path: Path) -> None:
    """Invariant 1, several times over the same file: each life goes on where the last was killed."""
    acknowledged = {f"saga-{n}": 0 for n in range(SAGAS)}
    for life in range(5):
        async with another_process(path) as process:
            assert process.stdout is not None
            for _ in range(30 + 37 * life):
                note(acknowledged, await process.stdout.readline())
            process.kill()
            for line in (await process.stdout.read()).splitlines():
                note(acknowledged, line)
        async with opened(path) as store:
            for saga_id, version in acknowledged.items():
                (saga,) = await store.load([saga_id])
                if saga is None:
                    assert version == 0
                    continue
                # One more may have been committed without any caller hearing so.
                assert version <= saga.version <= version + 1
                assert saga.last_sequence == saga.version
                assert saga.version == 1 or saga.steps[1].max_attempts == saga.version
                events = await store.events(saga_id, 0, 10_000)
                assert list(events) == [event(n, saga_id) for n in range(1, saga.version + 1)]
                acknowledged[saga_id] = saga.version
    assert min(acknowledged.values()) > 5, "the processes wrote too little to show anything"


def note(acknowledged: dict[str, int], line: bytes) -> None:
    saga_id, version = line.decode().split()
    assert int(version) == acknowledged[saga_id] + 1
    acknowledged[saga_id] = int(version)


async def test_partitions_are_fixed_when_the_file_is_made(path: Path) -> None:
    """A saga's partition must not change: another number asked for later is not taken."""
    async with opened(path, partitions=8) as store:
        assert store.partitions == 8
    async with opened(path, partitions=3) as store:
        assert store.partitions == 8


def another_schema(path: Path) -> None:
    change_file(path, "pragma user_version = 99")


def former_schema(path: Path) -> None:
    change_file(path, "pragma user_version = 2")


def another_program(path: Path) -> None:
    change_file(path, "create table notes (text)", "pragma application_id = 7")


def no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1_000)


def a_folder(path: Path) -> None:
    path.mkdir()


def change_file(path: Path, *statements: str) -> None:
    db = apsw.Connection(str(path))
    for statement in statements:
        db.execute(statement)
    db.close()


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@pytest.mark.parametrize(
    ("spoil", "exists", "why"),
    [
        (another_schema, True, "has schema version 99, of a newer version of this server, and this one reads up to 3"),
        (former_schema, True, "has schema version 2, of before the first release.*begin with a new file"),
        (another_program, False, "is a database of another program"),
        (no_database, False, "cannot be used: .*not a database"),
        (a_folder, False, "cannot be used"),
    ],
)
async def test_file_that_cannot_be_used_is_refused(
    path: Path, spoil: Callable[[Path], None], exists: bool, why: str
) -> None:
    """With the reason and the file's name, and without touching it."""
    if exists:
        async with opened(path):
            pass
    spoil(path)
    before = content(path)
    for _ in range(2):
        with pytest.raises(StoreRefused, match=why) as refused:
            await SqliteStore(path).open()
        assert str(path) in str(refused.value)
    assert content(path) == before


MADE_UP = (
    "create table note (text text) strict; insert into note values ('one')",
    "alter table saga add column shelf text",
)


async def test_older_file_is_taken_forward(path: Path) -> None:
    """By every step it lacks, once; what was in it is there; a version without those steps then refuses it."""
    async with opened(path) as store:
        (saga,) = await applied(store, await hold_all(store, "me"), start())
    for steps in (MADE_UP[:1], MADE_UP, MADE_UP):
        file = SqliteFile(path, migrations=steps)
        await file.open()
        try:
            assert await file.rows("select text from note", ()) == [("one",)]
            assert await file.rows("select id from saga", ()) == [(saga.id,)]
        finally:
            await file.close()
    assert await rows(path, "select shelf from saga") == [(None,)]
    assert await rows(path, "pragma user_version") == [(5,)]
    with pytest.raises(StoreRefused, match=r"has schema version 5, of a newer version.*use that version"):
        await SqliteStore(path).open()


async def test_new_file_takes_the_same_way(path: Path) -> None:
    file = SqliteFile(path, 8, migrations=MADE_UP)
    await file.open()
    assert file.partitions == 8
    await file.close()
    assert await rows(path, "select text from note") == [("one",)]
    assert await rows(path, "pragma user_version") == [(5,)]


async def test_failed_step_leaves_the_file_as_it_was(path: Path) -> None:
    """All or none: the version that wrote it goes on with it."""
    async with opened(path) as store:
        (saga,) = await applied(store, await hold_all(store, "me"), start())
    file = SqliteFile(path, migrations=(*MADE_UP, "create table saga (n)"))
    with pytest.raises(apsw.SQLError, match="already exists"):
        await file.open()
    async with opened(path) as store:
        assert await store.load([saga.id]) == [saga]
    assert await rows(path, "select name from sqlite_schema where name = 'note'") == []


async def rows(path: Path, sql: str) -> list[Any]:
    """What the file says, whatever the schema."""
    with closing(apsw.Connection(str(path))) as db:
        return list(db.execute(sql))


async def test_folder_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be used"):
        await SqliteStore(path / "nowhere" / "saga.db").open()


async def test_closed_store_is_unavailable(path: Path) -> None:
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.load(["x"])
        with pytest.raises(StoreUnavailable):
            await store.post(InboxEntry(entry_id="e", saga_id="s", body=b""))
        await store.open()
        await store.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes; a write that would is refused by the system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_disk_that_takes_no_more_is_unavailable(path: Path) -> None:
    """Nothing of the round is kept, reads go on, and the same round is taken when there is room again."""
    async with opened(path) as store:
        leases = await hold_all(store, "me")
        (saga,) = await applied(store, leases, start())
        big = change(saga, stop_reason="x" * 300_000)
        with full_disk(100_000):
            with pytest.raises(StoreUnavailable):
                await store.commit([start(), big], leases)
            assert await store.load([saga.id]) == [saga]
        assert await store.commit([big], leases) == [Verdict.APPLIED]
        assert await store.commit([big], leases) == [Verdict.ALREADY_APPLIED]
        assert len(await store.feed(0, 0, 10)) == 2


async def test_every_hint_comes(path: Path) -> None:
    """From this very object, since nobody else can write the file: timers need not be waited for."""
    async with opened(path, partitions=8) as store:
        leases = await hold_all(store, "me")
        hints: list[Hint] = []
        stop = store.listen(hints.append)
        write = start()
        part = partition_of(write.saga.id, 8)
        await store.create(write)
        await store.post(InboxEntry(entry_id="e", saga_id=write.saga.id, body=b""))
        await store.release([leases[3]])
        await turn()
        assert hints == [Hint("due", part), Hint("inbox", part), Hint("lease", 3)]
        stop()
        await store.release([leases[4]])
        await turn()
        assert len(hints) == 3
