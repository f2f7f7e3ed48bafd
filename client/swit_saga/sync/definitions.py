"""``sagas.definitions`` of the synchronous client."""

from collections.abc import Iterator

from swit_saga.definition import DefinitionLike
from swit_saga.definitions import Definitions
from swit_saga.sync.loop import LoopThread
from swit_saga.v1.definition_pb2 import SagaDefinition


class SyncDefinitions:
    """The definitions a coordinator knows. Made by the client."""

    def __init__(self, definitions: Definitions, loop: LoopThread) -> None:
        self._definitions = definitions
        self._loop = loop

    def register(self, definition: DefinitionLike) -> int:
        """See ``Definitions.register``."""
        return self._loop.run(self._definitions.register(definition))

    def get(self, definition_id: str, version: int = 0) -> SagaDefinition:
        """See ``Definitions.get``."""
        return self._loop.run(self._definitions.get(definition_id, version))

    def list(
        self, definition_id: str = "", *, include_disabled: bool = False, page_size: int = 100
    ) -> Iterator[SagaDefinition]:
        """See ``Definitions.list``."""
        found = self._definitions.list(definition_id, include_disabled=include_disabled, page_size=page_size)
        return self._loop.iterate(found)

    def validate(self, definition: DefinitionLike) -> tuple[tuple[str, str], ...]:
        """See ``Definitions.validate``."""
        return self._loop.run(self._definitions.validate(definition))

    def disable(self, definition_id: str, version: int) -> SagaDefinition:
        """See ``Definitions.disable``."""
        return self._loop.run(self._definitions.disable(definition_id, version))

    def enable(self, definition_id: str, version: int) -> SagaDefinition:
        """See ``Definitions.enable``."""
        return self._loop.run(self._definitions.enable(definition_id, version))
