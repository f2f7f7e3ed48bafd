"""The definitions of sagas in memory: immutable, so a version once read is kept."""

from cachetools import LRUCache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.patience import until_answered
from swit_saga_server.store.contract import StateStorage

KEPT = 1_000


class Definitions:
    """Finds the very version that a saga is pinned to (invariant 17)."""

    def __init__(self, store: StateStorage) -> None:
        self._store = store
        self._known: LRUCache[tuple[str, int, str], Definition] = LRUCache(KEPT)

    async def of(self, saga: Saga) -> Definition:
        """The saga's definition; tried until the store answers.

        Raises:
            LookupError: The store does not have it.
        """
        key = (saga.definition_id, saga.definition_version, saga.definition_digest)
        found = self._known.get(key)
        if found is None:
            stored = await until_answered(lambda: self._store.definition(*key))
            if stored is None:
                raise LookupError(f"saga {saga.id!r} is pinned to definition {key}, which the store does not have")
            found = self._known[key] = stored.definition
        return found
