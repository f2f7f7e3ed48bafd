"""One SQLite file held by one process: the lock, two connections with a thread each, transactions, the schema.

Writes have a connection of their own and so have reads: in WAL mode a read does not wait for a commit's fsync.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import apsw

from swit_saga_server.core.errors import StoreFault, StoreRefused, StoreUnavailable, UnstorableValue
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import partition_of
from swit_saga_server.store.sqlite.identity import FileIdentity, Held, Orphaned
from swit_saga_server.store.sqlite.migrations import FIRST, MIGRATIONS, steps_from
from swit_saga_server.store.troubles import Troubles

log = get_logger(__name__)

APPLICATION_ID = 0x53414741
"""``SAGA`` in ASCII, in the file's header: tells our files from other SQLite files."""

MEMORY = ":memory:"
T = TypeVar("T")

_DAMAGED = (apsw.NotADBError, apsw.CorruptError)
_UNUSABLE = (*_DAMAGED, apsw.CantOpenError, apsw.ReadOnlyError, apsw.AuthError)
"""What, on opening, a retry cannot mend."""

UNSTORABLE = (
    OverflowError,
    UnicodeError,
    apsw.TooBigError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
)
"""What a value does that SQLite cannot hold: it is that value's fault, whenever it is tried."""

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
"""What the disk or the system does to us. Any other error of SQLite's is a fault of ours, or of somebody who wrote
into the file.
"""

LOOK_EVERY_S = 0.05
"""How often, at most, a write looks whether the file is still there."""


class _Lost(Exception):
    """What is written now would not be found again."""


class SqliteFile:
    """An open file. ``write`` and ``read`` run functions in the threads, in the order asked.

    Attributes:
        partitions: For a new file; once it is open, the file's own.
        troubles: What of it failed, and is not known to be over.
        damage: What SQLite found wrong in it, in words: no more is read or written. Empty if nothing.
    """

    def __init__(self, path: str | Path, partitions: int = 1, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self.partitions = partitions
        self._path = str(path)
        self._migrations = migrations
        self._identity: FileIdentity | None = None
        self._looked_at = 0.0
        self._lost = self.damage = ""
        self.troubles = Troubles(self._path, every_s=1.0)
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
        path = self._path
        if self._path != MEMORY:
            self._identity = self._take()
            path = str(self._identity.real)
        writer = self._writer = _Thread(path)
        # A database in memory belongs to its connection, so there is but one.
        self._reader = writer if self._path == MEMORY else _Thread(path)
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

    def begin_watch(self) -> None:
        """All is set up: from now on the files must stay what they are, and what is wrong is known at once."""
        if self._identity is not None:
            self._identity.watch()
        self.troubles.watch(self._probe)

    async def close(self) -> None:
        """Let what was asked finish, then let go of the file. Safe to call twice, and before ``open``."""
        await self.troubles.close()
        writer, reader, identity = self._writer, self._reader, self._identity
        self._writer = self._reader = self._identity = None
        self._lost = self.damage = ""
        for thread in {reader, writer} - {None}:
            assert thread is not None
            await thread.close()
        if identity is not None:
            identity.close()

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run in the writer's thread, in one transaction of its own; durable when this returns.

        Raises:
            StoreUnavailable: It is not open, or the system failed; whether it was committed is then unknown.
        """

        def transaction(db: apsw.Connection) -> T:
            self._look()
            db.execute("begin immediate")
            try:
                result = work(db)
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise
            self._look()
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
            if self._lost or self.damage:
                raise _Lost(self._lost or self.damage)
            return await thread.run(work)
        except _Lost as lost:
            self._fail(f"{lost}; nothing is written until it is back, or the coordinator is started again", lost)
        except _DAMAGED as error:
            self.damage = f"SQLite: {self._path!r} is damaged: {error}; stop, and restore it from a backup"
            self._fail(self.damage, error)
        except _PASSING as error:
            self._fail(f"SQLite: {self._path!r}: {error}", error)
        except UNSTORABLE as error:
            raise UnstorableValue(message=f"SQLite cannot hold it: {type(error).__name__}: {error}") from error
        except apsw.Error as error:
            text = f"SQLite: {self._path!r}: {type(error).__name__}: {error}"
            self.troubles.fault(text, text)
            raise StoreFault(text) from error

    def _fail(self, text: str, error: Exception) -> NoReturn:
        self.troubles.note(type(error).__name__, text)
        raise StoreUnavailable(text) from error

    def _look(self) -> None:
        """See that what is written now will be found again; in the writer's thread."""
        now = time.monotonic()
        if self._identity is not None and (self._lost or now - self._looked_at > LOOK_EVERY_S):
            self._looked_at = now
            self._lost = self._identity.what_is_wrong()
        if self._lost:
            raise _Lost(self._lost)

    async def _probe(self) -> None:
        """Whether it would take a write; while all is well, it is only looked whether the file is there."""

        def look(db: apsw.Connection) -> None:
            self._looked_at = 0.0
            self._look()
            if self.troubles.current:
                with db:
                    db.execute("update meta set value = value where key = 'position'")

        self._lost = ""  # It may be back.
        await self._in(self._writer, look)

    def _take(self) -> FileIdentity:
        try:
            identity = FileIdentity(self._path)
        except Orphaned as orphaned:
            raise self._refused(
                f"is not there, but its log is: {orphaned}; bring back the file, or delete the log to begin anew"
            ) from orphaned
        except Held as held:
            raise self._refused("is in use by another coordinator; stop it or choose another file") from held
        except OSError as error:
            raise self._refused(f"cannot be used: {error}") from error
        if identity.names > 1:
            log.warning(
                "sqlite_file_has_several_names",
                path=self._path,
                advice="hard links: its log stands beside the name it was opened by, and must be found again",
            )
        return identity

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
        try:
            row: Any = db.execute("select value from meta where key = 'partitions'").fetchone()
        except apsw.SQLError:
            row = None
        if row is None:
            raise self._refused("is damaged: it does not say how many partitions it has; restore it from a backup")
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
