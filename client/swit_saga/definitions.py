"""``sagas.definitions``: register, read, check and disable definitions."""

from collections.abc import AsyncIterator, Iterable

from swit_saga.connection import Connection
from swit_saga.definition import DefinitionLike, definition_message
from swit_saga.ids import MAX_VERSION, given_id, given_number, given_text
from swit_saga.paging import every
from swit_saga.v1 import definition_service_pb2 as pb
from swit_saga.v1.definition_pb2 import SagaDefinition


class Definitions:
    """The definitions a coordinator knows. Made by the client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def register(self, definition: DefinitionLike) -> int:
        """Register a definition; the same content again keeps its version.

        Returns:
            Its version, from 1.

        Raises:
            InvalidRequestError: With a violation for everything wrong. UnsupportedError, UnavailableError.
        """
        request = pb.RegisterDefinitionRequest(definition=definition_message(definition))
        response = await self._connection.call(self._connection.stubs.definitions.RegisterDefinition, request)
        version: int = response.definition.version
        return version

    async def get(self, definition_id: str, version: int = 0) -> SagaDefinition:
        """One version of a definition; 0 is the latest not disabled.

        Raises:
            NotFoundError, UnavailableError.
        """
        request = pb.GetDefinitionRequest(
            definition_id=given_id(definition_id, "definition_id"),
            version=given_number(version, "version", highest=MAX_VERSION),
        )
        response = await self._connection.call(self._connection.stubs.definitions.GetDefinition, request)
        found: SagaDefinition = response.definition
        return found

    def list(
        self, definition_id: str = "", *, include_disabled: bool = False, page_size: int = 100
    ) -> AsyncIterator[SagaDefinition]:
        """Definitions by id and version, page by page as they are consumed.

        Args:
            definition_id: All versions of this one; empty lists the latest of each.
            include_disabled: Those, too, that take no new sagas.
            page_size: Definitions per call, 1 to 1000.

        Raises:
            InvalidRequestError, UnavailableError.
        """

        size = given_number(page_size, "page_size", lowest=1)
        given_text(definition_id, "definition_id")

        async def page(token: str) -> tuple[Iterable[SagaDefinition], str]:
            request = pb.ListDefinitionsRequest(
                definition_id=definition_id, include_disabled=include_disabled, page_size=size, page_token=token
            )
            response = await self._connection.call(self._connection.stubs.definitions.ListDefinitions, request)
            return response.definitions, response.next_page_token

        return every(page)

    async def validate(self, definition: DefinitionLike) -> tuple[tuple[str, str], ...]:
        """Check a definition without registering it.

        Returns:
            (field, what is wrong with it) for everything wrong; empty if it would be registered.

        Raises:
            UnavailableError.
        """
        request = pb.ValidateDefinitionRequest(definition=definition_message(definition))
        response = await self._connection.call(self._connection.stubs.definitions.ValidateDefinition, request)
        return tuple((v.field, v.description) for v in response.violations)

    async def disable(self, definition_id: str, version: int) -> SagaDefinition:
        """Take no new sagas with this version. Those that run go on.

        Raises:
            NotFoundError, InvalidRequestError, UnavailableError.
        """
        return await self._disable(definition_id, version, enable=False)

    async def enable(self, definition_id: str, version: int) -> SagaDefinition:
        """Take new sagas with this version again.

        Raises:
            NotFoundError, InvalidRequestError, UnavailableError.
        """
        return await self._disable(definition_id, version, enable=True)

    async def _disable(self, definition_id: str, version: int, *, enable: bool) -> SagaDefinition:
        name = given_id(definition_id, "definition_id")
        request = pb.DisableDefinitionRequest(
            definition_id=name, version=given_number(version, "version", lowest=1, highest=MAX_VERSION), enable=enable
        )
        response = await self._connection.call(self._connection.stubs.definitions.DisableDefinition, request)
        changed: SagaDefinition = response.definition
        return changed
