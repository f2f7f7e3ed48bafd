"""The parts of the service put together, and what concerns the coordinator as a whole."""

from swit_saga_server.core.errors import CoordinatorUnavailable, StoreUnavailable
from swit_saga_server.core.model import Settings
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.engine.engine import Engine
from swit_saga_server.service.admission_queue import AdmissionQueue
from swit_saga_server.service.catalogue import Catalogue
from swit_saga_server.service.definitions import Definitions
from swit_saga_server.service.limits import Limits
from swit_saga_server.service.metrics import Metrics, metrics_of
from swit_saga_server.service.sagas import Sagas
from swit_saga_server.service.starting import Starting

HEALTH_TRIES = 4
"""A connection that was cut while nobody used it is found to be so by whoever does next; that says nothing."""


class SagaService:
    """One coordinator's operations. All methods belong to the engine's event loop.

    Attributes:
        starts: Where every start goes in.
        sagas: Sagas that have begun.
        definitions: What they run.
        limits: How large what is sent may be, and what is answered.
    """

    def __init__(self, engine: Engine, defaults: Settings, limits: Limits, catalogue: Catalogue | None = None) -> None:
        """Serve what ``engine`` drives.

        Args:
            engine: Drives it.
            defaults: Fill what neither request nor definition says.
            limits: How large what is sent may be.
            catalogue: Is told which definitions are in use.
        """
        clock = engine.env.clock
        self._engine = engine
        self.limits = limits
        self.sagas = Sagas(engine)
        self._catalogue = catalogue or Catalogue()
        self.definitions = Definitions(engine.store, engine.transport, limits, clock.now, self._catalogue)
        self.starts = AdmissionQueue(engine, Starting(engine, self.definitions, defaults, limits))

    def now(self) -> Instant:
        """The time by the store's clock."""
        return self._engine.env.clock.now()

    def elapsed(self) -> Span:
        """Plain time, at an even pace."""
        return self._engine.env.clock.elapsed()

    async def metrics(self) -> Metrics:
        """What was counted, see ``Metrics``.

        Raises:
            StoreUnavailable.
        """
        return await metrics_of(self._engine, len(self.starts), self._catalogue.uncompensatable)

    async def health(self) -> None:
        """Return if the coordinator can serve: it runs, and reaches its store.

        Whether it holds partitions does not matter: what it is asked about others' sagas it does through the store.

        Raises:
            CoordinatorUnavailable: It cannot, and why.
        """
        if self._engine.failure is not None:
            raise CoordinatorUnavailable(f"the engine failed: {self._engine.failure!r}")
        if not self._engine.requests.accepting:
            raise CoordinatorUnavailable("the coordinator is stopping, or has stopped")
        if trouble := self._engine.store.trouble:
            raise CoordinatorUnavailable(trouble)
        if refused := self._engine.ownership.refused:
            raise CoordinatorUnavailable(refused)
        for left in range(HEALTH_TRIES - 1, -1, -1):
            try:
                await self._engine.store.now()
                return
            except StoreUnavailable:
                if not left:
                    raise

    def begin_stop(self) -> None:
        """Refuse new sagas from now on; those under way go on."""
        self._engine.stop_accepting()

    async def close(self) -> None:
        """Begin nothing any more; who waits for it is told so. Safe to call twice."""
        await self.starts.close()
