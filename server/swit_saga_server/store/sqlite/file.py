"""One SQLite file held by one process: the lock, two connections with a thread each, transactions, the schema.

Writes have a connection of their own and so have reads: in WAL mode a read does not wait for a commit's fsync.
"""

import asyncio
import fcntl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, TypeVar

import apsw

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable, UnstorableValue
from swit_saga_server.store.contract import partition_of
from swit_saga_server.store.sqlite.migrations import FIRST, MIGRATIONS, steps_from

APPLICATION_ID = 0x53414741
"""``SAGA`` in ASCII, in the file's header: tells our files from other SQLite files."""

MEMORY = ":memory:"
T = TypeVar("T")

_PASSING = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.FullError,
    apsw.InterruptError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.ProtocolError,
    apsw.NoMemError,
)
"""What the disk or the system does to us. Anything else is a bug and is not masked."""

UNSTORABLE = (
    OverflowError,
    UnicodeError,
    apsw.TooBigError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
)
"""What a value does that SQLite cannot hold: it is that value's fault, whenever it is tried."""

_UNUSABLE = (apsw.NotADBError, apsw.CorruptError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.AuthError)
"""What, on opening, a retry cannot mend."""


class SqliteFile:
    """An open file. ``write`` and ``read`` run functions in the threads, in the order asked.

    Attributes:
        partitions: For a new file; once it is open, the file's own.
    """

    def __init__(self, path: str | Path, partitions: int = 1, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self.partitions = partitions
        self._path = str(path)
        self._migrations = migrations
        self._lock: IO[bytes] | None = None
        self._writer: _Thread | None = None
        self._reader: _Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may be read and written."""
        return self._writer is not None

    def partition_of(self, saga_id: str) -> int:
        """The partition a saga belongs to."""
        return partition_of(saga_id, self.partitions)

    async def open(self) -> None:
        """Lock, connect, create the schema in a new file and take that of an older one forward.

        Raises:
            StoreRefused, StoreUnavailable.
        """
        self._lock = None if self._path == MEMORY else self._take_lock()
        writer = self._writer = _Thread(self._path)
        # A database in memory belongs to its connection, so there is but one.
        self._reader = writer if self._path == MEMORY else _Thread(self._path)
        try:
            self.partitions = await writer.run(self._set_up)
            if self._reader is not writer:
                await self._reader.run(lambda db: db.pragma("query_only", 1))
        except BaseException as error:
            await self.close()
            if isinstance(error, _UNUSABLE):
                raise self._refused(f"cannot be used: {error}") from error
            if isinstance(error, _PASSING):
                raise StoreUnavailable(f"SQLite cannot open {self._path!r}: {error}") from error
            raise

    async def close(self) -> None:
        """Let what was asked finish, then let go of the file. Safe to call twice, and before ``open``."""
        writer, reader, lock = self._writer, self._reader, self._lock
        self._writer = self._reader = self._lock = None
        for thread in {reader, writer} - {None}:
            assert thread is not None
            await thread.close()
        if lock is not None:
            lock.close()

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run in the writer's thread, in one transaction of its own; durable when this returns.

        Raises:
            StoreUnavailable: It is not open, or the system failed; whether it was committed is then unknown.
        """

        def transaction(db: apsw.Connection) -> T:
            db.execute("begin immediate")
            try:
                result = work(db)
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise
            return result

        return await self._in(self._writer, transaction)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run in the reader's thread, over one snapshot.

        Raises:
            StoreUnavailable: It is not open, or the system failed.
        """

        def snapshot(db: apsw.Connection) -> T:
            db.execute("begin")
            try:
                return work(db)
            finally:
                db.execute("rollback")  # Nothing was written.

        return await self._in(self._reader, snapshot)

    async def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of one query, read in the reader's thread."""
        return await self._in(self._reader, lambda db: db.execute(sql, parameters).fetchall())

    async def _in(self, thread: "_Thread | None", work: Callable[[apsw.Connection], T]) -> T:
        if thread is None:
            raise StoreUnavailable(f"the store {self._path!r} is not open")
        try:
            return await thread.run(work)
        except _PASSING as error:
            raise StoreUnavailable(f"SQLite: {error}") from error
        except UNSTORABLE as error:
            raise UnstorableValue(message=f"SQLite cannot hold it: {type(error).__name__}: {error}") from error

    def _take_lock(self) -> IO[bytes]:
        try:
            lock = open(f"{self._path}-lock", "ab")  # noqa: SIM115 - held until close
        except OSError as error:
            raise self._refused(f"cannot be used: {error}") from error
        try:
            # The system lets go of it when this process dies, however it dies.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            lock.close()
            raise self._refused("is in use by another coordinator; stop it or choose another file") from held
        return lock

    def _set_up(self, db: apsw.Connection) -> int:
        is_new = not db.execute("select 1 from sqlite_schema").fetchone()
        if not is_new and db.pragma("application_id") != APPLICATION_ID:
            raise self._refused("is a database of another program; choose another file")
        version = FIRST if is_new else db.pragma("user_version")
        try:
            steps = steps_from(version, self._migrations)
        except ValueError as wrong:
            raise self._refused(str(wrong)) from wrong
        mode = db.pragma("journal_mode", "wal")
        if mode not in ("wal", "memory"):
            raise self._refused(f"is on a file system without write-ahead logging (journal mode {mode})")
        db.pragma("synchronous", 2)  # FULL: a commit is on disk before it is acknowledged.
        if is_new or steps:
            with db:
                if is_new:
                    db.execute(files(__package__).joinpath("schema.sql").read_text())
                    db.execute("insert into meta values ('partitions', ?), ('position', 0)", (self.partitions,))
                    db.pragma("application_id", APPLICATION_ID)
                for step in steps:
                    db.execute(step)
                db.pragma("user_version", version + len(steps))
        row: Any = db.execute("select value from meta where key = 'partitions'").fetchone()
        return int(row[0])

    def _refused(self, why: str) -> StoreRefused:
        return StoreRefused(f"{self._path!r} {why}", path=self._path)


class _Thread:
    """A connection and the one thread that uses it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._db: apsw.Connection | None = None

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        # A cancelled caller does not tear a transaction: the thread finishes what it began.
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._with_connection, work)

    def _with_connection(self, work: Callable[[apsw.Connection], T]) -> T:
        if self._db is None:
            self._db = apsw.Connection(self._path, statementcachesize=200)
            self._db.set_busy_timeout(5_000)
            self._db.pragma("cache_size", -32_000)  # KiB
        return work(self._db)

    async def close(self) -> None:
        def close() -> None:
            if self._db is not None:
                self._db.close()
                self._db = None

        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, close)
        finally:
            self._pool.shutdown(wait=True)
