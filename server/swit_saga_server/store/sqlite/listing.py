"""Listing from SQLite."""

from collections.abc import Mapping
from typing import Any

import apsw

from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.codec import Codec
from swit_saga_server.store.contract import SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.paging import make_tokens, read_token
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

        def read(db: apsw.Connection) -> tuple[list[tuple[int, str, SagaRow]], bool]:
            found: list[Any] = db.execute(sql, parameters).fetchall()
            page: list[tuple[int, str, SagaRow]] = []
            size = 0
            for n, saga_id, key in found:
                if len(page) == page_size or size >= PAGE_BYTES:
                    return page, True
                if (row := read_saga(db, "n = ?", n)) is not None:
                    page.append((key, saga_id, row))
                    size += len(row[0]) + len(row[1]) + sum(map(len, row[2]))
            return page, False

        page, more = await self._file.read(read)
        tokens = make_tokens(listing, [[key, saga_id] for key, saga_id, _ in page])
        sagas = tuple(decode_saga(self._codec, saga_id, row) for _, saga_id, row in page)
        return SagaPage(sagas, tokens[-1] if more else "", tokens)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        rows = await self._file.rows("select state, count(*) from saga group by state", ())
        return {SagaState(state): number for state, number in rows if state in _STATES}
