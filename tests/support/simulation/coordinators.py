"""Coordinators under test: the real engine and service, each life of each one in a process that can be killed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.model import Settings
from swit_saga_server.core.units import MILLISECOND, NO_TIME, SECOND, Span
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.environment import Environment, MonotonicClock
from swit_saga_server.engine.options import CacheOptions, EngineOptions
from swit_saga_server.engine.transport import Deliver, Transport
from swit_saga_server.participants.router import Router
from swit_saga_server.participants.stream import StreamTransport
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.participants.unroutable import Unroutable
from swit_saga_server.service import Limits, SagaService
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.wire.answer import AnswerReader
from tests.support.simulation.connection import SimConnection
from tests.support.simulation.draws import Draws, Streams
from tests.support.simulation.levels import codec_of
from tests.support.simulation.manners import MAX_PAYLOAD_BYTES
from tests.support.simulation.network import StoreLink
from tests.support.simulation.plan import PlannedCoordinator
from tests.support.simulation.receiver import Receiver
from tests.support.simulation.scene import Scene
from tests.support.simulation.store import SimStore
from tests.support.simulation.virtual_loop import Process

SETTINGS = Settings(timeout=20 * SECOND, step_timeout=SECOND)
BOOT_AGAIN: Span = 300 * MILLISECOND


@dataclass(slots=True, eq=False)
class Life:
    """One incarnation of a coordinator.

    Attributes:
        serving: It takes clients' calls.
    """

    process: Process
    engine: Engine
    service: SagaService
    serving: bool = False

    async def stop(self) -> None:
        """As a server drains: what is under way first, then who still waits is told."""
        await self.engine.stop(0.2)
        await self.service.close()
        self.service.sagas.end_waits()


class Slot:
    """A place for one coordinator. A dead one's place is taken by a new life of it."""

    def __init__(
        self,
        scene: Scene,
        number: int,
        planned: PlannedCoordinator,
        store: SimStore,
        participants: Mapping[str, Receiver],
    ) -> None:
        self._scene = scene
        self._number = number
        self._planned = planned
        self._store = store
        self._participants = participants
        self.lives: list[Life] = []
        self.life: Life | None = None

    @property
    def name(self) -> str:
        """As clients and the timeline call it."""
        return f"c{self._number}"

    def boot(self) -> None:
        """Begin a new life, unless one is going on."""
        if self.life is not None:
            return
        process = Process(f"{self.name}.{len(self.lives)}")
        self.life = life = process.context.run(self._make, process)
        self.lives.append(life)
        if len(self.lives) > 1:
            self._scene.fault("restart", process.name)
        if self._planned.cache_size < 3:
            self._scene.fault("eviction", process.name)
        self._scene.loop.create_task(self._live(life), context=process.context)

    def crash(self, kind: str, back_after: Span) -> None:
        """Kill -9."""
        if self.life is None:
            return
        self._scene.fault(kind, self.life.process.name)
        self._scene.loop.kill(self.life.process)
        self.life = None
        self._scene.later(back_after, self.boot)

    def after(self, handles: int, strike: Callable[[], None]) -> None:
        """Call before its ``handles``-th callback from now runs: at any ``await`` of any task."""
        if self.life is not None and self.life.process.alive:
            process, life = self.life.process, self.life
            process.blown = lambda: strike() if self.life is life else None
            process.fuse = handles

    def pause(self, span: Span) -> None:
        """Stop it for a while, without its knowing."""
        if self.life is None or self.life.process.paused:
            return
        process = self.life.process
        self._scene.fault("pause", process.name)
        self._scene.loop.pause(process)
        self._scene.later(span, self._resume, process)

    def hand_over(self, back_after: Span) -> None:
        """Stop it in good order and start it again."""
        if self.life is None or not self.life.serving:
            return
        life, self.life = self.life, None
        life.serving = False
        self._scene.fault("handover", life.process.name)
        stopped = self._scene.loop.create_task(life.stop(), context=life.process.context)
        stopped.add_done_callback(lambda _: self._scene.later(back_after, self.boot), context=self._scene.world)

    def failures(self) -> list[BaseException]:
        """What ended an engine against its will: bugs."""
        return [life.engine.failure for life in self.lives if life.engine.failure is not None]

    def _resume(self, process: Process) -> None:
        if process.alive:
            self._scene.fault("resume", process.name)
        self._scene.loop.resume(process)

    async def _live(self, life: Life) -> None:
        try:
            await life.engine.start()
            life.serving = True
        except StoreUnavailable:
            # As the program does: it ends, and whoever supervises it starts it again.
            if self.life is life:
                self.life = None
                self._scene.loop.kill(life.process)
                self._scene.later(BOOT_AGAIN, self.boot)

    def _router(self, process: Process, deliver: Deliver) -> Router:
        scene, routes = self._scene, dict[str, Transport]()
        for name, participant in self._participants.items():
            connection, reader = SimConnection(scene, process.name, participant), AnswerReader(MAX_PAYLOAD_BYTES)
            if participant.is_streamed:
                routes[name] = StreamTransport(name, connection, deliver, scene.now, reader)
            else:
                routes[name] = UnaryTransport(connection, deliver, scene.now, reader)
        return Router(routes, Unroutable(deliver, scene.now))

    def _make(self, process: Process) -> Life:
        scene, planned, name = self._scene, self._planned, process.name
        codec = codec_of(planned.levels, len(self.lives))
        store = self._store.as_version(codec) if planned.levels else self._store
        wall_error = Draws(scene.seed, name).whole("wall clock", -200, 200) * MILLISECOND
        clock = MonotonicClock(lambda: scene.loop.ticks * 1000, lambda: (scene.now() + wall_error) * 1000)
        deliver: list[Deliver] = []
        transport = self._router(process, lambda saga_id, answered: deliver[0](saga_id, answered))
        engine = Engine(
            cast(StateStorage, StoreLink(scene, store, process)),
            transport,
            EngineOptions(
                owner=self.name if planned.keeps_name else name,
                cache=CacheOptions(
                    enabled=planned.cache_size > 0, max_size=planned.cache_size, policy=planned.policy, ttl=5 * SECOND
                ),
                lease_term=planned.lease_term,
                round_size=planned.round_size,
                rounds=planned.rounds,
                codec=codec,
                timer_horizon=3 * SECOND,
                timer_poll=SECOND,
                inbox_poll=SECOND,
                watch_poll=SECOND // 4,
                answer_timeout=2 * SECOND,
                load_batch=2,
                watch_buffer=4,
            ),
            Environment(clock, Streams(scene.seed, name), worked=lambda: NO_TIME),
        )
        deliver.append(engine.deliver)
        return Life(process, engine, SagaService(engine, SETTINGS, Limits()))
