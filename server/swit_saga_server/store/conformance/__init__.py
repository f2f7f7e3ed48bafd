"""The conformance suite: ``StateStorage``'s docstrings as tests, for every backend, third-party ones included.

A backend's test module supplies one fixture, ``backend``, a ``Backend``, and subclasses the suite::

    class TestMyStore(StateStorageConformance):
        @pytest.fixture
        def backend(self, tmp_path): return MyBackend(tmp_path)

Run it for one partition and for several. Needs pytest, pytest-asyncio (``asyncio_mode = auto``) and hypothesis. Call
``pytest.register_assert_rewrite("swit_saga_server.store.conformance")`` in a ``conftest.py`` for readable failures.
"""

from swit_saga_server.store.conformance.backend import Backend
from swit_saga_server.store.conformance.definitions import DefinitionTests
from swit_saga_server.store.conformance.inbox import InboxTests
from swit_saga_server.store.conformance.indexes import IndexTests
from swit_saga_server.store.conformance.levels import LevelTests
from swit_saga_server.store.conformance.listing import ListingTests
from swit_saga_server.store.conformance.model_based import ModelBasedTests
from swit_saga_server.store.conformance.ownership import OwnershipTests
from swit_saga_server.store.conformance.refusals import RefusalTests
from swit_saga_server.store.conformance.removal import RemovalTests
from swit_saga_server.store.conformance.rounds import RoundTests

__all__ = ["Backend", "StateStorageConformance"]


class StateStorageConformance(
    OwnershipTests,
    RoundTests,
    RefusalTests,
    InboxTests,
    LevelTests,
    IndexTests,
    ListingTests,
    RemovalTests,
    DefinitionTests,
    ModelBasedTests,
):
    """All of it."""
