"""One world: coordinators, store, participants, clients and faults, from a plan, on virtual time, to its end."""

import asyncio
import gc
import hashlib
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from swit_saga_server.core.units import NO_TIME, SECOND, Span
from tests.support.simulation.clients import Clients
from tests.support.simulation.coordinators import Slot
from tests.support.simulation.faults import PlannedFault
from tests.support.simulation.observed import Answered, Committed, Observation, Remains, Rewound, Waited
from tests.support.simulation.participants import Participant
from tests.support.simulation.plan import Plan, Reached, plan
from tests.support.simulation.receiver import FOR_EVER
from tests.support.simulation.scene import CALM, Scene
from tests.support.simulation.store import Data, SimStore
from tests.support.simulation.virtual_loop import Deadlock, Livelock, virtual_loop

__all__ = ["Outcome", "Plan", "brief", "plan", "run"]

PATIENCE: Span = 200 * SECOND
"""How long after the last fault a saga may take to its outcome."""
CALM_TAIL: Span = 3 * SECOND
"""How long a world goes on after all is settled: what is wrongly done then is seen, too."""


@dataclass(kw_only=True)
class Outcome:
    """What a run showed.

    Attributes:
        observations: All of them, in order.
        ended: Everything settled within ``PATIENCE``.
        crashed: A bug that showed itself as an exception: of an engine, of a service, or of the loop's running wild.
        virtual: How long it took, in virtual microseconds.
        orphans: Sagas left in the store without the definition they are pinned to.
    """

    plan: Plan
    observations: list[Observation]
    ended: bool
    crashed: BaseException | None
    virtual: Span
    orphans: tuple[str, ...] = ()

    @cached_property
    def trace_hash(self) -> str:
        """The same for the same seed, on every machine."""
        text = hashlib.sha256()
        for seen in self.observations:
            text.update(repr(brief(seen)).encode())
        return text.hexdigest()[:16]


def run(plan: Plan) -> Outcome:
    """Run a plan to its end."""
    with _quiet():
        return _World(plan).run()


class _World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = virtual_loop()
        self.scene = Scene(plan.seed, self.loop, plan.weather)
        scene = self.scene
        self.store = SimStore(
            plan.partitions, scene.store_now, random.Random(f"{plan.seed}/store"), saw=scene.saw, true_time=scene.now
        )
        scripts = {
            (saga.saga_id, step.id): script
            for saga in plan.sagas
            for step, script in zip(saga.definition.steps, saga.scripts, strict=True)
        }
        participants = {
            p.name: Participant(
                scene,
                p.name,
                barrier=p.barrier,
                skew=p.skew,
                scripts=scripts,
                is_streamed=p.reached is not Reached.CALLS,
                serves_from={Reached.STREAM: NO_TIME, Reached.REPLACED: plan.calm_at // 2}.get(p.reached, FOR_EVER),
                credits=p.credits,
            )
            for p in plan.participants
        }
        self.slots = [Slot(scene, n, c, self.store, participants) for n, c in enumerate(plan.coordinators)]
        self.clients = Clients(scene, self.slots, {s.saga_id: s for s in plan.sagas}, [])
        self.asking: list[asyncio.Task[None]] = []
        self.snapshots: dict[int, Data] = {}

    def run(self) -> Outcome:
        ended, wild = False, None
        was_enabled = gc.isenabled()
        gc.disable()  # Fast, and nothing is finalized at a time that depends on the machine.
        try:
            ended = self.loop.run_until_complete(self._live())
        except (Deadlock, Livelock) as error:
            wild = error
        finally:
            observations = [*self.scene.observations, *self.store.remains()]
            self.loop.close()
            if was_enabled:
                gc.enable()
        bugs = [
            *(e for slot in self.slots for e in slot.failures()), *self.clients.unexpected, *self.loop.broken,
            *([wild] if wild else []),
        ]  # fmt: skip
        return Outcome(
            plan=self.plan,
            observations=observations,
            ended=ended,
            crashed=bugs[0] if bugs else None,
            virtual=self.loop.ticks,
            orphans=self.store.orphans(),
        )

    async def _live(self) -> bool:
        for slot in self.slots:
            slot.boot()
        for number, fault in enumerate(self.plan.faults):
            self._schedule(number, fault)
        sagas = {saga.saga_id for saga in self.plan.sagas}
        for action in self.plan.actions:
            if action.saga_id not in sagas:
                continue  # Shrinking took the saga away.
            self.scene.later(action.at, self._begin, action)
        await asyncio.sleep(self.plan.calm_at / 1e6)
        self.scene.weather = CALM
        settled_since: Span | None = None
        while self.loop.ticks < self.plan.calm_at + PATIENCE:
            await asyncio.sleep(0.5)
            if not self._is_settled():
                settled_since = None
            elif settled_since is None:
                settled_since = self.loop.ticks
            elif self.loop.ticks - settled_since >= CALM_TAIL:
                return True
        return False

    def _is_settled(self) -> bool:
        last = max((a.at for a in self.plan.actions), default=0)
        up = all(slot.life is not None and slot.life.serving for slot in self.slots)
        return up and self.loop.ticks > last and all(t.done() for t in self.asking) and self.store.is_settled

    def _begin(self, action: Any) -> None:
        self.asking.append(self.loop.create_task(self.clients.do(action), context=self.scene.world.copy()))

    def _schedule(self, number: int, fault: PlannedFault) -> None:
        later, slot = self.scene.later, self.slots[fault.slot % len(self.slots)]
        match fault.kind:
            case "crash":
                later(fault.at, slot.crash, "crash", fault.span)
            case "crash_at_await":
                later(fault.at, slot.after, fault.handles, partial(slot.crash, fault.kind, fault.span))
            case "handover":
                later(fault.at, slot.hand_over, fault.span)
            case "pause":
                later(fault.at, slot.after, fault.handles, partial(slot.pause, fault.span))
            case "outage":
                later(fault.at, self._outage, True)
                later(fault.at + fault.span, self._outage, False)
            case "rewind":
                later(max(fault.at - fault.span, 0), self._remember, number)
                later(fault.at, self._rewind, number, max(fault.at - fault.span, 0))
            case "clock_step":
                later(fault.at, self._step_clock, fault.span)
            case _:
                raise ValueError(f"no such fault: {fault.kind!r}")

    def _outage(self, begins: bool) -> None:
        self.scene.outage = begins
        if begins:
            self.scene.fault("outage", "store")

    def _remember(self, number: int) -> None:
        self.snapshots[number] = self.store.data.copy()

    def _rewind(self, number: int, to: Span) -> None:
        self.store.data = self.snapshots[number].copy()
        self.scene.fault("rewind", "store")
        self.scene.saw(Rewound(at=self.scene.now(), to=self.scene.now() - self.loop.ticks + to))

    def _step_clock(self, step: Span) -> None:
        self.scene.store_step = step
        self.scene.fault("clock_step", "store")


def brief(seen: Observation) -> Any:
    """What is worth hashing: a saga is named by its version and state, which hang together with all the rest."""
    match seen:
        case Committed():
            w = seen.write
            return (
                seen.at, w.saga.id, w.saga.version, w.saga.state.value, w.saga.last_sequence, w.saga.updated_at,
                w.commit_id, w.due_at, w.in_flight, w.changed_steps, seen.verdict.value, seen.epoch, seen.nonce,
                [(a.entry_id, a.answer) for a in w.answers],
            )  # fmt: skip
        case Answered():
            return seen.at, seen.call, seen.saga.id, seen.saga.version, seen.saga.state.value, seen.created
        case Waited():
            return seen.at, seen.call, seen.saga.id, seen.saga.version, seen.saga.state.value, seen.done
        case Remains():
            return seen.saga.id, seen.saga.version, seen.saga.state.value, seen.due_at, [e.type for e in seen.events]
        case _:
            return seen


@contextmanager
def _quiet() -> Iterator[None]:
    """The coordinators' logs are for people who run them."""
    logger = logging.getLogger("swit_saga_server")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
