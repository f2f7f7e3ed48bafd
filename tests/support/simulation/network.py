"""What lies between coordinators, store and participants: messages take time, get lost, come twice or late."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from swit_saga_server.core.errors import ErrorType, SagaError, StoreUnavailable
from swit_saga_server.core.inputs import Answer, Unknown
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
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


class Receiver(Protocol):
    """A participant, as the network sees it."""

    def receive(self, command: ParticipantCommand, copy: int, reply: Callable[[Answer | None], None]) -> None:
        """A message arrived. ``reply`` is called once, at any later time; with None for silence."""
        ...


class SimTransport:
    """``Transport`` of one coordinator to all participants. As over gRPC, a call ends at its deadline at the latest."""

    def __init__(self, scene: Scene, process: Process, participants: Mapping[str, Receiver], deliver: Deliver) -> None:
        self._scene = scene
        self._process = process
        self._participants = participants
        self._deliver = deliver
        self._calls: dict[str, _Call] = {}
        self._sent: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        """See ``Transport``."""
        return len(self._calls)

    def knows(self, participant: str, action: str) -> str | None:
        """See ``Transport``."""
        return None if participant in self._participants else f"there is no participant {participant!r}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport``."""
        for command in commands:
            self._calls[command.command_id] = call = _Call(self, command)
            call.deadline = self._scene.loop.call_later(command.timeout / 1e6, call.end, _unknown("DEADLINE_EXCEEDED"))
            self._carry(call)

    def withdraw(self, command_ids: Sequence[str]) -> None:
        """See ``Transport``. What has arrived goes on at the participant."""
        for command_id in command_ids:
            call = self._calls.pop(command_id, None)
            if call is not None:
                call.give_up()

    async def close(self) -> None:
        """See ``Transport``."""
        for call in self._calls.values():
            call.give_up()
        self._calls.clear()

    def ended(self, call: "_Call", answer: Answer) -> None:
        """A call has its answer."""
        c = call.command
        if self._calls.get(c.command_id) is call:
            del self._calls[c.command_id]
        self._deliver(c.saga_id, c.answered(answer))

    def _carry(self, call: "_Call") -> None:
        c, scene = call.command, self._scene
        self._sent[c.command_id] = number = self._sent.get(c.command_id, 0) + 1
        fate, late, delay, noticed, reply_fate, reply_late, *_ = scene.rolls(
            "message", self._process.name, c.command_id, c.resends, number
        )
        chance = scene.weather.message
        receive = self._participants[c.participant].receive
        there = (1 + 10 * delay) * MILLISECOND
        if fate < chance:
            scene.fault("request_lost", c.command_id)
            self._notice(call, noticed)
            return
        if fate < 2 * chance:
            scene.fault("request_late", c.command_id)
            there = late * 2.5 * SECOND
        elif fate < 3 * chance:
            scene.fault("request_doubled", c.command_id)
            scene.later(late * 3 * SECOND, receive, c, 2, lambda answer: None)

        def reply(answer: Answer | None) -> None:
            if answer is None:
                return
            if reply_fate < chance:
                scene.fault("reply_lost", c.command_id)
                self._notice(call, noticed)
                return
            back = (1 + 10 * reply_late) * MILLISECOND
            if reply_fate < 2 * chance:
                scene.fault("reply_late", c.command_id)
                back = reply_late * 2 * SECOND
            scene.later(back, call.end, answer, context=self._process.context)

        scene.later(there, receive, c, 1, reply)

    def _notice(self, call: "_Call", roll: float) -> None:
        """A broken connection is noticed at once by some, and only at the deadline by others."""
        if roll < 0.5:
            self._scene.later(roll * SECOND, call.end, _unknown("UNAVAILABLE"), context=self._process.context)


class _Call:
    """One message out and not yet answered."""

    __slots__ = ("command", "deadline", "open", "transport")

    def __init__(self, transport: SimTransport, command: ParticipantCommand) -> None:
        self.transport = transport
        self.command = command
        self.deadline: asyncio.TimerHandle | None = None
        self.open = True

    def end(self, answer: Answer) -> None:
        if self.open:
            self.give_up()
            self.transport.ended(self, answer)

    def give_up(self) -> None:
        self.open = False
        if self.deadline is not None:
            self.deadline.cancel()


def _unknown(code: str) -> Unknown:
    kind = ErrorType.TIMEOUT if code == "DEADLINE_EXCEEDED" else ErrorType.NETWORK
    return Unknown(SagaError(code=code, message="simulated", type=kind, retryable=True))
