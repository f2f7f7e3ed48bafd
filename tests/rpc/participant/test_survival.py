"""Whatever a handler does: its command is answered, the process goes on, and its log says what happened."""

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
from typing import Any

import grpc
import grpc.aio
import pytest

from swit_saga import Participant, Reject, StepContext
from swit_saga.participant import handler as handler_module
from swit_saga.v1 import error_pb2
from tests.support.participant.commands import CODECS, compensate, execute
from tests.support.participant.serve import trace_of

LOGGER = "swit_saga.participant"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Deadly(Exception):
    """Its text ends the program."""

    def __str__(self) -> str:
        raise SystemExit(4)


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class BadNotes(Exception):
    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no notes")


class Base(BaseException):
    pass


def deep() -> Any:
    return deep()


def nested() -> BaseException:
    error: Exception = ValueError("inmost")
    for _ in range(3_000):
        error = ExceptionGroup("out", [error])
    return error


def circular() -> BaseException:
    error = ValueError("round")
    error.__cause__ = KeyError("and round")
    error.__cause__.__cause__ = error
    return error


RAISED = {
    "exit": lambda: SystemExit(3),
    "exit without code": SystemExit,
    "interrupt": KeyboardInterrupt,
    "generator exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "base": lambda: Base("b"),
    "base group": lambda: BaseExceptionGroup("g", [SystemExit(3)]),
    "group": lambda: ExceptionGroup("g", [ValueError("a"), Reject("NO")]),
    "deep group": nested,
    "circular": circular,
    "mute": Mute,
    "deadly": Deadly,
    "no text": NoText,
    "bad notes": BadNotes,
    "memory": MemoryError,
    "recursion": lambda: RecursionError("deep"),
    "stop": lambda: StopIteration(5),
    "async stop": lambda: StopAsyncIteration(5),
    "huge": lambda: ValueError("x" * 1_000_000),
    "surrogate": lambda: ValueError("\ud800"),
    "exception class of odd name": lambda: type("Odd\n\ud800", (Exception,), {})("x"),
}


async def unknown(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call
    assert found.value.code() is grpc.StatusCode.UNKNOWN
    assert trace_of(found.value)
    return found.value


@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED)
async def test_whatever_is_raised_is_unknown_and_nothing_ends(serve, make, caplog):
    shop = Participant("shop")

    async def later() -> None:
        raise make()

    def now() -> None:
        raise make()

    for name, function in {"async": later, "plain": now}.items():
        shop.step(name)(function).compensate(function)
    shop.step("alive")(lambda: "yes")
    async with serve(shop) as stub:
        for name in ("async", "plain"):
            for call in (stub.Execute(execute(name, key=name)), stub.Compensate(compensate(name, key=f"{name}/undo"))):
                await unknown(call)
        alive = await stub.Execute(execute("alive", key="alive"))
        assert CODECS.decode(alive.completed.output) == "yes"
    said = [r for r in caplog.records if r.name == LOGGER and r.levelno == logging.ERROR]
    assert [r.__dict__["action"] for r in said] == ["async", "async", "plain", "plain"]


async def test_a_handler_without_an_end_to_its_stack(serve):
    shop = Participant("shop")
    shop.step("plain")(deep)
    shop.step("async")(lambda: asyncio.sleep(0, deep()))  # noqa: TID251 - not awaited for its time
    async with serve(shop) as stub:
        for name in ("plain", "async"):
            assert "RecursionError" in ((await unknown(stub.Execute(execute(name, key=name)))).details() or "")


async def test_a_handler_that_cancels_its_own_task(serve):
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    async with serve(shop) as stub:
        assert "HandlerCancelled" in ((await unknown(stub.Execute(execute()))).details() or "")


@pytest.mark.parametrize(
    "made",
    [
        lambda: object(),
        lambda: {"f": print},
        lambda: {1, "a"},
        lambda: threading.Lock(),
        lambda: {"self": object},
    ],
)
async def test_an_output_that_cannot_be_sent_is_done_all_the_same(serve, made, caplog):
    """The step has happened: it must not look as if it had not, nor be asked for again."""
    shop = Participant("shop")
    shop.step("reserve")(lambda: made())
    async with serve(shop) as stub:
        answer = await stub.Execute(execute())
    assert answer.WhichOneof("answer") == "completed"
    error = answer.completed.output_error
    assert (error.code, error.type) == ("OUTPUT_INVALID", error_pb2.ERROR_TYPE_DATA)
    assert "CodecError" in error.message
    assert error.stack_trace
    assert not answer.completed.HasField("output")
    assert [r.levelname for r in caplog.records if r.name == LOGGER] == ["ERROR"]


async def test_what_is_said_at_length_is_cut_in_the_log(serve, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(what: str) -> None:
        raise (Reject("NO", "x" * 3_000) if what == "no" else ValueError("x" * 3_000_000))

    async with serve(shop) as stub:
        await unknown(stub.Execute(execute(value="fail", key="a")))
        await stub.Execute(execute(value="no", key="b"))
    lengths = [len(r.getMessage()) for r in caplog.records if r.name == LOGGER]
    assert len(lengths) == 2
    assert max(lengths) < 40_000
    assert "characters cut" in caplog.records[0].getMessage()


async def test_a_generator_that_is_returned_was_not_run(serve):
    shop = Participant("shop")
    ran: list[int] = []

    def steps() -> Any:
        ran.append(1)
        yield

    shop.step("reserve")(lambda: steps())
    async with serve(shop) as stub:
        assert "which nobody has run" in ((await unknown(stub.Execute(execute()))).details() or "")
    assert ran == []


async def test_a_rejection_that_cannot_be_written_is_one_all_the_same(serve):
    class Broken(Reject):
        def to_proto(self) -> error_pb2.SagaError:
            raise RuntimeError("no")

    shop = Participant("shop")

    @shop.step("reserve")
    def reserve() -> None:
        raise Broken("NO_STOCK", "nothing left")

    async with serve(shop) as stub:
        answer = await stub.Execute(execute())
    assert answer.WhichOneof("answer") == "rejected"
    assert "NO_STOCK: nothing left" in answer.rejected.error.message


async def test_context_variables(serve):
    """A handler's are its own, and those of a decorator reach the coroutine that it returns."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    shop = Participant("shop")

    async def work(name: str) -> str:
        return variable.get()

    def decorated(name: str) -> Any:
        variable.set(name)
        return work(name)

    async def direct(name: str) -> str:
        before = variable.get()
        variable.set(name)
        return f"{before}, {variable.get()}"

    shop.step("decorated")(decorated)
    shop.step("direct")(direct)
    async with serve(shop) as stub:
        for name in "ab":
            answer = await stub.Execute(execute("decorated", name, key=f"1{name}"))
            assert CODECS.decode(answer.completed.output) == name
            answer = await stub.Execute(execute("direct", name, key=f"2{name}"))
            assert CODECS.decode(answer.completed.output) == f"none, {name}"


async def test_who_blocks_the_event_loop_is_told_so_once(serve, caplog, monkeypatch):
    monkeypatch.setattr(handler_module, "BLOCKED_S", 0.0)
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve() -> None:
        threading.Event().wait(0.001)

    async with serve(shop) as stub:
        for key in "ab":
            await stub.Execute(execute(key=key))
    said = [r for r in caplog.records if r.name == LOGGER]
    assert [r.levelname for r in said] == ["WARNING"]
    assert "kept the event loop" in said[0].getMessage()


async def test_what_the_log_says(serve, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    shop = Participant("shop")

    @shop.step("reserve")
    async def reserve(secret: dict[str, str], step: StepContext) -> None:
        raise ValueError("broken")

    @shop.step("pay")
    async def pay(secret: dict[str, str]) -> None:
        raise Reject("NO_FUNDS", "no money")

    @shop.step("count")
    async def count(number: int) -> None: ...

    async with serve(shop) as stub:
        await unknown(stub.Execute(execute("reserve", {"card": "4711"})))
        await stub.Execute(execute("pay", {"card": "4711"}, key="pay"))
        await stub.Execute(execute("count", {"card": "4711"}, key="count"))
    failed, rejected, refused = (r for r in caplog.records if r.name == LOGGER)
    assert [r.levelname for r in (failed, rejected, refused)] == ["ERROR", "INFO", "WARNING"]
    for record in (failed, rejected, refused):
        fields = record.__dict__
        assert (fields["participant"], fields["saga_id"], fields["attempt"]) == ("shop", "o-1", 2)
        assert fields["step_id"] == fields["action"]
        assert f"saga o-1, step {fields['step_id']}, attempt 2" in record.getMessage()
        assert "4711" not in record.getMessage()
        assert "4711" not in repr(fields)
    assert "ValueError: broken" in failed.getMessage()
    assert "Traceback (most recent call last)" in failed.getMessage()
    assert 'raise ValueError("broken")' in failed.getMessage()
    assert "NO_FUNDS: no money" in rejected.getMessage()


class Sick(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise BrokenPipeError("nobody reads")


async def test_a_log_that_cannot_be_written_costs_the_line(serve):
    shop, sick = Participant("shop"), Sick()
    shop.step("reserve")(lambda: 1 / 0)
    logging.getLogger(LOGGER).addHandler(sick)
    try:
        async with serve(shop) as stub:
            assert "ZeroDivisionError" in ((await unknown(stub.Execute(execute()))).details() or "")
    finally:
        logging.getLogger(LOGGER).removeHandler(sick)


def test_without_any_logging_set_up_it_is_on_stderr():
    program = """
import asyncio
from swit_saga import Participant
from tests.support.participant.commands import execute
shop = Participant("shop")
@shop.step("reserve")
def reserve(): raise ValueError("broken")
async def main():
    try:
        await shop.execute(execute())
    except ValueError:
        print("unknown")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "unknown\n"
    assert "shop.reserve, saga o-1, step reserve, attempt 2" in done.stderr
    assert "ValueError: broken" in done.stderr
