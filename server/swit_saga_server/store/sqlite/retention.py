"""Removal from SQLite."""

from collections.abc import Sequence

import apsw

from swit_saga_server.core.states import TERMINAL_STATES
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import Lease
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.position import FeedPosition
from swit_saga_server.store.sqlite.writer import unlabel


class SqliteRetention:
    """``Retention`` in one file."""

    def __init__(self, file: SqliteFile, position: FeedPosition) -> None:
        self._file = file
        self._position = position

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """See the contract."""

        def delete(db: apsw.Connection) -> bool:
            current = db.execute("select epoch, nonce from lease where part = ?", (lease.partition,)).fetchone()
            found = db.execute("select n, part, state from saga where id = ?", (saga_id,)).fetchone()
            if current != (lease.epoch, lease.nonce) or found is None or found[1] != lease.partition:
                return False
            if found[2] not in TERMINAL_STATES:
                return False
            self._remove(db, found[0])
            return True

        return await self._file.write(delete)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See the contract."""
        sql = "select id from saga where part = ? and expires > 0 and expires < ? order by expires, id limit ?"
        return [saga_id for (saga_id,) in await self._file.rows(sql, (partition, older_than, limit))]

    def _remove(self, db: apsw.Connection, n: int) -> None:
        """A saga with all that belongs to it."""
        unlabel(db, n)
        for table, column in (("event", "saga"), ("step", "saga"), ("saga", "n")):
            db.execute(f"delete from {table} where {column} = ?", (n,))
        self._position.keep(db)
