"""Clients: they call coordinators over a network that loses requests and replies, and try again as the SDK does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from swit_saga_server.core.errors import CoordinatorUnavailable, SwitSagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.principal import ANONYMOUS
from swit_saga_server.core.start import StartRequest
from swit_saga_server.core.units import MILLISECOND, SECOND
from swit_saga_server.service import SagaService
from swit_saga_server.service.starting import Start
from tests.support.simulation.coordinators import Slot
from tests.support.simulation.levels import SOMEBODY
from tests.support.simulation.observed import Answered, Asked, Refused, Unanswered, Waited, Watched, WatchOver
from tests.support.simulation.plan import Action, PlannedSaga, What
from tests.support.simulation.scene import Scene

DEADLINE_S = 3.0
TRIES_NUMBERED = 100
"""Call numbers set apart for one action."""

Work = Callable[[SagaService], Awaitable[Any]]


class NoAnswer(Exception):
    """The call ended without any certainty."""


@dataclass(slots=True, eq=False)
class Clients:
    """All clients of a world.

    Attributes:
        unexpected: What a service raised that it must never raise: bugs.
    """

    scene: Scene
    slots: Sequence[Slot]
    sagas: dict[str, PlannedSaga]
    unexpected: list[BaseException]

    async def do(self, action: Action) -> None:
        """Carry an action out, with its repeats."""
        if action.what is What.WATCH:
            await self._watch(action)
            return
        for attempt in range(action.tries):
            if await self._ask(action, attempt) is not None:
                return
            roll, *_ = self.scene.rolls("again", action.number, attempt)
            await asyncio.sleep(0.05 + roll)

    async def _ask(self, action: Action, attempt: int) -> bool | None:
        """One call; None if it is worth another one."""
        call = action.number * TRIES_NUMBERED + attempt
        slot = self._slot(action, attempt)
        self._asked(action, call, slot)
        try:
            saga, so = await self._call(call, slot, self._work(action, attempt))
        except NoAnswer:
            self.scene.saw(Unanswered(at=self.scene.now(), call=call))
            return None
        except SwitSagaError as refused:
            self.scene.saw(Refused(at=self.scene.now(), call=call, reason=refused.reason))
            return False
        if action.what is What.WAIT:
            self.scene.saw(Waited(at=self.scene.now(), call=call, saga=saga, done=so))
            return so or None  # What is not there yet is waited for again.
        self.scene.saw(Answered(at=self.scene.now(), call=call, saga=saga, created=so))
        return True

    def _slot(self, action: Action, attempt: int) -> Slot:
        return self.slots[(action.coordinator + (attempt if action.wander else 0)) % len(self.slots)]

    def _asked(self, action: Action, call: int, slot: Slot) -> None:
        self.scene.saw(
            Asked(
                at=self.scene.now(), call=call, what=action.what.value, saga_id=action.saga_id,
                coordinator=slot.name, variant=action.variant, states=action.states, patience=action.patience,
            )
        )  # fmt: skip

    def _work(self, action: Action, attempt: int) -> Work:
        planned = self.sagas[action.saga_id]

        def decode() -> Start:
            return Start(
                StartRequest(
                    saga_id=action.saga_id,
                    definition=planned.definition,
                    initial_data=Payload("text/plain", action.variant),
                ),
                principal=SOMEBODY if planned.newer and not attempt else ANONYMOUS,
            )

        async def start(service: SagaService) -> Any:
            return await service.starts.start(action.saga_id, decode)

        async def cancel(service: SagaService) -> Any:
            return await service.sagas.cancel(action.saga_id, f"action {action.number}"), False

        async def get(service: SagaService) -> Any:
            return await service.sagas.get(action.saga_id), False

        async def wait(service: SagaService) -> Any:
            return await service.sagas.wait(action.saga_id, frozenset(action.states), action.patience / SECOND)

        return {What.START: start, What.CANCEL: cancel, What.GET: get, What.WAIT: wait}[action.what]

    # ---- one call ------------------------------------------------------------------------------------------------

    async def _call(self, call: int, slot: Slot, work: Work) -> Any:
        """As a unary RPC with a deadline.

        Raises:
            NoAnswer: It is not known what became of it.
            SwitSagaError: The coordinator's definite refusal.
        """
        scene = self.scene
        request, reply, there, back, *_ = scene.rolls("call", call)
        await asyncio.sleep((1 + 10 * there) / 1e3)
        life = slot.life
        if request < scene.weather.client:
            scene.fault("client_request_lost", f"call {call}")
            raise NoAnswer
        if life is None or not life.serving:
            raise NoAnswer
        running = scene.loop.create_task(_run(work, life.service), context=life.process.context)
        answered = scene.loop.create_future()

        def done(task: "asyncio.Task[Any]") -> None:
            self._look_at(task)
            if not answered.done():
                answered.set_result(None)

        running.add_done_callback(done, context=scene.world)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await answered
        except TimeoutError:
            # gRPC cancels the handler, at whatever await it stands.
            scene.later(0, running.cancel, context=life.process.context)
            raise NoAnswer from None
        if reply < scene.weather.client:
            scene.fault("client_reply_lost", f"call {call}")
            await asyncio.sleep(0.2)
            raise NoAnswer
        await asyncio.sleep((1 + 10 * back) / 1e3)
        return self._outcome(running)

    def _outcome(self, running: "asyncio.Task[Any]") -> Any:
        if running.cancelled():
            raise NoAnswer
        error = running.exception()
        if error is None:
            return running.result()
        if isinstance(error, CoordinatorUnavailable) or not isinstance(error, SwitSagaError):
            raise NoAnswer
        raise error

    def _look_at(self, handler: "asyncio.Task[Any]") -> None:
        """Whether or not anybody hears of it: a handler must end well, be cancelled, or refuse."""
        error = None if handler.cancelled() else handler.exception()
        if error is not None and not isinstance(error, SwitSagaError):
            self.unexpected.append(error)

    # ---- watching ------------------------------------------------------------------------------------------------

    async def _watch(self, action: Action) -> None:
        """One reader over all its resumes: it goes on after the last event it got, anywhere."""
        seen = [0]  # The last sequence, however the stream ends.
        for attempt in range(action.tries):
            call = action.number * TRIES_NUMBERED + attempt
            slot = self._slot(action, attempt)
            self._asked(action, call, slot)
            cut, cut_at, *_ = self.scene.rolls("watch", call)
            patience_s = 0.05 + 2 * cut_at if cut < 0.7 and self.scene.weather.client else 30.0
            try:
                over = await self._watch_once(action, slot, seen, patience_s)
            except SwitSagaError as refused:
                self.scene.saw(Refused(at=self.scene.now(), call=call, reason=refused.reason))
                over = False
            else:
                self.scene.saw(
                    WatchOver(at=self.scene.now(), watcher=action.number, saga_id=action.saga_id)
                    if over
                    else Unanswered(at=self.scene.now(), call=call)
                )
            if over:
                return
            await asyncio.sleep(0.3 + cut_at)

    async def _watch_once(self, action: Action, slot: Slot, seen: list[int], patience_s: float) -> bool:
        """Read on after ``seen``, and note there what came, until the stream ends, breaks, or is cut.

        Returns:
            Whether the stream ended OK.
        """
        life = slot.life
        if life is None or not life.serving:
            return False
        arrived: asyncio.Queue[SagaEvent | None] = asyncio.Queue()
        serving = self.scene.loop.create_task(
            self._serve_watch(life.service, action.saga_id, seen[0], arrived), context=life.process.context
        )

        def done(task: "asyncio.Task[None]") -> None:
            self._look_at(task)
            self.scene.later(5 * MILLISECOND, arrived.put_nowait, None)

        serving.add_done_callback(done, context=self.scene.world)
        try:
            async with asyncio.timeout(patience_s):
                while (event := await self._next(arrived, life.process)) is not None:
                    seen[0] = event.sequence
                    self.scene.saw(
                        Watched(
                            at=self.scene.now(), watcher=action.number, saga_id=action.saga_id,
                            sequence=event.sequence, type=event.type,
                        )
                    )  # fmt: skip
        except TimeoutError:
            # Also when the stream has just ended well at the other side: what was on its way is lost with the cut.
            self.scene.fault("watch_cut", f"watcher {action.number}")
            if not serving.done():
                self.scene.later(0, serving.cancel, context=life.process.context)
            return False
        if not serving.done():
            self.scene.later(0, serving.cancel, context=life.process.context)
            return False
        try:
            self._outcome(serving)
        except NoAnswer:
            return False
        return True

    async def _next(self, arrived: "asyncio.Queue[SagaEvent | None]", process: Any) -> SagaEvent | None:
        """The next event; None when the stream ended, or its coordinator is dead (keepalive tells, after a while)."""
        while True:
            try:
                async with asyncio.timeout(1.0):
                    return await arrived.get()
            except TimeoutError:
                if not process.alive:
                    return None

    async def _serve_watch(
        self, service: SagaService, saga_id: str, after: int, arrived: "asyncio.Queue[SagaEvent | None]"
    ) -> None:
        _, events = await service.sagas.watch(saga_id, after, follow=False, idle_s=SECOND / 1e6)
        try:
            async for event in events:
                if event is not None:
                    # One stream keeps its order, so every event takes equally long.
                    self.scene.later(4 * MILLISECOND, arrived.put_nowait, event)
        finally:
            await events.aclose()  # type: ignore[attr-defined] # it is an async generator


async def _run(work: Work, service: SagaService) -> Any:
    return await work(service)
