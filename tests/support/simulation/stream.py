"""A simulated stream: what is on it arrives in order, each message after all before it, until it breaks.

From then on the coordinator hears nothing, and learns why soon, or late: then the stream is silent. What it wrote
before is lost, too, or comes to the participant late: some proxy had it.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamCommand, StreamRequest, StreamResponse
from swit_saga_server.core.units import MILLISECOND, NO_TIME, SECOND, Span
from swit_saga_server.participants.connection import CallFailed
from swit_saga_server.wire import decoding
from tests.support.simulation.receiver import Receiver, Reply, Request, named
from tests.support.simulation.scene import Scene

KEEPALIVE: Span = 3 * SECOND
"""After this a silent stream is found to be none."""


class SimStream:
    """``Stream`` of the coordinator; ``_End`` is the participant's.

    Attributes:
        over_at: When this side learned that it is over; -1 before that.
    """

    def __init__(self, scene: Scene, name: str, participant: Receiver, gone: Callable[[], None]) -> None:
        """``gone`` is called when this side learns that the connection is broken."""
        self._scene = scene
        self._name = name
        self._gone = gone
        self._end = _End(scene, participant, self._answer)
        self._read: deque[bytes | CallFailed] = deque()
        self._reading: asyncio.Future[None] | None = None
        self._is_over = False  # For this side.
        self._is_cut = False  # Nothing that is written from now on arrives, and nothing here.
        self._is_lost = False  # Nor what was written before.
        self._messages: dict[str, int] = {}
        self._credits = -1  # That this side may still use; -1 before the first message.
        self._freed_at = -1
        self.over_at = -1
        self._there = self._back = NO_TIME  # When the latest message arrives, each way.
        self._open(participant)

    async def read(self) -> StreamResponse:
        """See ``Stream``."""
        if not self._read:
            self._reading = self._scene.loop.create_future()
            await self._reading
        heard = self._read[0]
        if isinstance(heard, CallFailed):
            raise heard  # And again whenever it is read.
        self._read.popleft()
        response = decoding.stream_response(heard)
        if self._credits == 0 and response.credits:
            self._freed_at = self._scene.loop.ticks
        self._credits = response.credits
        return response

    async def write(self, request: StreamRequest) -> None:
        """See ``Stream``."""
        if self._is_over:
            raise CallFailed("UNAVAILABLE", "the stream is over")
        scene, first = self._scene, _first(request)
        fate, late, delay, noticed, *_ = self._rolls("out", first)
        there = (1 + 10 * delay) * MILLISECOND
        self._credits -= len(request.commands)
        if request.commands and self._freed_at == scene.loop.ticks:
            scene.note("command waited for a credit", first)
        if not self._is_cut:
            if fate < scene.weather.message:
                self._break(noticed, has_commands=bool(request.commands))
                self._is_lost = late < 0.3
                there = late * 4 * SECOND
            elif fate < 2 * scene.weather.message and request.commands:
                scene.fault("request_late", first)
                there = late * 2.5 * SECOND
            self._there = self._travel(self._there, there, self._take, request.SerializeToString())
        left: asyncio.Future[None] = scene.loop.create_future()
        scene.later(MILLISECOND // 10, _let_go, left)
        await left

    def cancel(self) -> None:
        """See ``Stream``."""
        self._is_cut = True
        self._over(CallFailed("CANCELLED", "the stream was cancelled on this side"))

    def _open(self, participant: Receiver) -> None:
        scene = self._scene
        fate, _, delay, noticed, *_ = scene.rolls("stream", self._name)
        there = (2 + 20 * delay) * MILLISECOND
        if fate < scene.weather.message:
            scene.fault("stream_refused", self._name)
            self._is_cut = True
            scene.later(there if noticed < 0.5 else KEEPALIVE, self._over, CallFailed("UNAVAILABLE", "simulated"))
        elif scene.loop.ticks < participant.serves_from:
            scene.note("stream not served", self._name)
            scene.later(there, self._over, CallFailed("UNIMPLEMENTED", "simulated"))
        else:
            self._end.begin()

    def _answer(self, response: StreamResponse, what: str) -> None:
        """The participant writes; ``what`` is the command that it answers, if any."""
        if self._is_cut:
            return
        scene = self._scene
        fate, late, delay, noticed, *_ = self._rolls("back", what)
        back = (1 + 10 * delay) * MILLISECOND
        if what and fate < scene.weather.message:
            self._break(noticed, has_commands=True)
        elif what and fate < 2 * scene.weather.message:
            scene.fault("reply_late", what)
            back = late * 2 * SECOND
        self._back = self._travel(self._back, back, self._heard, response.SerializeToString())

    def _rolls(self, way: str, what: str) -> tuple[float, ...]:
        self._messages[way + what] = number = self._messages.get(way + what, 0) + 1
        return self._scene.rolls("message", self._name, way, what, number)

    def _travel(self, latest: Span, span: Span | float, arrive: Callable[[bytes], None], message: bytes) -> Span:
        """When it arrives: after all that were sent before it."""
        at = max(latest, self._scene.loop.ticks + Span(span))
        self._scene.later(at - self._scene.loop.ticks, arrive, message)
        return at

    def _take(self, message: bytes) -> None:
        if not self._is_lost:
            self._end.take(message)

    def _heard(self, message: bytes) -> None:
        if not self._is_cut:
            self._hear(message)

    def _break(self, noticed: float, *, has_commands: bool) -> None:
        self._is_cut = True
        scene, soon = self._scene, noticed < 0.5
        scene.fault("stream_broken" if soon else "stream_silent", self._name)
        if has_commands or self._end.open:
            scene.note("stream broken with commands on it", self._name)
        scene.later(noticed * SECOND if soon else KEEPALIVE, self._over, CallFailed("UNAVAILABLE", "simulated"))

    def _over(self, why: CallFailed) -> None:
        if not self._is_over:
            self._is_over = True
            self.over_at = self._scene.loop.ticks
            self._hear(why)
            if why.code == "UNAVAILABLE":
                self._gone()

    def _hear(self, what: bytes | CallFailed) -> None:
        self._read.append(what)
        if self._reading is not None:
            _let_go(self._reading)


class _End:
    """A stream as its participant has it.

    Attributes:
        open: The numbers of the commands that it has taken and not answered.
    """

    def __init__(self, scene: Scene, participant: Receiver, write: Callable[[StreamResponse, str], None]) -> None:
        self._scene = scene
        self._participant = participant
        self._write = write
        self.open: set[int] = set()

    def begin(self) -> None:
        """Speak first."""
        self._say([], "")

    def take(self, message: bytes) -> None:
        """One arrived."""
        request = StreamRequest.FromString(message)
        self.open.difference_update(request.withdrawn)
        for command in request.commands:
            self.open.add(command.command_id)
            self._participant.receive(_asked(command), 1, self._reply_to(command))
        if request.withdrawn:
            self._scene.note("called off by a stream", self._participant.name)
            self._say([], "")

    def _reply_to(self, command: StreamCommand) -> Callable[[Reply], None]:
        number, name = command.command_id, named(_asked(command))

        def reply(said: Reply) -> None:
            if said is None or number not in self.open:
                return
            self.open.remove(number)
            match said:
                case ExecuteResponse():
                    answer = StreamAnswer(command_id=number, execute=said)
                case CompensateResponse():
                    answer = StreamAnswer(command_id=number, compensate=said)
                case SagaError():
                    answer = StreamAnswer(command_id=number, unknown=said)
            self._say([answer], name)

        return reply

    def _say(self, answers: list[StreamAnswer], what: str) -> None:
        left = max(self._participant.credits - len(self.open), 0)
        self._write(StreamResponse(answers=answers, credits=left), what)


def _asked(command: StreamCommand) -> Request:
    return command.execute if command.HasField("execute") else command.compensate


def _first(request: StreamRequest) -> str:
    """What befalls a message hangs on the first command in it."""
    return named(_asked(request.commands[0])) if request.commands else ""


def _let_go(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
