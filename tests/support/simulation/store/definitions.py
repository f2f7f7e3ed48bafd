"""Definitions of the simulated store."""

from dataclasses import replace

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import pack_definition
from swit_saga_server.store.contract import DefinitionPage, StoredDefinition
from swit_saga_server.store.paging import make_tokens, read_token
from tests.support.simulation.store.data import Data, Memory


class SimDefinitions:
    """``Definitions`` in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        self._memory.fleet.writer.pack_definition(definition)  # Or it is refused.
        versions = self._versions(definition.id)
        for known in versions:
            if known.digest == digest:
                return known, False
        version = max((known.version for known in versions), default=0) + 1
        return _keep(
            self._memory.data, StoredDefinition(definition=definition, version=version, digest=digest, registered_at=at)
        ), True

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        if not version and digest:
            return self._memory.data.definitions.get((definition_id, 0, digest))
        versions = self._versions(definition_id)
        fits = [d for d in versions if (d.version == version if version else not d.disabled)]
        return fits[-1] if fits else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> DefinitionPage:
        listing = ["definitions", definition_id, include_disabled]
        after = read_token(listing, page_token, str, int) or ["", 0]
        wanted: list[StoredDefinition] = []
        for known in sorted({i for i, _, _ in self._memory.data.definitions}):
            versions = [d for d in self._versions(known) if include_disabled or not d.disabled]
            if definition_id:
                wanted += versions if known == definition_id else []
            else:
                wanted += versions[-1:]
        wanted = [d for d in wanted if [d.definition.id, d.version] > after]
        size = 0
        for n, d in enumerate(wanted[:page_size], 1):
            if (size := size + len(pack_definition(d.definition))) >= PAGE_BYTES:
                page_size = n
                break
        page = tuple(wanted[:page_size])
        tokens = make_tokens(listing, [[d.definition.id, d.version] for d in page])
        return DefinitionPage(page, tokens[-1] if len(wanted) > page_size else "", tokens)

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        for known in self._versions(definition_id):
            if known.version == version:
                return _keep(self._memory.data, replace(known, disabled=disabled))
        return None

    def _versions(self, definition_id: str) -> list[StoredDefinition]:
        found = [d for (i, version, _), d in self._memory.data.definitions.items() if i == definition_id and version]
        return sorted(found, key=lambda d: d.version)


def keep_inline(data: Data, saga: Saga, definition: Definition) -> None:
    """Keep a definition that came with a saga."""
    if (definition.id, 0, saga.definition_digest) not in data.definitions:
        digest, at = saga.definition_digest, saga.created_at
        _keep(data, StoredDefinition(definition=definition, version=0, digest=digest, registered_at=at))


def _keep(data: Data, stored: StoredDefinition) -> StoredDefinition:
    data.definitions[stored.definition.id, stored.version, stored.digest] = stored
    return stored
