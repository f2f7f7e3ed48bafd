"""Definitions in SQLite: registered versions and inline ones in one table."""

from typing import Any

import apsw

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.units import Instant
from swit_saga_server.store.contract import DefinitionPage, StoredDefinition
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.paging import make_tokens, read_token
from swit_saga_server.store.round import UNENCODABLE, unstorable
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.writer import INSERT_DEFINITION

_COLUMNS = "version, digest, registered, disabled, data"


class SqliteDefinitions:
    """``Definitions`` in one file."""

    def __init__(self, file: SqliteFile, fleet: Fleet) -> None:
        self._file = file
        self._fleet = fleet

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """See the contract."""
        try:
            data = self._fleet.writer.pack_definition(definition)
        except UNENCODABLE as error:
            raise unstorable(f"definition {definition.id!r}", error) from error

        def register(db: apsw.Connection) -> tuple[tuple[Any, ...], bool]:
            known = f"select {_COLUMNS} from definition where id = ? and digest = ? and version > 0"
            row = db.execute(known, (definition.id, digest)).fetchone()
            if row is not None:
                return row, False
            newest = db.execute("select max(version) from definition where id = ?", (definition.id,)).fetchone()
            version = (newest[0] or 0) + 1 if newest else 1
            db.execute(INSERT_DEFINITION, (definition.id, version, digest, at, data))
            return (version, digest, at, 0, data), True

        row, created = await self._file.write(register)
        return self._stored(row), created

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """See the contract."""
        sql = f"select {_COLUMNS} from definition where id = ?"
        parameters: tuple[Any, ...] = (definition_id,)
        if version:
            sql, parameters = sql + " and version = ?", (definition_id, version)
        elif digest:
            sql, parameters = sql + " and version = 0 and digest = ?", (definition_id, digest)
        else:
            sql += " and version > 0 and not disabled order by version desc limit 1"
        rows = await self._file.rows(sql, parameters)
        return self._stored(rows[0]) if rows else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> DefinitionPage:
        """See the contract."""
        listing = ["definitions", definition_id, include_disabled]
        after = read_token(listing, page_token, str, int) or ["", 0]
        which = "id = ?1" if definition_id else "?1 = ''"
        latest = "" if definition_id else " and version = (select max(version) from definition m where {same})"
        if latest:
            latest = latest.format(same="m.id = d.id and m.version > 0 and (?2 or not m.disabled)")
        sql = (
            f"select {_COLUMNS} from definition d where {which} and version > 0 and (?2 or not disabled)"
            f" and (id, version) > (?3, ?4){latest} order by id, version limit ?5"
        )

        def read(db: apsw.Connection) -> tuple[list[tuple[Any, ...]], bool]:
            page: list[tuple[Any, ...]] = []
            size = 0
            for row in db.execute(sql, (definition_id, int(include_disabled), *after, page_size + 1)):
                if len(page) == page_size or size >= PAGE_BYTES:
                    return page, True
                page.append(row)
                size += len(row[-1])
            return page, False

        rows, more = await self._file.read(read)
        page = tuple(self._stored(row) for row in rows)
        tokens = make_tokens(listing, [[d.definition.id, d.version] for d in page])
        return DefinitionPage(page, tokens[-1] if more else "", tokens)

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """See the contract."""
        await self._file.write(
            lambda db: db.execute(
                "update definition set disabled = ? where id = ? and version = ? and version > 0",
                (int(disabled), definition_id, version),
            )
        )
        return await self.definition(definition_id, version, "") if version else None

    def _stored(self, row: tuple[Any, ...]) -> StoredDefinition:
        version, digest, registered, disabled, data = row
        return StoredDefinition(
            definition=self._fleet.codec.unpack_definition(data),
            version=version,
            digest=digest,
            registered_at=registered,
            disabled=bool(disabled),
        )
