"""The embedded store: one SQLite file, one process. The default.

All writes go through one thread and are committed in one transaction per call, WAL with synchronous=FULL, so that what
was acknowledged survives a power cut. Reads have a connection and a thread of their own and do not wait for commits.
apsw is used because it brings its own SQLite: Debian's is older than the fix of the WAL-reset corruption.
"""

import asyncio
import fcntl
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, TypeVar

import apsw

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import TERMINAL_STATES, Saga, SagaState
from swit_saga_server.core.units import MINUTE, Instant, Span
from swit_saga_server.store import codec, sqlite_query
from swit_saga_server.store.contract import (
    Due,
    FeedItem,
    Hint,
    InboxEntry,
    Lease,
    SagaFilter,
    SagaOrder,
    SagaPage,
    StoredDefinition,
    Verdict,
    Write,
    partition_of,
)
from swit_saga_server.store.paging import make_token, read_token

SCHEMA_VERSION = 1
ANSWERS_KEPT: Span = 10 * MINUTE
T = TypeVar("T")


def system_clock() -> Instant:
    """The wall clock: the store's clock is this machine's."""
    return time.time_ns() // 1000


class SqliteStore:
    """``StateStorage`` on one SQLite file. See ``contract`` for what its methods guarantee."""

    def __init__(self, path: str | Path, *, partitions: int = 1, clock: Callable[[], Instant] = system_clock) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: The database file; its folder must exist. ``-wal``, ``-shm`` and ``-lock`` files stand beside it.
            partitions: For a new file; an existing one keeps its own.
            clock: The store's clock.
        """
        self._path = Path(path)
        self._partitions = partitions
        self._clock = clock
        self._lock: IO[bytes] | None = None
        self._writer: _Thread | None = None
        self._reader: _Thread | None = None

    @property
    def partitions(self) -> int:
        """See the contract."""
        return self._partitions

    async def open(self) -> None:
        """See the contract."""
        if self._writer is not None:
            return
        self._take_lock()
        try:
            self._writer, self._reader = _Thread(self._path), _Thread(self._path)
            self._partitions = await self._writer.run(self._set_up)
            await self._reader.run(lambda db: db.pragma("query_only", 1))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See the contract."""
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.close()
        self._reader = self._writer = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def now(self) -> Instant:
        """See the contract."""
        return self._clock()

    # ---- ownership -----------------------------------------------------------------------------------------------

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """See the contract."""

        def acquire(db: apsw.Connection) -> Lease | None:
            now = self._clock()
            row = db.execute("select epoch, owner, expires from lease where part = ?", (partition,)).fetchone()
            epoch, holder, expires = row or (0, "", 0)
            if expires > now and holder != owner:
                return None
            lease = Lease(partition, max(epoch + 1, now // 1000), secrets.token_hex(8), now + term)
            db.execute(
                "insert or replace into lease (part, epoch, nonce, owner, expires) values (?, ?, ?, ?, ?)",
                (partition, lease.epoch, lease.nonce, owner, lease.expires_at),
            )
            return lease

        return await self._write(acquire)

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """See the contract."""

        def renew(db: apsw.Connection) -> Sequence[Lease | None]:
            expires = self._clock() + term
            renewed: list[Lease | None] = []
            for lease in leases:
                db.execute(
                    "update lease set expires = ? where part = ? and epoch = ? and nonce = ? and expires > 0",
                    (expires, lease.partition, lease.epoch, lease.nonce),
                )
                current = Lease(lease.partition, lease.epoch, lease.nonce, expires)
                renewed.append(current if db.changes() else None)
            return renewed

        return await self._write(renew)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the contract."""

        def release(db: apsw.Connection) -> None:
            for lease in leases:
                # A new nonce, so that what the former holder still sends is fenced.
                db.execute(
                    "update lease set expires = 0, nonce = '' where part = ? and epoch = ? and nonce = ?",
                    (lease.partition, lease.epoch, lease.nonce),
                )

        await self._write(release)

    # ---- the round -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """See the contract."""
        # Encoded here, not in the writer's thread, which is busy with the round before.
        packed = [_Packed(write) for write in writes]

        def commit(db: apsw.Connection) -> Sequence[Verdict]:
            current = {p: (e, n) for p, e, n in db.execute("select part, epoch, nonce from lease")}
            verdicts = []
            for p in packed:
                part = partition_of(p.write.saga.id, self._partitions)
                lease = leases.get(part)
                fenced = lease is None or current.get(part) != (lease.epoch, lease.nonce)
                verdicts.append(self._apply(db, p, part, fenced=fenced))
            return verdicts

        return await self._write(commit)

    async def create(self, write: Write) -> Verdict:
        """See the contract."""
        packed = _Packed(write)
        part = partition_of(write.saga.id, self._partitions)
        return await self._write(lambda db: self._apply(db, packed, part, fenced=False))

    def _apply(self, db: apsw.Connection, p: "_Packed", part: int, *, fenced: bool) -> Verdict:
        write, saga = p.write, p.write.saga
        found = db.execute("select n, version, commit_id, last_seq from saga where id = ?", (saga.id,)).fetchone()
        if found is not None and found[2] == write.commit_id:
            return Verdict.ALREADY_APPLIED
        if fenced:
            return Verdict.FENCED
        n, version, _, last_seq = found or (None, 0, "", 0)
        if version != write.base_version:
            return Verdict.CONFLICT
        if [e.sequence for e in write.events] != list(range(last_seq + 1, last_seq + 1 + len(write.events))):
            raise ValueError(f"saga {saga.id!r}: events do not continue after sequence {last_seq}")
        if n is None:
            row = db.execute(_INSERT, {**p.columns, "id": saga.id, "part": part}).fetchone()
            n = row[0] if row else 0
        elif saga.version != version or not write.answers:
            db.execute(_UPDATE, {**p.columns, "n": n})
        else:
            # Nothing changed but the inbox; the commit id still marks the resubmission.
            db.execute("update saga set commit_id = ? where n = ?", (write.commit_id, n))
        if p.steps:
            db.executemany("insert or replace into step (saga, i, data) values (?, ?, ?)", [(n, *s) for s in p.steps])
        if p.events:
            db.executemany("insert into event (saga, seq, data) values (?, ?, ?)", [(n, *e) for e in p.events])
        if write.answers:
            now = self._clock()
            db.executemany(
                "update inbox set answer = ?, answered = ? where entry_id = ? and answer is null",
                [(a.answer, now, a.entry_id) for a in write.answers],
            )
            db.execute("delete from inbox where answer is not null and answered < ?", (now - 2 * ANSWERS_KEPT,))
        return Verdict.APPLIED

    # ---- inbox ---------------------------------------------------------------------------------------------------

    async def post(self, entry: InboxEntry) -> None:
        """See the contract."""
        part = partition_of(entry.saga_id, self._partitions)
        row = (entry.entry_id, part, entry.saga_id, entry.body)
        await self._write(
            lambda db: db.execute(
                "insert or ignore into inbox (entry_id, part, saga_id, body) values (?, ?, ?, ?)", row
            )
        )

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See the contract."""
        sql = "select entry_id, saga_id, body from inbox where part = ? and answer is null order by n limit ?"
        rows = await self._rows(sql, (partition, limit))
        return [InboxEntry(entry_id=e, saga_id=s, body=b) for e, s, b in rows]

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See the contract."""
        rows = await self._rows("select answer from inbox where entry_id = ?", (entry.entry_id,))
        return rows[0][0] if rows else None

    # ---- reading -------------------------------------------------------------------------------------------------

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See the contract."""

        def load(db: apsw.Connection) -> list[tuple[bytes, list[bytes]] | None]:
            return [_read_saga(db, "id = ?", saga_id) for saga_id in saga_ids]

        return [_decode(row) if row else None for row in await self._read(load)]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See the contract."""
        sql = (
            "select event.data from event join saga on event.saga = saga.n"
            " where saga.id = ? and event.seq > ? order by event.seq limit ?"
        )
        return [codec.unpack_event(data) for (data,) in await self._rows(sql, (saga_id, after, limit))]

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """See the contract."""
        sql = "select id, due from saga where part = ? and due > 0 and due <= ? order by due limit ?"
        return [Due(saga_id, at) for saga_id, at in await self._rows(sql, (partition, until, limit))]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """See the contract."""
        sql = "select id from saga where part = ? and in_flight and id > ? order by id limit ?"
        return [saga_id for (saga_id,) in await self._rows(sql, (partition, after, limit))]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """See the contract."""
        sql = (
            "select event.position, saga.id, event.data from event join saga on event.saga = saga.n"
            " where event.position > ? and saga.part = ? order by event.position limit ?"
        )
        rows = await self._rows(sql, (after, partition, limit))
        return [FeedItem(position, saga_id, codec.unpack_event(data)) for position, saga_id, data in rows]

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See the contract."""
        listing = [wanted_key(wanted), order.value]
        sql, parameters = sqlite_query.listing(wanted, order, read_token(listing, page_token), page_size + 1)

        def read(db: apsw.Connection) -> list[tuple[int, str, tuple[bytes, list[bytes]] | None]]:
            found: list[Any] = db.execute(sql, parameters).fetchall()
            return [(key, i, _read_saga(db, "n = ?", n)) for n, i, key in found]

        rows = await self._read(read)
        more = len(rows) > page_size
        page = rows[:page_size]
        token = make_token(listing, [page[-1][0], page[-1][1]]) if more else ""
        return SagaPage(tuple(_decode(row) for _, _, row in page if row is not None), token)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        rows = await self._rows("select state, count(*) from saga group by state", ())
        return {SagaState(state): number for state, number in rows}

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """See the contract."""

        def delete(db: apsw.Connection) -> bool:
            current = db.execute("select epoch, nonce from lease where part = ?", (lease.partition,)).fetchone()
            found = db.execute("select n, part, state from saga where id = ?", (saga_id,)).fetchone()
            if current != (lease.epoch, lease.nonce) or found is None or found[1] != lease.partition:
                return False
            if SagaState(found[2]) not in TERMINAL_STATES:
                return False
            for table, column in (("event", "saga"), ("step", "saga"), ("saga", "n")):
                db.execute(f"delete from {table} where {column} = ?", (found[0],))
            return True

        return await self._write(delete)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See the contract."""
        sql = (
            "select id from saga where part = ? and completed > 0 and completed < ? and state <> 'failed'"
            " order by completed limit ?"
        )
        return [saga_id for (saga_id,) in await self._rows(sql, (partition, older_than, limit))]

    # ---- definitions ---------------------------------------------------------------------------------------------

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """See the contract."""
        data = codec.pack_definition(definition)

        def register(db: apsw.Connection) -> tuple[tuple[Any, ...], bool]:
            known = f"select {_DEFINITION} from definition where id = ? and digest = ? and version > 0"
            row = db.execute(known, (definition.id, digest)).fetchone()
            if row is not None:
                return row, False
            newest = db.execute("select max(version) from definition where id = ?", (definition.id,)).fetchone()
            version = (newest[0] or 0) + 1 if newest else 1
            db.execute(_INSERT_DEFINITION, (definition.id, version, digest, at, data))
            return (version, digest, at, 0, data), True

        row, created = await self._write(register)
        return _stored(row), created

    async def put_inline(self, definition: Definition, digest: str, at: Instant) -> None:
        """See the contract."""
        row = (definition.id, 0, digest, at, codec.pack_definition(definition))
        await self._write(lambda db: db.execute(_INSERT_DEFINITION, row))

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """See the contract."""
        sql = f"select {_DEFINITION} from definition where id = ?"
        parameters: tuple[Any, ...] = (definition_id,)
        if version:
            sql, parameters = sql + " and version = ?", (definition_id, version)
        elif digest:
            sql, parameters = sql + " and version = 0 and digest = ?", (definition_id, digest)
        else:
            sql += " and version > 0 and not disabled order by version desc limit 1"
        rows = await self._rows(sql, parameters)
        return _stored(rows[0]) if rows else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[Sequence[StoredDefinition], str]:
        """See the contract."""
        listing = ["definitions", definition_id, include_disabled]
        after = read_token(listing, page_token) or ["", 0]
        which = "id = ?1" if definition_id else "?1 = ''"
        latest = "" if definition_id else " and version = (select max(version) from definition m where {same})"
        if latest:
            latest = latest.format(same="m.id = d.id and m.version > 0 and (?2 or not m.disabled)")
        sql = (
            f"select {_DEFINITION} from definition d where {which} and version > 0 and (?2 or not disabled)"
            f" and (id, version) > (?3, ?4){latest} order by id, version limit ?5"
        )
        rows = await self._rows(sql, (definition_id, int(include_disabled), *after, page_size + 1))
        page = [_stored(row) for row in rows[:page_size]]
        more = len(rows) > page_size
        return page, make_token(listing, [page[-1].definition.id, page[-1].version]) if more else ""

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """See the contract."""
        await self._write(
            lambda db: db.execute(
                "update definition set disabled = ? where id = ? and version = ? and version > 0",
                (int(disabled), definition_id, version),
            )
        )
        return await self.definition(definition_id, version, "") if version else None

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        """See the contract. Nobody else can write this file, so there is never anything to hear."""
        return lambda: None

    # ---- connections ---------------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run in the writer's thread, in one transaction of its own."""

        def transaction(db: apsw.Connection) -> T:
            db.execute("begin immediate")
            try:
                result = work(db)
                db.execute("commit")
                return result
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise

        return await self._in(self._writer, transaction)

    async def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run in the reader's thread, over one snapshot."""

        def snapshot(db: apsw.Connection) -> T:
            with db:
                return work(db)
            raise AssertionError("unreachable")

        return await self._in(self._reader, snapshot)

    async def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await self._read(lambda db: db.execute(sql, parameters).fetchall())

    async def _in(self, thread: "_Thread | None", work: Callable[[apsw.Connection], T]) -> T:
        if thread is None:
            raise StoreUnavailable(f"the store {str(self._path)!r} is not open")
        try:
            return await thread.run(work)
        except _PASSING as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    def _take_lock(self) -> None:
        lock = open(f"{self._path}-lock", "ab")  # noqa: SIM115 - held until close
        try:
            # The system lets go of it when this process dies, however it dies.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            lock.close()
            raise StoreRefused(
                f"{str(self._path)!r} is in use by another coordinator; stop it or choose another file",
                path=self._path,
            ) from held
        self._lock = lock

    def _set_up(self, db: apsw.Connection) -> int:
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", 2)  # FULL: a commit is on disk before it is acknowledged.
        with db:
            if not db.execute("select 1 from sqlite_schema where name = 'meta'").fetchone():
                db.execute(files(__package__).joinpath("sqlite.sql").read_text())
                db.execute(
                    "insert into meta values ('schema', ?), ('partitions', ?)", (SCHEMA_VERSION, self._partitions)
                )
            rows: list[Any] = db.execute("select key, value from meta").fetchall()
            meta = dict(rows)
            # Whoever held a lease is gone: this process has the file's lock. Nobody need wait for the leases to expire.
            db.execute("update lease set expires = 0, nonce = ''")
        if meta["schema"] != SCHEMA_VERSION:
            raise StoreRefused(
                f"{str(self._path)!r} has schema version {meta['schema']}; this server reads {SCHEMA_VERSION}",
                path=self._path,
            )
        return int(meta["partitions"])


_PASSING = (apsw.BusyError, apsw.LockedError, apsw.IOError, apsw.FullError, apsw.InterruptError, apsw.CantOpenError)
_DEFINITION = "version, digest, registered, disabled, data"
_INSERT_DEFINITION = "insert or ignore into definition (id, version, digest, registered, data) values (?, ?, ?, ?, ?)"
_COLUMNS = (
    "version", "commit_id", "state", "definition", "created", "updated", "completed", "due", "in_flight", "stuck",
    "last_seq", "header", "labels", "metadata",
)  # fmt: skip
_CHANGING = [c for c in _COLUMNS if c not in ("definition", "created", "labels", "metadata")]
_INSERT = (
    f"insert into saga (id, part, {', '.join(_COLUMNS)}) values (:id, :part, {', '.join(f':{c}' for c in _COLUMNS)})"
    " returning n"
)
_UPDATE = f"update saga set {', '.join(f'{c} = :{c}' for c in _CHANGING)} where n = :n"


class _Packed:
    """A write, encoded."""

    def __init__(self, write: Write) -> None:
        saga = write.saga
        self.write = write
        self.columns: dict[str, Any] = {
            "version": saga.version,
            "commit_id": write.commit_id,
            "state": saga.state.value,
            "definition": saga.definition_id,
            "created": saga.created_at,
            "updated": saga.updated_at,
            "completed": saga.completed_at,
            "due": write.due_at,
            "in_flight": int(write.in_flight),
            "stuck": int(saga.stuck > 0),
            "last_seq": saga.last_sequence,
            "header": codec.pack_header(saga),
            "labels": json.dumps(dict(saga.labels)) if saga.labels and not write.base_version else None,
            "metadata": json.dumps(dict(saga.metadata)) if saga.metadata and not write.base_version else None,
        }
        self.steps = [(i, codec.pack_step(saga.steps[i])) for i in write.changed_steps]
        self.events = [(e.sequence, codec.pack_event(e)) for e in write.events]


class _Thread:
    """A connection and the one thread that uses it, in the order asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._db: apsw.Connection | None = None

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        # A cancelled caller must not tear a transaction, nor does it: the thread finishes what it began.
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._with_connection, work)

    def _with_connection(self, work: Callable[[apsw.Connection], T]) -> T:
        if self._db is None:
            self._db = apsw.Connection(str(self._path), statementcachesize=200)
            self._db.set_busy_timeout(5_000)
        return work(self._db)

    async def close(self) -> None:
        def close() -> None:
            if self._db is not None:
                self._db.close()
                self._db = None

        await asyncio.get_running_loop().run_in_executor(self._pool, close)
        self._pool.shutdown(wait=True)


def wanted_key(wanted: SagaFilter) -> list[Any]:
    """A filter as a value that equal filters share; sets have no order of their own."""
    return [
        sorted(wanted.states), sorted(wanted.definition_ids), wanted.created_from, wanted.created_to,
        wanted.updated_from, wanted.updated_to, dict(wanted.labels), dict(wanted.metadata), wanted.overdue_at > 0,
        wanted.stuck,
    ]  # fmt: skip


def _read_saga(db: apsw.Connection, where: str, key: Any) -> tuple[bytes, list[bytes]] | None:
    row = db.execute(f"select n, header from saga where {where}", (key,)).fetchone()
    if row is None:
        return None
    return row[1], [data for (data,) in db.execute("select data from step where saga = ? order by i", (row[0],))]


def _decode(row: tuple[bytes, list[bytes]]) -> Saga:
    return codec.unpack_saga(row[0], tuple(codec.unpack_step(data) for data in row[1]))


def _stored(row: tuple[Any, ...]) -> StoredDefinition:
    version, digest, registered, disabled, data = row
    return StoredDefinition(
        definition=codec.unpack_definition(data),
        version=version,
        digest=digest,
        registered_at=registered,
        disabled=bool(disabled),
    )
