"""Leases in SQLite. Who else is there stands in memory: nobody else can have the file open."""

import secrets
from collections.abc import Callable, Sequence

import apsw

from swit_saga_server.core.units import Instant, Span
from swit_saga_server.store.contract import Lease, Peer
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.hints import SqliteHints


class SqliteLeases:
    """``Leases`` in one file."""

    def __init__(self, file: SqliteFile, hints: SqliteHints, fleet: Fleet, clock: Callable[[], Instant]) -> None:
        self._file = file
        self._hints = hints
        self._fleet = fleet
        self._clock = clock
        self._living: dict[str, tuple[Instant, int]] = {}

    async def expire_all(self) -> None:
        """The file's lock proves that whoever held these is gone: nobody need wait for them to expire."""
        await self._file.write(lambda db: db.execute("update lease set expires = 1 where expires > 1"))

    async def now(self) -> Instant:
        """See the contract."""
        return self._clock()

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
            self._hints.give("lease", lease.partition)

    async def heartbeat(self, owner: str, term: Span, level: int, instance: str = "") -> Sequence[Peer]:
        """See the contract."""
        now = self._clock()
        self._living[owner] = now + term, level
        peers = [Peer(o, known) for o, (until, known) in sorted(self._living.items()) if until > now]
        self._fleet.met(peers)
        return peers

    async def deregister(self, owner: str, instance: str = "") -> None:
        """See the contract."""
        self._living.pop(owner, None)
