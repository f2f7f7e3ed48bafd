"""The two ways to a participant elsewhere, a call per command and the batched stream: the same stories, told over both,
and what only the stream can do.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import pytest

from swit_saga import Participant, Reject, StepContext
from swit_saga.participant import stream as stream_module
from swit_saga.participant.serving import ParticipantServicer
from swit_saga.v1 import participant_service_pb2_grpc, participant_stream_service_pb2_grpc
from swit_saga.v1.participant_stream_service_pb2 import (
    DescribeRequest,
    StreamAnswer,
    StreamCommand,
    StreamRequest,
    StreamResponse,
)
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Completed, Rejected, Unknown
from swit_saga_server.core.payload import Payload
from swit_saga_server.engine.transport import Deliver, Transport
from swit_saga_server.participants.connection import Connection
from swit_saga_server.participants.grpc_connection import GrpcConnection
from swit_saga_server.participants.stream import StreamTransport
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.wire import command as wire
from tests.support.link import Link, linked
from tests.support.participant.sends import command
from tests.support.waiting import eventually


def unary(connection: Connection, deliver: Deliver) -> Transport:
    """A call per command."""
    return UnaryTransport(connection, deliver)


def stream(connection: Connection, deliver: Deliver) -> Transport:
    """By the batched stream."""
    return StreamTransport("shop", connection, deliver)


BOTH = pytest.mark.parametrize("kind", [unary, stream])


@dataclass
class Shop:
    """Does as its input says; ``slow`` waits to be let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    calls: Counter[str] = field(default_factory=Counter)
    traces: list[str] = field(default_factory=list)

    def participant(self) -> Participant:
        shop = Participant("shop")

        async def do(value: str, step: StepContext) -> str:
            self.calls[step.saga_id] += 1
            self.traces.append(step.traceparent)
            if value.startswith("slow"):
                await self.let.wait()
            if value == "refused":
                raise Reject("NO", "not this one")
            if value == "broken":
                raise ValueError("broken")
            return value

        async def undo(value: str, output: str | None, step: StepContext) -> None:
            self.calls[f"{step.saga_id} undone"] += 1

        shop.step("do")(do).compensate(undo)
        return shop


@dataclass
class Heard:
    """What the engine would be told."""

    answers: dict[tuple[str, Kind], list[Any]] = field(default_factory=dict)

    def deliver(self, saga_id: str, answered: Answered) -> None:
        self.answers.setdefault((saga_id, answered.kind), []).append(answered.answer)

    async def of(self, saga_id: str = "s", kind: Kind = Kind.EXECUTE) -> Any:
        (answer,) = await eventually(lambda: self.answers.get((saga_id, kind)))
        return answer


@asynccontextmanager
async def reach(kind: Any, port: int) -> AsyncIterator[tuple[Any, Heard]]:
    heard = Heard()
    transport = kind(GrpcConnection(f"127.0.0.1:{port}"), heard.deliver)
    try:
        yield transport, heard
    finally:
        await transport.close()
        assert transport.in_flight == 0


@asynccontextmanager
async def server(
    add: Callable[[grpc.aio.Server], object], *interceptors: grpc.aio.ServerInterceptor
) -> AsyncIterator[int]:
    made = grpc.aio.server(interceptors=interceptors, options=(("grpc.so_reuseport", 0),))
    add(made)
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    try:
        yield port
    finally:
        await made.stop(0)


async def refuses_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):  # reset: taken by the system, then its listener closed
        return True
    writer.close()
    await writer.wait_closed()
    return False


# ---- over both -----------------------------------------------------------------------------------------------------


@BOTH
async def test_the_three_answers(kind):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command("a"), command("b", "refused"), command("c", "broken"), command("c2")])
        transport.send([command("a", kind=Kind.COMPENSATE)])
        assert await heard.of("a") == Completed(Payload("text/plain; charset=utf-8", "fine"))
        no, lost = await heard.of("b"), await heard.of("c")
        assert isinstance(no, Rejected)
        assert (no.error.code, no.error.message) == ("NO", "not this one")
        assert isinstance(lost, Unknown)
        assert (lost.error.code, lost.error.message) == ("UNKNOWN", "ValueError: broken")
        assert lost.error.retryable
        assert 'raise ValueError("broken")' in lost.error.stack_trace
        assert isinstance(await heard.of("c2"), Completed)
        assert await heard.of("a", Kind.COMPENSATE) == Completed()


@BOTH
async def test_an_action_that_is_not_there_is_rejected(kind):
    async with Participant("shop").serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command()])
        answer = await heard.of()
        assert isinstance(answer, Rejected)
        assert answer.error.code == "UNKNOWN_ACTION"


@BOTH
async def test_nobody_there(kind):
    async with reach(kind, 1) as (transport, heard):
        transport.send([command("a"), command("b")])
        for saga_id in ("a", "b"):
            answer = await heard.of(saga_id)
            assert isinstance(answer, Unknown)
            assert answer.error.code == "UNAVAILABLE"


@BOTH
async def test_silence_ends_at_the_commands_own_time(kind):
    """One that takes too long holds up no other, and its late answer comes to nothing."""
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command("slow", "slow", left_s=0.3), command("slower", "slow", left_s=0.6), command("quick")])
        assert isinstance(await heard.of("quick"), Completed)
        assert ("slow", Kind.EXECUTE) not in heard.answers
        for saga_id in ("slow", "slower"):
            answer = await heard.of(saga_id)
            assert isinstance(answer, Unknown)
            assert answer.error.code == "DEADLINE_EXCEEDED"
        assert transport.in_flight == 0
        shop.let.set()
        transport.send([command("another")])
        await heard.of("another")
        assert len(heard.answers["slow", Kind.EXECUTE]) == 1


@BOTH
async def test_a_late_command_starts_nothing(kind):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        late = command("late")
        object.__setattr__(late, "not_after", round((time.time() - 1) * 1e6))
        transport.send([late])
        answer = await heard.of("late")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "DEADLINE_EXCEEDED"
        assert not shop.calls


@BOTH
async def test_cut_in_mid_step_is_unknown_and_goes_on(kind):
    shop = Shop()
    async with (
        shop.participant().serve("127.0.0.1:0") as serving,
        linked(Link(serving.port)) as link,
        reach(kind, link.port) as (transport, heard),
    ):
        transport.send([command("cut", "slow")])
        await eventually(lambda: shop.calls["cut"])
        link.cut()
        answer = await heard.of("cut")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "UNAVAILABLE"
        shop.let.set()

        async def answered() -> bool:
            heard.answers.pop(("after", Kind.EXECUTE), None)
            transport.send([command("after")])
            return isinstance(await heard.of("after"), Completed)

        await eventually(answered)


@BOTH
async def test_withdrawn_is_not_answered(kind):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command("a", "slow"), command("b", "slow")])
        await eventually(lambda: len(shop.calls) == 2)
        transport.cancel([command("a").command_id, "never/0/execute/1"])
        shop.let.set()
        assert isinstance(await heard.of("b"), Completed)
        await eventually(lambda: transport.in_flight == 0)
        assert ("a", Kind.EXECUTE) not in heard.answers


@BOTH
async def test_a_compensation_waits_for_its_execute(kind):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command("a", "slow")])
        await eventually(lambda: shop.calls["a"])
        transport.send([command("a", kind=Kind.COMPENSATE), command("b")])
        assert isinstance(await heard.of("b"), Completed)
        assert not shop.calls["a undone"]
        shop.let.set()
        assert await heard.of("a", Kind.COMPENSATE) == Completed()
        assert isinstance(await heard.of("a"), Completed)


@BOTH
async def test_a_participant_that_stops_finishes_what_it_has(kind):
    shop = Shop()
    serving = shop.participant().serve("127.0.0.1:0")
    running = await serving.__aenter__()
    async with reach(kind, running.port) as (transport, heard):
        transport.send([command("a", "slow")])
        await eventually(lambda: shop.calls["a"])
        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        await eventually(lambda: refuses_connections(running.port))
        shop.let.set()
        assert isinstance(await heard.of("a"), Completed)
        async with asyncio.timeout(5):
            await stopping  # It does not wait for a grace to pass.
        transport.send([command("b")])
        answer = await heard.of("b")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "UNAVAILABLE"


@BOTH
async def test_many_at_once_and_the_trace(kind):
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command(f"s{n}") for n in range(1_000)])
        await eventually(lambda: len(heard.answers) == 1_000, within_s=20)
        assert all(isinstance(answer, Completed) for (answer,) in heard.answers.values())
        assert set(shop.traces) == {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@BOTH
async def test_large_payloads(kind):
    """As many as would be too much for one message."""
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(kind, serving.port) as (transport, heard):
        transport.send([command(f"s{n}", "slow" + "x" * 1_000_000) for n in range(24)])
        await eventually(lambda: len(shop.calls) == 24)
        shop.let.set()  # All answers at once, too.
        await eventually(lambda: len(heard.answers) == 24, within_s=20)
        assert all(isinstance(answer, Completed) for (answer,) in heard.answers.values())


# ---- the stream alone ------------------------------------------------------------------------------------------------


class Recorder(participant_stream_service_pb2_grpc.ParticipantStreamServiceServicer):
    """Takes what comes, and says what it is told to."""

    def __init__(self, credits: int = 1_000) -> None:
        self.credits = credits
        self.messages: list[StreamRequest] = []
        self.context: Any = None
        self.over = asyncio.Event()

    async def Stream(self, requests: Any, context: Any) -> None:  # type: ignore[override]
        self.context = context
        await context.write(StreamResponse(credits=self.credits))
        while (request := await context.read()) is not grpc.aio.EOF:
            self.messages.append(request)
        self.over.set()

    async def Describe(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    @property
    def commands(self) -> list[Any]:
        return [c for message in self.messages for c in message.commands]

    def add(self, server: grpc.aio.Server) -> None:
        participant_stream_service_pb2_grpc.add_ParticipantStreamServiceServicer_to_server(self, server)


async def test_commands_sent_together_share_messages():
    there = Recorder()
    async with server(there.add) as port, reach(stream, port) as (transport, _):
        transport.send([command(f"s{n}") for n in range(300)])
        await eventually(lambda: len(there.commands) == 300)
        assert [len(m.commands) for m in there.messages] == [256, 44]


async def test_answers_ready_together_share_messages():
    shop = Shop()
    async with (
        shop.participant().serve("127.0.0.1:0") as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        stub: Any = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(channel)
        stream = stub.Stream()
        assert (await stream.read()).credits > 0
        requests = [wire.execute_request(command(f"s{n}", "slow")) for n in range(100)]
        commands = [StreamCommand(command_id=n, execute=request) for n, request in enumerate(requests)]
        await stream.write(StreamRequest(commands=commands))
        await eventually(lambda: len(shop.calls) == 100)
        shop.let.set()
        assert len((await stream.read()).answers) == 100
        stream.cancel()


async def test_a_quiet_stream_gives_a_sign_of_life(monkeypatch):
    """Else a server of one's own would take the coordinator's pings for abuse, and hang up on a slow step."""
    monkeypatch.setattr(stream_module, "QUIET_S", 0.02)
    shop = Shop()
    async with (
        shop.participant().serve("127.0.0.1:0") as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        stub: Any = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(channel)
        stream = stub.Stream()
        most = (await stream.read()).credits
        slow = StreamCommand(command_id=1, execute=wire.execute_request(command(value="slow")))
        await stream.write(StreamRequest(commands=[slow]))
        await eventually(lambda: shop.calls)
        async with asyncio.timeout(5):
            while (said := await stream.read()).credits == most:
                assert not said.answers
            assert [(len(s.answers), s.credits) for s in (await stream.read(), await stream.read())] == [
                (0, most - 1)
            ] * 2
        shop.let.set()
        async with asyncio.timeout(5):
            while not (said := await stream.read()).answers:
                pass
        assert said.answers[0].command_id == 1
        stream.cancel()


async def test_no_more_is_sent_than_there_is_credit_for():
    there = Recorder(credits=3)
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command(f"s{n}") for n in range(10)])
        await eventually(lambda: len(there.commands) == 3)
        await there.context.write(StreamResponse(credits=0))
        first = there.commands[0].command_id
        await there.context.write(StreamResponse(answers=[StreamAnswer(command_id=first)], credits=2))
        await eventually(lambda: len(there.commands) == 5)
        assert isinstance(await heard.of("s0"), Unknown)  # An answer that says nothing.
        assert transport.in_flight == 9


async def test_the_withdrawn_are_named_to_the_participant():
    there = Recorder()
    async with server(there.add) as port, reach(stream, port) as (transport, _):
        transport.send([command("a"), command("b")])
        await eventually(lambda: len(there.commands) == 2)
        transport.cancel([command("a").command_id])
        await eventually(lambda: [w for m in there.messages for w in m.withdrawn] == [there.commands[0].command_id])


async def test_those_whose_time_is_up_are_named_too():
    there = Recorder()
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a", left_s=0.1), command("b")])
        answer = await heard.of("a")
        assert isinstance(answer, Unknown)
        first = there.commands[0].command_id
        await eventually(lambda: [w for m in there.messages for w in m.withdrawn] == [first])
        # Its late answer is passed over.
        await there.context.write(StreamResponse(answers=[StreamAnswer(command_id=first)], credits=9))
        await there.context.write(
            StreamResponse(answers=[StreamAnswer(command_id=there.commands[1].command_id)], credits=9)
        )
        await heard.of("b")
        assert len(heard.answers["a", Kind.EXECUTE]) == 1


async def test_withdrawn_or_late_before_it_was_sent_it_is_never_sent():
    there = Recorder(credits=0)
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a"), command("late", left_s=0.1), command("b")])
        await eventually(lambda: there.context)
        transport.cancel([command("a").command_id])
        assert isinstance(await heard.of("late"), Unknown)
        await there.context.write(StreamResponse(credits=9))
        await eventually(lambda: there.commands)
        assert [c.execute.command.saga_id for c in there.commands] == ["b"]
        assert not [w for m in there.messages for w in m.withdrawn]


async def test_a_resend_of_what_is_still_out():
    """It has the same id; withdrawing that concerns the later one, whichever is answered first."""
    there = Recorder()
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a")])
        await eventually(lambda: len(there.commands) == 1)
        transport.send([command("a")])
        await eventually(lambda: len(there.commands) == 2)
        first, second = (c.command_id for c in there.commands)
        await there.context.write(StreamResponse(answers=[StreamAnswer(command_id=first)], credits=9))
        await heard.of("a")
        transport.cancel([command("a").command_id])
        await eventually(lambda: [w for m in there.messages for w in m.withdrawn] == [second])
        assert transport.in_flight == 0


async def test_the_participant_does_not_answer_what_was_withdrawn():
    shop = Shop()
    async with (
        shop.participant().serve("127.0.0.1:0") as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        stub: Any = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(channel)
        stream = stub.Stream()
        most = (await stream.read()).credits
        requests = [wire.execute_request(command(f"s{n}", "slow")) for n in range(3)]
        commands = [StreamCommand(command_id=n, execute=request) for n, request in enumerate(requests)]
        undo = StreamCommand(command_id=7, compensate=wire.compensate_request(command("s0", kind=Kind.COMPENSATE)))
        await stream.write(StreamRequest(commands=[*commands, undo]))
        await eventually(lambda: len(shop.calls) == 3)
        await stream.write(StreamRequest(withdrawn=[1, 7]))
        marker = wire.execute_request(command("marker"))
        await stream.write(StreamRequest(commands=[StreamCommand(command_id=9, execute=marker)]))
        first = await stream.read()
        assert ([a.command_id for a in first.answers], first.credits) == ([9], most - 2)  # Those that run, less one.
        shop.let.set()
        second = await stream.read()
        assert ([a.command_id for a in second.answers], second.credits) == ([0, 2], most)
        assert not shop.calls["s0 undone"], "it waited for its Execute, and was withdrawn before it began"
        stream.cancel()


async def test_what_was_not_sent_goes_by_the_next_stream():
    """A stream that ends before it had room for a command has certainly not done it."""
    there = Recorder(credits=1)
    async with server(there.add) as port, linked(Link(port)) as link, reach(stream, link.port) as (t, heard):
        t.send([command("sent"), command("waits")])
        await eventually(lambda: len(there.commands) == 1)
        link.cut()
        answer = await heard.of("sent")
        assert isinstance(answer, Unknown)
        await eventually(lambda: len(there.commands) == 2)
        assert there.commands[1].execute.command.saga_id == "waits"
        assert ("waits", Kind.EXECUTE) not in heard.answers


async def test_one_stream_that_takes_nothing_is_made_up_for():
    """After a broken one: it may have met the broken connection."""

    class Stumbling(Recorder):
        streams = 0

        async def Stream(self, requests: Any, context: Any) -> None:  # type: ignore[override]
            self.streams += 1
            if self.streams == 1:
                await context.write(StreamResponse(credits=1))
                self.messages.append(await context.read())
            elif self.streams == 2:
                await context.write(StreamResponse(credits=0))
            else:
                await super().Stream(requests, context)

    there = Stumbling()
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("sent"), command("waits")])
        assert isinstance(await heard.of("sent"), Unknown)
        await eventually(lambda: [c.execute.command.saga_id for c in there.commands] == ["sent", "waits"])
        assert there.streams == 3
        assert list(heard.answers) == [("sent", Kind.EXECUTE)]


@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED])
async def test_a_status_of_the_stream_says_nothing_of_a_command(code):
    """Invariant 11: it rejects none; nor does it say, once there is a stream, that there is none."""

    class Aborting(Recorder):
        async def Stream(self, requests: Any, context: Any) -> None:  # type: ignore[override]
            await context.write(StreamResponse(credits=10))
            await context.read()
            await context.abort(code, "no")

    async with server(Aborting().add) as port, reach(stream, port) as (transport, heard):
        transport.send([command()])
        answer = await heard.of()
        assert isinstance(answer, Unknown)
        assert answer.error.code == code.name


async def test_a_stream_that_takes_nothing_is_not_opened_for_ever():
    """One that is about to stop, and says so at once."""
    opened = 0

    class Stopping(Recorder):
        async def Stream(self, requests: Any, context: Any) -> None:  # type: ignore[override]
            nonlocal opened
            opened += 1
            await context.write(StreamResponse(credits=0))

    async with server(Stopping().add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a"), command("b")])
        for saga_id in ("a", "b"):
            answer = await heard.of(saga_id)
            assert isinstance(answer, Unknown)
            assert answer.error.code == "UNAVAILABLE"
        assert opened == 1


async def test_a_servicer_that_has_ended_takes_nothing():
    """Its server, one of the user's own, may run on for a while."""
    shop, made = Shop(), grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    streams = shop.participant().add_to(made)
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    streams.end()
    async with reach(stream, port) as (transport, heard):
        transport.send([command()])
        answer = await heard.of()
        assert isinstance(answer, Unknown)
        assert answer.error.code == "UNAVAILABLE"
        assert not shop.calls
    await made.stop(0)


async def test_a_stream_that_never_begins_takes_no_longer_than_the_commands_have():
    class Silent(Recorder):
        async def Stream(self, requests: Any, context: Any) -> None:  # type: ignore[override]
            await self.over.wait()

    silent = Silent()
    async with server(silent.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a", left_s=0.1), command("b", left_s=0.2)])
        for saga_id in ("a", "b"):
            answer = await heard.of(saga_id)
            assert isinstance(answer, Unknown)
            assert answer.error.code == "DEADLINE_EXCEEDED"
        silent.over.set()


async def test_what_is_no_message_breaks_the_stream_and_nothing_else():
    sound = Recorder()

    async def garbled(requests: Any, context: Any) -> None:
        if sound.over.is_set():
            await sound.Stream(requests, context)
            return
        await context.write(StreamResponse(credits=10).SerializeToString())
        await context.read()
        sound.over.set()
        await context.write(b"\xff")
        await context.read()

    def add(made: grpc.aio.Server) -> None:
        method = grpc.stream_stream_rpc_method_handler(
            garbled,
            request_deserializer=StreamRequest.FromString,
            response_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        )
        handler = grpc.method_handlers_generic_handler("swit_saga.v1.ParticipantStreamService", {"Stream": method})
        made.add_generic_rpc_handlers((handler,))

    async with server(add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a")])
        answer = await heard.of("a")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "INTERNAL"
        transport.send([command("b")])
        await eventually(lambda: sound.commands)
        assert sound.commands[0].execute.command.saga_id == "b"


async def test_a_command_that_cannot_be_encoded_holds_up_no_other():
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving, reach(stream, serving.port) as (t, heard):
        t.send([command("a"), command("b", "\ud800"), command("c")])
        for saga_id in ("a", "c"):
            assert isinstance(await heard.of(saga_id), Completed)
        answer = await heard.of("b")
        assert isinstance(answer, Unknown)
        assert answer.error.code == "CALL_FAILED"
        assert set(shop.calls) == {"a", "c"}


async def test_an_answer_to_nothing_is_passed_over():
    there = Recorder()
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a"), command("b")])
        await eventually(lambda: len(there.commands) == 2)
        numbers = [c.command_id for c in there.commands]
        said = [StreamAnswer(command_id=n) for n in (99, numbers[0], numbers[0])]
        await there.context.write(StreamResponse(answers=said, credits=5))
        assert isinstance(await heard.of("a"), Unknown)
        assert list(heard.answers) == [("a", Kind.EXECUTE)]
        assert transport.in_flight == 1


async def test_a_coordinator_that_leaves_does_not_tear_the_effect():
    shop = Shop()
    async with shop.participant().serve("127.0.0.1:0") as serving:
        async with reach(stream, serving.port) as (transport, _):
            transport.send([command("a", "slow")])
            await eventually(lambda: shop.calls["a"])
        async with reach(stream, serving.port) as (transport, heard):
            transport.send([command("a", "slow"), command("b")])  # The next coordinator's resend.
            assert isinstance(await heard.of("b"), Completed)
            shop.let.set()
            assert isinstance(await heard.of("a"), Completed)
    assert shop.calls["a"] == 1


class Counting(grpc.aio.ServerInterceptor):
    """Counts the calls a server gets."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.calls[details.method.rsplit("/", 1)[1]] += 1
        return await continuation(details)


@asynccontextmanager
async def without_stream(shop: Shop, port: int = 0) -> AsyncIterator[tuple[int, Counter[str]]]:
    counting = Counting()
    made = grpc.aio.server(interceptors=[counting], options=(("grpc.so_reuseport", 0),))
    plain = ParticipantServicer(shop.participant())
    participant_service_pb2_grpc.add_ParticipantServiceServicer_to_server(plain, made)
    bound = made.add_insecure_port(f"127.0.0.1:{port}")
    await made.start()
    try:
        yield bound, counting.calls
    finally:
        await made.stop(0)


async def test_calls_where_the_stream_is_not_served_and_that_is_remembered():
    shop = Shop()
    async with without_stream(shop) as (port, asked), reach(stream, port) as (transport, heard):
        transport.send([command("a"), command("b", "refused")])
        assert isinstance(await heard.of("a"), Completed)
        assert isinstance(await heard.of("b"), Rejected)
        transport.send([command("c")])
        assert isinstance(await heard.of("c"), Completed)
        assert asked == {"Stream": 1, "Execute": 3}
        transport.send([command("slow", "slow")])
        await eventually(lambda: shop.calls["slow"])
        transport.cancel([command("slow").command_id])
        await eventually(lambda: transport.in_flight == 0)
        assert ("slow", Kind.EXECUTE) not in heard.answers


async def test_after_a_reconnection_the_stream_is_asked_for_again():
    """The participant was replaced by one that serves it."""
    shop = Shop()
    async with without_stream(shop) as (port, asked), linked(Link(port)) as link:
        async with reach(stream, link.port) as (transport, heard):
            transport.send([command("a")])
            assert isinstance(await heard.of("a"), Completed)
            counting = Counting()
            async with server(shop.participant().add_to, counting) as replaced:
                link.target = replaced
                link.cut()

                async def answered() -> bool:
                    heard.answers.clear()
                    transport.send([command("b", attempt=2)])
                    return isinstance(await heard.of("b"), Completed)

                await eventually(answered)
                calls = counting.calls["Execute"]
                transport.send([command("slow", "slow"), command("c")])
                assert isinstance(await heard.of("c"), Completed)
                await eventually(lambda: shop.calls["slow"])
                assert counting.calls["Execute"] == calls, "none of them by a call"
                assert transport.in_flight == 1
                shop.let.set()
                await heard.of("slow")
        assert asked == {"Stream": 1, "Execute": 1}


async def test_calls_made_instead_have_only_the_time_that_is_left():
    """The contract: answered by the not-after time, however long it took to find out that there is no stream."""
    shop = Shop()
    async with without_stream(shop) as (port, _), linked(Link(port)) as link:
        link.delay_s = 0.25  # A half second until there is a connection, and another until the stream is refused.
        async with reach(stream, link.port) as (transport, heard):
            began = time.monotonic()
            transport.send([command("a", "slow", left_s=2)])
            await eventually(lambda: shop.calls["a"])
            link.delay_s = 0
            answer = await heard.of("a")
            assert isinstance(answer, Unknown)
            assert answer.error.code == "DEADLINE_EXCEEDED"
            assert 1.9 < time.monotonic() - began < 2.3
        shop.let.set()


async def test_describe():
    shop = Shop().participant()

    @shop.step("only")
    async def only() -> None:
        """Cannot be undone."""

    async with (
        shop.serve("127.0.0.1:0") as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        stub: Any = participant_stream_service_pb2_grpc.ParticipantStreamServiceStub(channel)
        found = await stub.Describe(DescribeRequest())
    assert found.participant == "shop"
    assert [(a.name, a.compensatable) for a in found.actions] == [("do", True), ("only", False)]


async def test_by_a_server_of_ones_own():
    shop = Shop().participant()
    async with server(shop.add_to) as port, reach(stream, port) as (transport, heard):
        transport.send([command()])
        assert isinstance(await heard.of(), Completed)
