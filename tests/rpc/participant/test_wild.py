"""A participant that keeps to its protocol's messages and to nothing else: what it costs is its own."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from swit_saga.v1.command_pb2 import Completed as CompletedMessage
from swit_saga.v1.command_pb2 import Rejected as RejectedMessage
from swit_saga.v1.participant_service_pb2 import CompensateResponse, ExecuteResponse
from swit_saga.v1.participant_service_pb2_grpc import (
    ParticipantServiceServicer,
    add_ParticipantServiceServicer_to_server,
)
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer, StreamResponse
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Completed, Rejected, Unknown
from swit_saga_server.core.limits import MAX_TEXT_BYTES
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.participants.local import LocalTransport
from swit_saga_server.wire.answer import AnswerReader
from swit_saga_server.wire.command import metadata
from tests.rpc.participant.test_transports import BOTH, Heard, Recorder, reach, server, stream, unary
from tests.support.logs import logged
from tests.support.participant.sends import command
from tests.support.waiting import eventually

DONE = ExecuteResponse(completed=CompletedMessage())
NO = ExecuteResponse(rejected=RejectedMessage())
UNDONE = CompensateResponse(completed=CompletedMessage())


# ---- the stream ------------------------------------------------------------------------------------------------------


async def answered(*said: StreamAnswer, credits: int = 9) -> tuple[Heard, list[Any]]:
    """Commands a (an Execute) and b (a Compensate) are out under the numbers 1 and 2, c (3) waits; then this is said,
    and b is answered.
    """
    there = Recorder(credits=2)
    with logged() as logs:
        async with server(there.add) as port, reach(stream, port) as (transport, heard):
            transport.send([command("a"), command("b", kind=Kind.COMPENSATE), command("c")])
            await eventually(lambda: len(there.commands) == 2)
            assert [c.command_id for c in there.commands] == [1, 2]
            await there.context.write(StreamResponse(answers=said, credits=credits))
            await there.context.write(
                StreamResponse(answers=[StreamAnswer(command_id=2, compensate=UNDONE)], credits=9)
            )
            await heard.of("b", Kind.COMPENSATE)
    return heard, [entry for entry in logs if entry["event"] == "answer_unreadable"]


@pytest.mark.parametrize("number", [0, 4, 99, 2**64 - 1])
async def test_an_answer_to_nothing_is_nobodys(number):
    heard, complaints = await answered(*[StreamAnswer(command_id=number, execute=DONE)] * 50)
    assert list(heard.answers) == [("b", Kind.COMPENSATE)]
    assert len(complaints) == 1, "it is said once, not fifty times"


async def test_an_answer_to_what_was_not_sent_yet_is_nobodys():
    """A completed step that the participant never heard of."""
    heard, complaints = await answered(StreamAnswer(command_id=3, execute=DONE), credits=0)
    assert ("c", Kind.EXECUTE) not in heard.answers
    assert len(complaints) == 1


async def test_the_first_of_two_answers_counts():
    said = (StreamAnswer(command_id=1, execute=DONE), StreamAnswer(command_id=1, execute=NO))
    heard, complaints = await answered(*said)
    assert heard.answers["a", Kind.EXECUTE] == [Completed()]
    assert not complaints, "the other may be the answer to what was called off"


async def test_an_answer_of_the_wrong_kind_says_nothing():
    heard, complaints = await answered(StreamAnswer(command_id=1, compensate=UNDONE))
    (answer,) = heard.answers["a", Kind.EXECUTE]
    assert isinstance(answer, Unknown)
    assert (answer.error.code, answer.error.retryable) == ("UNREADABLE_ANSWER", True)
    assert "CompensateResponse" in complaints[0]["error"]


@pytest.mark.parametrize("credits", [1, 2**31, 2**32 - 1])
async def test_any_number_of_credits(credits):
    there = Recorder(credits=credits)
    async with server(there.add) as port, reach(stream, port) as (transport, _):
        transport.send([command(f"s{n}") for n in range(300)])
        await eventually(lambda: len(there.commands) == min(credits, 300))
        await there.context.write(StreamResponse(credits=2**32 - 1))
        await eventually(lambda: len(there.commands) == 300)


async def test_no_credit_ever_is_silence_and_ends_in_time():
    there = Recorder(credits=0)
    async with server(there.add) as port, reach(stream, port) as (transport, heard):
        transport.send([command("a", left_s=0.2)])
        assert isinstance(await heard.of("a"), Unknown)
        assert not there.commands


# ---- statuses --------------------------------------------------------------------------------------------------------


class Aborting(ParticipantServiceServicer):
    """Aborts, with as much text as it was asked for."""

    def Execute(self, request: Any, context: grpc.ServicerContext) -> Any:
        character, _, number = request.input.text.partition(" ")
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, character * int(number))

    def Compensate(self, request: Any, context: grpc.ServicerContext) -> Any:
        raise NotImplementedError


@pytest.fixture
def aborting():
    made = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    add_ParticipantServiceServicer_to_server(Aborting(), made)
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield port
    made.stop(0)


@BOTH
@pytest.mark.parametrize("text", ["x 0", "x 20000", "ü 20000", "x 1000000", "😀 500000"])
async def test_a_certain_status_is_certain_whatever_its_text(aborting, kind, text):
    """gRPC carries it in headers, three bytes for each that is not ASCII; with its own limits it loses it by chance."""
    async with reach(kind, aborting) as (transport, heard):
        transport.send([command(f"s{n}", text) for n in range(5)])
        for n in range(5):
            answer = await heard.of(f"s{n}")
            assert isinstance(answer, Rejected)
            assert answer.error.code == "FAILED_PRECONDITION"
            assert len(answer.error.message.encode()) <= MAX_TEXT_BYTES
            assert answer.error.message.startswith(text[0] if text != "x 0" else "")


# ---- what goes along with a call -------------------------------------------------------------------------------------


def longest() -> ParticipantCommand:
    """Everything as long as it may be, in characters that take the most."""
    made = command("😀" * 200)
    for name, value in (
        ("step_id", "😀" * 200),
        ("idempotency_key", "😀" * 401),
        ("tracestate", "k=" + "v" * 20_000),
    ):
        object.__setattr__(made, name, value)
    return made


async def test_the_longest_ids_and_trace_states_reach_a_stock_server():
    """It takes 8 KiB of headers; beyond, gRPC refuses by chance."""
    seen = []

    class Shop(ParticipantServiceServicer):
        async def Execute(self, request: Any, context: Any) -> Any:
            seen.append((request.command, dict(context.invocation_metadata())))
            return DONE

        async def Compensate(self, request: Any, context: Any) -> Any:
            raise NotImplementedError

    def add(made: Any) -> None:
        add_ParticipantServiceServicer_to_server(Shop(), made)

    async with server(add) as port, reach(unary, port) as (transport, heard):
        for n in range(20):
            transport.send([longest()])
            assert isinstance(await heard.of("😀" * 200), Completed), n
            heard.answers.clear()
    body, headers = seen[0]
    assert (body.saga_id, body.idempotency_key) == ("😀" * 200, "😀" * 401)
    assert len(body.tracestate) == 20_002
    assert headers["swit-saga-id"] == "\\U0001f600" * 200
    assert "tracestate" not in headers, "left out, not cut"


@pytest.mark.parametrize("saga_id", ["a", "a\nb", "\x00", "ü", "\x7f", "é\r\n"])
def test_headers_hold_what_headers_may(saga_id):
    made = dict(metadata(command(saga_id)))
    assert made["swit-saga-id"].isprintable()
    assert made["swit-saga-id"].isascii()
    assert made["swit-attempt"] == "1"


# ---- in this process -------------------------------------------------------------------------------------------------


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Here:
    """Returns or raises what its saga's id says."""

    name, actions = "shop", frozenset({"do"})

    def __init__(self, does: dict[str, Any]) -> None:
        self.does = does

    async def execute(self, request: Any) -> Any:
        what = self.does[request.command.saga_id]
        if isinstance(what, Exception):
            raise what
        return what

    compensate = execute


LARGE = ExecuteResponse(completed={"output": {"content_type": "a/b", "text": "x" * 1_001}})  # type: ignore[arg-type]
LOCAL: dict[str, tuple[Any, str]] = {
    "nothing": (None, "UNREADABLE_ANSWER"),
    "of the wrong kind": (UNDONE, "UNREADABLE_ANSWER"),
    "some text": ("completed", "UNREADABLE_ANSWER"),
    "mute": (Mute(), "Mute"),
    "a surrogate": (ValueError("\ud800"), "ValueError"),
    "20 MB": (ValueError("x" * 20_000_000), "ValueError"),
}


@pytest.mark.parametrize(("does", "code"), LOCAL.values(), ids=LOCAL)
async def test_in_this_process_it_is_read_the_same_way(does, code):
    heard = Heard()
    transport = LocalTransport([Here({"s": does})], heard.deliver, reader=AnswerReader(1_000))
    transport.send([command()])
    answer = await heard.of()
    assert isinstance(answer, Unknown)
    assert answer.error.code == code
    answer.error.message.encode()
    answer.error.stack_trace.encode()
    await transport.close()


async def test_in_this_process_the_limit_is_the_same():
    heard = Heard()
    transport = LocalTransport([Here({"s": LARGE})], heard.deliver, reader=AnswerReader(1_000))
    transport.send([command()])
    answer = await heard.of()
    assert isinstance(answer, Completed)
    assert answer.error is not None
    assert answer.error.code == "OUTPUT_TOO_LARGE"
    assert abs(answer.error.timestamp - time.time() * 1e6) < 60e6, "the ledger dates it"
    await transport.close()
