"""Definitions: checked, registered, read, and found for the sagas that run them."""

from collections.abc import Callable

from cachetools import LRUCache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import (
    DefinitionDisabled,
    DefinitionNotFound,
    InvalidDefinition,
    InvalidRequest,
    Violation,
)
from swit_saga_server.core.model import Saga
from swit_saga_server.core.start import StartRequest
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.transport import Transport
from swit_saga_server.service.catalogue import Catalogue
from swit_saga_server.service.limits import Limits
from swit_saga_server.store.codec import pack_definition
from swit_saga_server.store.contract import DefinitionPage, StateStorage, StoredDefinition
from swit_saga_server.store.digest import digest

DEFINITIONS_KEPT = 1_000


class Definitions:
    """What can be asked about definitions. All methods belong to the engine's event loop."""

    def __init__(
        self,
        store: StateStorage,
        transport: Transport,
        limits: Limits,
        now: Callable[[], Instant],
        catalogue: Catalogue,
    ) -> None:
        """Take what is needed.

        Args:
            store: Where they are kept.
            transport: Says which participants and actions it knows.
            limits: How large one may be.
            now: The time by the store's clock.
            catalogue: Is told which definitions are in use.
        """
        self._store = store
        self._transport = transport
        self._limits = limits
        self._now = now
        self._within_bounds: LRUCache[tuple[str, int, str], bool] = LRUCache(DEFINITIONS_KEPT)
        self._catalogue = catalogue
        self._kept: LRUCache[tuple[str, int, str], StoredDefinition] = LRUCache(DEFINITIONS_KEPT)

    def validate(self, definition: Definition) -> None:
        """Check a definition, its participants and, where they are known, their actions.

        Raises:
            InvalidDefinition: With everything wrong, at once.
            PayloadTooLarge: Encoded, it exceeds the limit.
        """
        definition.validate()
        found = []
        for i, step in enumerate(definition.steps):
            wrong = self._transport.knows(step.participant, step.action_name)
            if wrong:
                found.append(Violation(f"steps[{i}].participant", wrong))
        if found:
            raise InvalidDefinition(tuple(found))
        self._limits.check_definition(len(pack_definition(definition)))

    async def register(self, definition: Definition) -> tuple[StoredDefinition, bool]:
        """Give the definition its version; the same content keeps its version.

        Returns:
            The version, and whether this call made it.

        Raises:
            InvalidDefinition, PayloadTooLarge, StoreUnavailable.
        """
        self.validate(definition)
        key = digest(definition)
        registered = await self._store.register(definition, key, self._now())
        self._catalogue.expect(key, definition)
        return registered

    async def get(self, definition_id: str, version: int) -> StoredDefinition:
        """One version; 0 is the latest not disabled.

        Raises:
            DefinitionNotFound, StoreUnavailable.
        """
        found = await self._store.definition(definition_id, version, "")
        if found is None:
            raise _not_found(definition_id, version)
        return found

    async def list(self, definition_id: str, include_disabled: bool, page_size: int, page_token: str) -> DefinitionPage:
        """A page of definitions; see ``StateStorage.list_definitions``."""
        return await self._store.list_definitions(definition_id, include_disabled, page_size, page_token)

    async def disable(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition:
        """Take no new sagas with one version, or take them again. Running sagas are not touched.

        Raises:
            DefinitionNotFound, StoreUnavailable.
        """
        found = await self._store.disable_definition(definition_id, version, disabled)
        if found is None:
            raise _not_found(definition_id, version)
        return found

    async def of(self, saga: Saga) -> Definition:
        """The very version a saga is pinned to; read once and kept.

        Raises:
            DefinitionNotFound, StoreUnavailable.
        """
        key = (saga.definition_id, saga.definition_version, saga.definition_digest)
        found = self._kept.get(key)
        if found is None:
            found = await self._store.definition(*key)
            if found is None:
                raise _not_found(saga.definition_id, saga.definition_version)
            self._kept[key] = found
        return found.definition

    async def named_by(self, request: StartRequest) -> StoredDefinition:
        """The definition that a start names or carries.

        Raises:
            InvalidRequest, InvalidDefinition, PayloadTooLarge, DefinitionNotFound, DefinitionDisabled,
            StoreUnavailable.
        """
        if request.definition is not None:
            return self._inline(request, request.definition)
        if not request.definition_id:
            raise InvalidRequest((Violation("definition_id", "give one, or an inline definition"),))
        found = await self.get(request.definition_id, request.definition_version)
        if found.disabled:
            raise DefinitionDisabled(
                f"definition {request.definition_id!r} version {found.version} is disabled",
                definition_id=request.definition_id,
                version=found.version,
            )
        key = (request.definition_id, found.version, found.digest)
        if key not in self._within_bounds:
            found.definition.validate()  # It may have been registered before there were bounds.
            self._within_bounds[key] = True
        self._catalogue.expect(found.digest, found.definition)
        return found

    def _inline(self, request: StartRequest, definition: Definition) -> StoredDefinition:
        if request.definition_id or request.definition_version:
            raise InvalidRequest((Violation("definition", "give a definition_id or an inline definition, not both"),))
        key = (definition.id, 0, digest(definition))
        found = self._kept.get(key)
        if found is None:
            try:
                self.validate(definition)
            except InvalidDefinition as invalid:
                within = (Violation(f"definition.{v.field}", v.description) for v in invalid.violations)
                raise InvalidDefinition(tuple(within)) from invalid
            found = StoredDefinition(definition=definition, version=0, digest=key[2], registered_at=self._now())
            self._kept[key] = found
            self._catalogue.expect(found.digest, definition)
        return found


def _not_found(definition_id: str, version: int) -> DefinitionNotFound:
    which = f"version {version} of definition" if version else "definition"
    return DefinitionNotFound(
        f"there is no {which} {definition_id!r}; register it first", definition_id=definition_id, version=version
    )
