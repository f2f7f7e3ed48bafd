"""Commands that meet on their way: duplicates, late ones, compensations, callers that go away, a stop."""

import asyncio
import threading
from typing import Any

import grpc
import grpc.aio
import pytest

from swit_saga import Participant
from tests.support.participant.commands import CODECS, compensate, execute
from tests.support.waiting import eventually


class Slow:
    """A participant whose step ends when it is let."""

    def __init__(self) -> None:
        self.participant = Participant("shop")
        self.let = asyncio.Event()
        self.log: list[str] = []

        @self.participant.step("reserve")
        async def reserve(value: str) -> str:
            self.log.append(f"{value} begins")
            await self.let.wait()
            self.log.append(f"{value} ends")
            if value == "broken":
                raise ValueError(value)
            return f"{value} {len(self.log)}"

        @reserve.compensate
        async def release(value: str) -> None:
            self.log.append(f"{value} undone")


async def test_nothing_is_started_past_its_not_after(serve):
    """The coordinator may have given up on it, and compensated."""
    slow = Slow()
    async with serve(slow.participant) as stub:
        for call in (stub.Execute(execute("reserve", "a", left_s=-0.001)), stub.Compensate(compensate(left_s=-1))):
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await call
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "nothing was started" in (late.value.details() or "")
    assert slow.log == []


async def test_a_duplicate_in_flight_gets_the_first_ones_answer(serve):
    """Invariant 13."""
    slow = Slow()
    async with serve(slow.participant) as stub:
        first = stub.Execute(execute("reserve", "a"))
        await eventually(lambda: slow.log)
        second = stub.Execute(execute("reserve", "a", left_s=-1))  # Even late: nothing is started for it.
        other = stub.Execute(execute("reserve", "b", key="o-2/reserve"))
        await eventually(lambda: "b begins" in slow.log)
        slow.let.set()
        answers = [CODECS.decode((await call).completed.output) for call in (first, second, other)]
    assert slow.log.count("a begins") == 1
    assert answers[0] == answers[1] != answers[2]


async def test_a_duplicate_in_flight_shares_the_failure(serve):
    slow = Slow()
    arrived: list[Any] = []
    do = slow.participant.execute

    async def noted(request: Any, *more: Any) -> Any:
        arrived.append(request)
        return await do(request, *more)

    slow.participant.execute = noted  # type: ignore[method-assign]
    async with serve(slow.participant) as stub:
        calls = [stub.Execute(execute("reserve", "broken")) for _ in range(3)]
        other = stub.Execute(execute("reserve", "b", key="o-2/reserve"))
        # A stream's commands come in order, and by another way; calls come in any.
        await eventually(lambda: "b begins" in slow.log and len(arrived) in (0, 4))
        slow.let.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [e.code() for e in ended if isinstance(e, grpc.aio.AioRpcError)] == [grpc.StatusCode.UNKNOWN] * 3
        await other
        assert slow.log.count("broken begins") == 1
        # Over, it is not remembered: the next attempt runs.
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Execute(execute("reserve", "broken"))
        assert slow.log.count("broken begins") == 2


async def test_commands_without_a_key_are_nobodys_duplicates(serve):
    slow = Slow()
    async with serve(slow.participant) as stub:
        calls = [stub.Execute(execute("reserve", name, key="")) for name in "ab"]
        await eventually(lambda: sorted(slow.log) == ["a begins", "b begins"])
        slow.let.set()
        assert len({CODECS.decode((await call).completed.output) for call in calls}) == 2


async def test_a_compensate_waits_for_its_running_execute(serve):
    """A late answer never races a Compensate."""
    slow = Slow()
    async with serve(slow.participant) as stub:
        doing = stub.Execute(execute("reserve", "a"))
        await eventually(lambda: slow.log)
        undoing = stub.Compensate(compensate("reserve", "a"))
        # Another saga's is not held up; it also shows that ours has had its time to be wrong.
        await stub.Compensate(compensate("reserve", "b", key="o-2/undo", execute_key="o-2/reserve"))
        assert slow.log == ["a begins", "b undone"]
        slow.let.set()
        await asyncio.gather(doing, undoing)
    assert slow.log == ["a begins", "b undone", "a ends", "a undone"]


async def test_a_compensate_waits_no_longer_than_its_deadline(serve):
    slow = Slow()
    async with serve(slow.participant) as stub:
        doing = stub.Execute(execute("reserve", "a"))
        await eventually(lambda: slow.log)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.Compensate(compensate("reserve", "a", left_s=0.2), timeout=0.2)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        slow.let.set()
        await doing
    assert slow.log == ["a begins", "a ends"], "the compensation was not begun when nobody waited for it any more"


async def test_a_caller_that_goes_away_does_not_tear_the_effect(serve):
    slow = Slow()
    async with serve(slow.participant) as stub:
        call = stub.Execute(execute("reserve", "a"))
        await eventually(lambda: slow.log)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # The resend finds it still running, and is answered by it.
        again = stub.Execute(execute("reserve", "a"))
        other = stub.Execute(execute("reserve", "b", key="o-2/reserve"))
        await eventually(lambda: "b begins" in slow.log)
        slow.let.set()
        assert CODECS.decode((await again).completed.output)
        await other
    assert slow.log.count("a begins") == slow.log.count("a ends") == 1


async def test_plain_functions_run_side_by_side_in_threads(serve):
    both = threading.Barrier(2, timeout=10)
    names, shop = set(), Participant("shop", threads=2)

    @shop.step("reserve")
    def reserve() -> None:
        both.wait()  # Broken unless two are in here at once, and the event loop still takes calls.
        names.add(threading.current_thread().name)

    async with serve(shop) as stub:
        answers = await asyncio.gather(*(stub.Execute(execute(key=str(i))) for i in range(2)))
    assert {a.WhichOneof("answer") for a in answers} == {"completed"}
    assert len(names) == 2
    assert threading.current_thread().name not in names


async def test_more_plain_functions_than_threads_wait_their_turn(serve):
    at_once, most, lock = 0, 0, threading.Lock()
    shop = Participant("shop", threads=2)

    @shop.step("reserve")
    def reserve() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.01)
        with lock:
            at_once -= 1

    async with serve(shop) as stub:
        await asyncio.gather(*(stub.Execute(execute(key=str(i))) for i in range(10)))
    assert most == 2


async def test_a_stop_finishes_what_runs_and_takes_nothing_new(connect):
    slow = Slow()
    serving = slow.participant.serve("127.0.0.1:0")
    server = await serving.__aenter__()
    async with connect(server.port) as stub:
        waiting = stub.Execute(execute("reserve", "a"))
        left = stub.Execute(execute("reserve", "b", key="o-2/reserve"))
        await eventually(lambda: len(slow.log) == 2)
        left.cancel()
        stopping = asyncio.create_task(serving.__aexit__(None, None, None))

        async def refused() -> bool:
            try:
                await stub.Execute(execute("reserve", "c", key="o-3/reserve"), timeout=0.2)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await eventually(refused)
        assert not stopping.done()
        slow.let.set()
        assert CODECS.decode((await waiting).completed.output)
        await stopping
    begun = {entry.removesuffix(" begins") for entry in slow.log if entry.endswith(" begins")}
    ended = {entry.removesuffix(" ends") for entry in slow.log if entry.endswith(" ends")}
    assert {"a", "b"} <= ended, "the one whose caller left, too"
    assert begun == ended, "and what came in before the stop was known, if anything"


async def test_a_stop_waits_for_a_handler_nobody_waits_for(serve):
    slow = Slow()
    async with serve(slow.participant) as stub:
        call = stub.Execute(execute("reserve", "a"))
        await eventually(lambda: slow.log)
        call.cancel()
        asyncio.get_running_loop().call_later(0.2, slow.let.set)
    assert slow.log == ["a begins", "a ends"]


async def test_an_address_in_use_is_refused():
    shop = Participant("shop")
    async with shop.serve("127.0.0.1:0") as server:
        with pytest.raises(RuntimeError):
            async with shop.serve(f"127.0.0.1:{server.port}"):
                pass
