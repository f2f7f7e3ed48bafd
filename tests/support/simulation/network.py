"""What lies between coordinators and store: messages take time, get lost or come late."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from swit_saga_server.store.contract import Hint
from tests.support.simulation.scene import Scene
from tests.support.simulation.store import SimStore
from tests.support.simulation.virtual_loop import Process


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError(f"{coroutine} waits")


class StoreLink:
    """What one coordinator holds of the store: every call is a request there and a reply back.

    Lost or late, the caller hears ``StoreUnavailable``; whether the store did it, only the store knows.
    """

    def __init__(self, scene: Scene, store: SimStore, process: Process) -> None:
        self._scene = scene
        self._store = store
        self._process = process
        self._calls: dict[str, int] = {}
        self.partitions = store.partitions

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return partial(self._call, method)

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        """Hints come late, twice or never."""

        def carry(hint: Hint) -> None:
            number = self._count("hint")
            lost, delay, *_ = self._scene.rolls("hint", self._process.name, number)
            if lost < self._scene.weather.hint:
                self._scene.fault("hint_lost", self._process.name)
                return
            self._scene.later(delay * 20 * MILLISECOND, heard, hint, context=self._process.context)

        return self._store.listen(carry)

    async def _call(self, method: str, *args: Any) -> Any:
        scene, name = self._scene, self._process.name
        fate, there, back, how_late, *_ = scene.rolls("store", name, method, self._count(method))
        reply: asyncio.Future[Any] = scene.loop.create_future()
        chance = scene.weather.store
        on = f"{name}.{method}"
        to, fro = (0.2 + there * 2) * MILLISECOND, (0.2 + back * 2) * MILLISECOND
        patience = (50 + 450 * how_late) * MILLISECOND
        if fate < chance:
            scene.fault("store_request_lost", on)
            scene.later(patience, _break, reply, on)
        elif fate < 2 * chance:
            scene.later(to, self._arrive, method, args, None, 0)
            scene.fault("store_reply_lost", on)
            scene.later(patience, _break, reply, on)
        elif fate < 3 * chance:
            scene.fault("store_late", on)
            scene.later(how_late * 4 * SECOND, self._arrive, method, args, None, 0)
            scene.later(patience, _break, reply, on)
        elif fate < 4 * chance:
            scene.fault("store_slow", on)
            scene.later(there * SECOND, self._arrive, method, args, reply, back * SECOND)
        else:
            scene.later(to, self._arrive, method, args, reply, fro)
        return await reply

    def _count(self, what: str) -> int:
        self._calls[what] = number = self._calls.get(what, 0) + 1
        return number

    def _arrive(self, method: str, args: Any, reply: "asyncio.Future[Any] | None", back: Span) -> None:
        if self._scene.outage:
            if reply is not None:
                self._scene.later(100 * MILLISECOND, _break, reply, f"{self._process.name}.{method}")
            return
        try:
            result, error = at_once(getattr(self._store, method)(*args)), None
        except Exception as raised:
            result, error = None, raised
        if reply is not None:
            self._scene.later(back, _answer, reply, result, error)


def _answer(reply: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if reply.done():
        return
    if error is None:
        reply.set_result(result)
    else:
        reply.set_exception(error)


def _break(reply: "asyncio.Future[Any]", on: str) -> None:
    _answer(reply, None, StoreUnavailable(f"no reply to {on}"))
