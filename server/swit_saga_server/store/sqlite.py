"""The embedded store: one SQLite file, one process. The default.

All writes go through one thread and are committed in one transaction per call, WAL with synchronous=FULL, so that what
was acknowledged survives a power cut. Reads have a connection and a thread of their own and do not wait for commits.
apsw is used because it brings its own SQLite: Debian's is older than the fix of the WAL-reset corruption.

``sqlite_file`` holds the file, ``sqlite_round`` applies writes, ``sqlite_query`` makes the SQL of listings.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import TERMINAL_STATES, SagaState
from swit_saga_server.core.units import Instant, Span
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
from swit_saga_server.store.round import check_create, check_round
from swit_saga_server.store.sqlite_file import SqliteFile
from swit_saga_server.store.sqlite_round import INSERT_DEFINITION, EncodedWrite, RoundWriter


def system_clock() -> Instant:
    """The wall clock: the store's clock is this machine's."""
    return time.time_ns() // 1000


class SqliteStore:
    """``StateStorage`` on one SQLite file. See ``contract`` for what its methods guarantee."""

    def __init__(self, path: str | Path, *, partitions: int = 1, clock: Callable[[], Instant] = system_clock) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: The database file; its folder must exist. ``-wal``, ``-shm`` and ``-lock`` files stand beside it.
                ``:memory:`` keeps nothing.
            partitions: For a new file; an existing one keeps its own.
            clock: The store's clock.
        """
        self._file = SqliteFile(path)
        self._partitions = partitions
        self._clock = clock
        self._round: RoundWriter | None = None
        self._listeners: list[Callable[[Hint], None]] = []
        self._living: dict[str, Instant] = {}  # Nobody else can write this file, so memory will do.

    @property
    def partitions(self) -> int:
        """See the contract."""
        return self._partitions

    async def open(self) -> None:
        """See the contract."""
        if self._file.is_open:
            return
        self._partitions = await self._file.open(self._partitions)
        used = "select max(coalesce((select max(position) from event), 0), value) from meta where key = 'position'"
        (position,) = (await self._file.rows(used, ()))[0]
        self._round = RoundWriter(self._partitions, position)
        # The file's lock proves that whoever held these is gone: nobody need wait for them to expire.
        await self._file.write(lambda db: db.execute("update lease set expires = 1 where expires > 1"))

    async def close(self) -> None:
        """See the contract."""
        await self._file.close()

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

        return await self._file.write(acquire)

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

        return await self._file.write(renew)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the contract."""

        def release(db: apsw.Connection) -> None:
            for lease in leases:
                # A new nonce, so that what the former holder still sends is fenced.
                db.execute(
                    "update lease set expires = 0, nonce = '' where part = ? and epoch = ? and nonce = ?",
                    (lease.partition, lease.epoch, lease.nonce),
                )

        await self._file.write(release)
        for lease in leases:
            self._tell("lease", lease.partition)

    async def attend(self, owner: str, term: Span) -> Sequence[str]:
        """See the contract."""
        now = self._clock()
        self._living[owner] = now + term
        return sorted(o for o, until in self._living.items() if until > now)

    async def leave(self, owner: str) -> None:
        """See the contract."""
        self._living.pop(owner, None)

    # ---- the round -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """See the contract."""
        check_round(writes)
        # Encoded here, not in the writer's thread, which is busy with the round before.
        encoded = [EncodedWrite(write) for write in writes]
        return await self._file.write(lambda db: self._writer.commit(db, encoded, leases, self._clock()))

    async def create(self, write: Write) -> Verdict:
        """See the contract."""
        check_create(write)
        encoded = EncodedWrite(write)
        verdict = await self._file.write(lambda db: self._writer.create(db, encoded, self._clock()))
        self._tell("due", partition_of(write.saga.id, self._partitions))
        return verdict

    @property
    def _writer(self) -> RoundWriter:
        assert self._round is not None, "writes run only after open"
        return self._round

    # ---- inbox ---------------------------------------------------------------------------------------------------

    async def post(self, entry: InboxEntry) -> None:
        """See the contract."""
        part = partition_of(entry.saga_id, self._partitions)
        row = (entry.entry_id, part, entry.saga_id, entry.body)
        sql = "insert or ignore into inbox (entry_id, part, saga_id, body) values (?, ?, ?, ?)"
        await self._file.write(lambda db: db.execute(sql, row))
        self._tell("inbox", part)

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See the contract."""
        sql = "select entry_id, saga_id, body from inbox where part = ? and answer is null order by n limit ?"
        rows = await self._file.rows(sql, (partition, limit))
        return [InboxEntry(entry_id=e, saga_id=s, body=b) for e, s, b in rows]

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See the contract."""
        rows = await self._file.rows("select answer from inbox where entry_id = ?", (entry.entry_id,))
        return rows[0][0] if rows else None

    # ---- reading -------------------------------------------------------------------------------------------------

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See the contract."""

        def load(db: apsw.Connection) -> list[_SagaRow | None]:
            return [_read_saga(db, "id = ?", saga_id) for saga_id in saga_ids]

        return [_decode(row) if row else None for row in await self._file.read(load)]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See the contract."""
        # A row holds the events of one transition: there is at least one wanted in each, and maybe some before.
        sql = (
            "select event.data from event join saga on event.saga = saga.n"
            " where saga.id = ? and event.seq > ? order by event.seq limit ?"
        )
        rows = await self._file.rows(sql, (saga_id, after, limit))
        found = [event for (data,) in rows for event in codec.unpack_events(data) if event.sequence > after]
        return found[:limit]

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """See the contract."""
        sql = "select id, due from saga where part = ? and due > 0 and due <= ? order by due, id limit ?"
        return [Due(saga_id, at) for saga_id, at in await self._file.rows(sql, (partition, until, limit))]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """See the contract."""
        sql = "select id from saga where part = ? and in_flight and id > ? order by id limit ?"
        return [saga_id for (saga_id,) in await self._file.rows(sql, (partition, after, limit))]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """See the contract."""
        sql = (
            "select event.position, saga.id, event.data from event join saga on event.saga = saga.n"
            " where event.position > ? and saga.part = ? order by event.position limit ?"
        )
        rows = await self._file.rows(sql, (after, partition, limit))
        items = [
            FeedItem(last - len(events) + k, saga_id, event)
            for last, saga_id, events in ((p, i, codec.unpack_events(data)) for p, i, data in rows)
            for k, event in enumerate(events, 1)
        ]
        return [item for item in items if item.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        """See the contract."""
        # Positions are those of the feed over all partitions.
        ((position,),) = await self._file.rows("select max(position) from event", ())
        return position or 0

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See the contract."""
        listing = [sqlite_query.listing_key(wanted), order.value]
        after = read_token(listing, page_token, int, str)
        sql, parameters = sqlite_query.listing(wanted, order, after, page_size + 1)

        def read(db: apsw.Connection) -> list[tuple[int, str, _SagaRow | None]]:
            found: list[Any] = db.execute(sql, parameters).fetchall()
            return [(key, i, _read_saga(db, "n = ?", n)) for n, i, key in found]

        rows = await self._file.read(read)
        more = len(rows) > page_size
        page = rows[:page_size]
        token = make_token(listing, [page[-1][0], page[-1][1]]) if more else ""
        return SagaPage(tuple(_decode(row) for _, _, row in page if row is not None), token)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        rows = await self._file.rows("select state, count(*) from saga group by state", ())
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
            self._writer.delete(db, found[0])
            return True

        return await self._file.write(delete)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See the contract."""
        sql = "select id from saga where part = ? and expires > 0 and expires < ? order by expires, id limit ?"
        return [saga_id for (saga_id,) in await self._file.rows(sql, (partition, older_than, limit))]

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
            db.execute(INSERT_DEFINITION, (definition.id, version, digest, at, data))
            return (version, digest, at, 0, data), True

        row, created = await self._file.write(register)
        return _stored(row), created

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
        rows = await self._file.rows(sql, parameters)
        return _stored(rows[0]) if rows else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[Sequence[StoredDefinition], str]:
        """See the contract."""
        listing = ["definitions", definition_id, include_disabled]
        after = read_token(listing, page_token, str, int) or ["", 0]
        which = "id = ?1" if definition_id else "?1 = ''"
        latest = "" if definition_id else " and version = (select max(version) from definition m where {same})"
        if latest:
            latest = latest.format(same="m.id = d.id and m.version > 0 and (?2 or not m.disabled)")
        sql = (
            f"select {_DEFINITION} from definition d where {which} and version > 0 and (?2 or not disabled)"
            f" and (id, version) > (?3, ?4){latest} order by id, version limit ?5"
        )
        rows = await self._file.rows(sql, (definition_id, int(include_disabled), *after, page_size + 1))
        page = [_stored(row) for row in rows[:page_size]]
        more = len(rows) > page_size
        return page, make_token(listing, [page[-1].definition.id, page[-1].version]) if more else ""

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """See the contract."""
        await self._file.write(
            lambda db: db.execute(
                "update definition set disabled = ? where id = ? and version = ? and version > 0",
                (int(disabled), definition_id, version),
            )
        )
        return await self.definition(definition_id, version, "") if version else None

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        """See the contract. Nobody else can write this file, so what is heard comes from this very object."""
        self._listeners.append(heard)

        def stop() -> None:
            if heard in self._listeners:
                self._listeners.remove(heard)

        return stop

    def _tell(self, kind: str, partition: int) -> None:
        loop = asyncio.get_running_loop()
        for heard in self._listeners:
            loop.call_soon(heard, Hint(kind, partition))


_DEFINITION = "version, digest, registered, disabled, data"
_SagaRow: TypeAlias = tuple[bytes, bytes, list[bytes]]
"""A saga's header, progress and steps."""


def _read_saga(db: apsw.Connection, where: str, key: Any) -> _SagaRow | None:
    row = db.execute(f"select n, header, progress from saga where {where}", (key,)).fetchone()
    if row is None:
        return None
    steps = [data for (data,) in db.execute("select data from step where saga = ? order by i", (row[0],))]
    return row[1], row[2], steps


def _decode(row: _SagaRow) -> Saga:
    header, progress, steps = row
    return codec.unpack_saga(header, progress, tuple(codec.unpack_step(data) for data in steps))


def _stored(row: tuple[Any, ...]) -> StoredDefinition:
    version, digest, registered, disabled, data = row
    return StoredDefinition(
        definition=codec.unpack_definition(data),
        version=version,
        digest=digest,
        registered_at=registered,
        disabled=bool(disabled),
    )
