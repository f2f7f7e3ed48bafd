"""Listing from SQLite."""

from collections.abc import Mapping
from typing import Any

import apsw

from swit_saga_server.core.states import SagaState
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.paging import make_token, read_token
from swit_saga_server.store.sqlite import query
from swit_saga_server.store.sqlite.decode import SagaRow, decode_saga, read_saga
from swit_saga_server.store.sqlite.file import SqliteFile

_STATES = frozenset(SagaState)


class SqliteListing:
    """``Listing`` from one file; ``query`` makes the SQL."""

    def __init__(self, file: SqliteFile, codec: Codec) -> None:
        self._file = file
        self._codec = codec

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See the contract."""
        listing = [query.listing_key(wanted), order.value]
        after = read_token(listing, page_token, int, str)
        sql, parameters = query.listing(wanted, order, after, page_size + 1)

        def read(db: apsw.Connection) -> list[tuple[int, str, SagaRow | None]]:
            found: list[Any] = db.execute(sql, parameters).fetchall()
            return [(key, i, read_saga(db, "n = ?", n)) for n, i, key in found]

        rows = await self._file.read(read)
        more = len(rows) > page_size
        page = rows[:page_size]
        token = make_token(listing, [page[-1][0], page[-1][1]]) if more else ""
        return SagaPage(tuple(decode_saga(self._codec, i, row) for _, i, row in page if row is not None), token)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        rows = await self._file.rows("select state, count(*) from saga group by state", ())
        return {SagaState(state): number for state, number in rows if state in _STATES}
