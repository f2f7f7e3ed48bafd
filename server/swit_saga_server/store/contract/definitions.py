"""Definitions: immutable versions, and those that came inline with a saga."""

from typing import Protocol

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant


@record(frozen=True, slots=True, kw_only=True)
class StoredDefinition:
    """A definition as stored, immutable but for ``disabled``.

    Attributes:
        version: From 1 per definition id; 0 for one that came inline with a start.
        digest: Of its content; names inline ones.
    """

    definition: Definition
    version: int
    digest: str
    registered_at: Instant
    disabled: bool = False


@record(frozen=True, slots=True)
class DefinitionPage:
    """One page of a list; as ``SagaPage``."""

    definitions: tuple[StoredDefinition, ...]
    next_token: str
    tokens: tuple[str, ...]


class Definitions(Protocol):
    """Registered definitions; inline ones come in with the write that creates their saga."""

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """Give the definition its version: the existing one for the same content, else the next, from 1.

        Returns:
            The definition as stored, and whether it is new. Registering a disabled version's content enables nothing.

        Raises:
            NeedsNewerLevel: It has something that a coordinator that lives could not read.
        """
        ...

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """One version. Version 0 with a digest is one that came inline; without, the latest that is not disabled.

        Raises:
            NewerRecord: A newer version wrote it.
        """
        ...

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> DefinitionPage:
        """A page by id and version: all versions of one id if it is given, else the latest of each.

        Like a page of sagas it ends where its records have ``PAGE_BYTES``.

        Raises:
            InvalidRequest: The token is not one of this listing's.
            NewerRecord: A newer version wrote one that may be on the page.
        """
        ...

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """Set or clear ``disabled`` on one version; None if there is no such version."""
        ...
