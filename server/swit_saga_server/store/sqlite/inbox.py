"""Inboxes in SQLite: one table for all partitions; an answer stands beside its entry."""

from collections.abc import Sequence

from swit_saga_server.store.contract import InboxEntry
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.hints import SqliteHints


class SqliteInbox:
    """``Inbox`` in one file."""

    def __init__(self, file: SqliteFile, hints: SqliteHints) -> None:
        self._file = file
        self._hints = hints

    async def post(self, entry: InboxEntry) -> None:
        """See the contract."""
        part = self._file.partition_of(entry.saga_id)
        row = (entry.entry_id, part, entry.saga_id, entry.body)
        sql = "insert or ignore into inbox (entry_id, part, saga_id, body) values (?, ?, ?, ?)"
        await self._file.write(lambda db: db.execute(sql, row))
        self._hints.give("inbox", part)

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See the contract."""
        sql = "select entry_id, saga_id, body from inbox where part = ? and answer is null order by n limit ?"
        rows = await self._file.rows(sql, (partition, limit))
        return [InboxEntry(entry_id=e, saga_id=s, body=b) for e, s, b in rows]

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See the contract."""
        rows = await self._file.rows("select answer from inbox where entry_id = ?", (entry.entry_id,))
        return rows[0][0] if rows else None
