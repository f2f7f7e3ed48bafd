"""An asyncio event loop on virtual time: nothing waits, every run is the same.

Ready handles run first in, first out; when none is ready, time jumps to the next timer. Every handle belongs to a
*process*, read from the context it runs in, so that a simulated process can be killed at whatever ``await`` it stands
at, or held back for a while, without its code knowing.
"""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from math import ceil
from typing import Any, TypeVar, TypeVarTuple, Unpack

from swit_saga_server.core.units import NO_TIME, Span

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_HANDLES = 2_000_000


class Deadlock(Exception):
    """Nothing is ready and no timer is set: what is waited for can never come."""


class Livelock(Exception):
    """More handles ran than any sane run needs: something spins."""


class Process:
    """What can be killed or paused as a whole. Code belongs to it by running in ``context``.

    Attributes:
        fuse: Handles left until ``blown`` is called, before the handle runs; None for no fuse.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.held: list[_Handle] = []
        self.fuse: int | None = None
        self.blown: Callable[[], None] = lambda: None
        self.context: Context = copy_context()
        self.context.run(_process.set, self)


_process: ContextVar[Process | None] = ContextVar("process", default=None)
"""None: the world itself, which cannot be killed: network, store, participants, clients."""


class _Handle(asyncio.TimerHandle):
    __slots__ = ("process",)

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, loop: "VirtualLoop", context: Context | None
    ) -> None:
        context = context if context is not None else copy_context()
        super().__init__(when, callback, args, loop, context)
        self.process = context.get(_process)


class VirtualLoop(asyncio.AbstractEventLoop):
    """See the module. Make one with ``virtual_loop``.

    Attributes:
        ticks: Virtual time since the loop was made, microseconds.
        broken: Exceptions that callbacks raised and nobody caught, and those that tasks ended with unseen.
    """

    def __init__(self) -> None:
        self.ticks: Span = NO_TIME
        self.broken: list[BaseException] = []
        self.handles = 0
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[Span, int, _Handle]] = []
        self._timer_number = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._buried: list[_Handle] = []
        self._stopping = self._running = self._closed = False

    # ---- processes ---------------------------------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """None of its handles runs again; no ``finally`` clause either, as with SIGKILL."""
        process.alive = False
        self._buried += process.held
        process.held.clear()

    def pause(self, process: Process) -> None:
        """Hold its handles back, as SIGSTOP or a long garbage collection does."""
        process.paused = True

    def resume(self, process: Process) -> None:
        """Run what was held back, late."""
        process.paused = False
        self._ready.extend(process.held)
        process.held.clear()

    # ---- time and handles --------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.ticks / 1e6

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(0.0, callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(when, callback, args, self, context)
        self._timer_number += 1
        # Never early; the millionth part of a tick is what floats may be off.
        heapq.heappush(self._timers, (Span(ceil(when * 1e6 - 1e-3)), self._timer_number, handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> _Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        # Kept to the end: a killed task that is garbage-collected would run its ``finally`` clauses after its death.
        self._tasks.append(task)
        return task

    # ---- running -----------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type] # as in the base class
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return task.result()

    def run_forever(self) -> None:
        self._stopping = False
        self._running = True
        hooks = sys.get_asyncgen_hooks()
        # A generator that is dropped unfinished ends like its process: without a ``finally``.
        sys.set_asyncgen_hooks(firstiter=None, finalizer=lambda _: None)
        asyncio._set_running_loop(self)
        try:
            while not self._stopping:
                if not self._ready:
                    self._jump()
                self._run_one(self._ready.popleft())
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
            self._running = False

    def _run_one(self, handle: _Handle) -> None:
        if handle._cancelled:
            return
        process = handle.process
        if process is not None:
            if process.fuse is not None and not process.paused:
                process.fuse -= 1
                if process.fuse <= 0:
                    process.fuse = None
                    process.blown()
            if not process.alive:
                self._buried.append(handle)
                return
            if process.paused:
                process.held.append(handle)
                return
        self.handles += 1
        if self.handles > MAX_HANDLES:
            raise Livelock(f"{self.handles} handles by {self.time():.3f} s; the last is {handle!r}")
        handle._run()

    def _jump(self) -> None:
        while self._timers and self._timers[0][2]._cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            raise Deadlock(f"nothing can happen any more after {self.time():.3f} s")
        self.ticks = max(self.ticks, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.ticks:
            self._ready.append(heapq.heappop(self._timers)[2])

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        """Let go of every task; what their ``finally`` clauses would still do goes nowhere."""
        if self._closed:
            return
        self._closed = True
        asyncio._set_running_loop(self)
        try:
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    with suppress(BaseException):
                        task.get_coro().close()
                elif not task.cancelled() and task._log_traceback:
                    self.broken.append(task.exception() or RuntimeError("ended"))
        finally:
            asyncio._set_running_loop(None)
        for held in (self._ready, self._timers, self._tasks, self._buried):
            held.clear()

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    async def shutdown_asyncgens(self) -> None:
        """Nothing: see ``run_forever``."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback raised. Tasks whose exception nobody fetched are looked for at the end, in ``close``."""
        if "handle" in context:
            self.broken.append(context["exception"])


def virtual_loop() -> VirtualLoop:
    """A loop at time 0."""
    return VirtualLoop()  # type: ignore[abstract] # no sockets, no threads, no signals
