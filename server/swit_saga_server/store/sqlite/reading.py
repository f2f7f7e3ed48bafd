"""Reading from SQLite."""

from collections.abc import Sequence

import apsw

from swit_saga_server.core.errors import CursorOutOfRange
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import Due, FeedItem
from swit_saga_server.store.sqlite.decode import SagaRow, decode_saga, read_saga
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.position import LAST_POSITION


class SqliteReading:
    """``Reading`` from one file."""

    def __init__(self, file: SqliteFile, codec: Codec) -> None:
        self._file = file
        self._codec = codec

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See the contract."""

        def load(db: apsw.Connection) -> list[SagaRow | None]:
            return [read_saga(db, "id = ?", saga_id) for saga_id in saga_ids]

        rows = await self._file.read(load)
        return [decode_saga(self._codec, i, row) if row else None for i, row in zip(saga_ids, rows, strict=True)]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See the contract."""
        # A row holds the events of one transition: there is at least one wanted in each, and maybe some before.
        sql = (
            "select event.data from event join saga on event.saga = saga.n"
            " where saga.id = ? and event.seq > ? order by event.seq limit ?"
        )
        rows = await self._file.rows(sql, (saga_id, after, limit))
        found = [event for (data,) in rows for event in self._codec.unpack_events(data) if event.sequence > after]
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
        if not rows and after > (end := await self.feed_end(partition)):
            raise CursorOutOfRange(f"the feed ends at {end}, before {after}: the store went back", oldest=end)
        items = [
            FeedItem(last - len(events) + k, saga_id, event)
            for last, saga_id, events in ((p, i, self._codec.unpack_events(data)) for p, i, data in rows)
            for k, event in enumerate(events, 1)
        ]
        return [item for item in items if item.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        """See the contract."""
        # Positions are those of the feed over all partitions.
        ((position,),) = await self._file.rows(LAST_POSITION, ())
        return int(position)
