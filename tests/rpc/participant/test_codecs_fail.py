"""Codecs and hooks of the user's that fail, in any way: what was done is done, and what was not given was not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from swit_saga import Codecs, Participant, Payload, Reject
from swit_saga.v1 import error_pb2
from tests.support.participant.commands import execute


class Parcel:
    pass


class Own:
    """A codec and a hook of whatever it is given."""

    def __init__(self, **does: Callable[..., Any]) -> None:
        self._does = does

    def encode(self, value: Any) -> Payload | None:
        made: Payload | None = self._does.get("encode", lambda _: _written())(value)
        return made if isinstance(value, Parcel) else None

    def takes(self, content_type: str) -> bool:
        return content_type == "x/parcel"

    def decode(self, payload: Payload, kind: Any) -> Any:
        return self._does.get("decode", lambda _: Parcel())(payload)

    def wrap(self, payload: Payload) -> Payload:
        made: Payload = self._does.get("wrap", lambda p: p)(payload)
        return made

    def unwrap(self, payload: Payload) -> Payload:
        made: Payload = self._does.get("unwrap", lambda p: p)(payload)
        return made


def _written() -> Payload:
    return Payload(content_type="x/parcel", text="parcel")


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(_: Any) -> Any:
        raise error

    return fail


async def later(_: Any) -> Payload:
    return _written()


class Odd(BaseException):
    pass


FAILURES: dict[str, Callable[..., Any]] = {
    "KeyError": raising(KeyError("key")),
    "a certain no": raising(Reject("NO_STOCK")),
    "SystemExit": raising(SystemExit(3)),
    "KeyboardInterrupt": raising(KeyboardInterrupt()),
    "CancelledError": raising(asyncio.CancelledError()),
    "StopIteration": raising(StopIteration()),
    "a BaseException": raising(Odd()),
    "text": lambda _: "text",
    "a dict": lambda _: {},
    "a coroutine": later,
    "no content type": lambda _: Payload(text="x"),
}


def shop(own: Own) -> tuple[Participant, list[Any]]:
    made, called = Participant("shop", codecs=Codecs(own, hooks=[own])), list[Any]()

    @made.step("reserve")
    async def reserve(order: Any) -> Parcel:
        called.append(order)
        return Parcel()

    return made, called


@pytest.mark.parametrize("where", ["encode", "wrap"])
@pytest.mark.parametrize("what", FAILURES)
async def test_a_step_whose_output_cannot_be_written_is_done(serve, where, what):
    participant, called = shop(Own(**{where: FAILURES[what]}))
    async with serve(participant) as stub:
        answer = await stub.Execute(execute())
    assert answer.WhichOneof("answer") == "completed"
    error = answer.completed.output_error
    assert (error.code, error.type) == ("OUTPUT_INVALID", error_pb2.ERROR_TYPE_DATA)
    assert not answer.completed.HasField("output")
    assert len(called) == 1


@pytest.mark.parametrize("where", ["decode", "unwrap"])
@pytest.mark.parametrize("made", [later, lambda _: later(_)], ids=["async", "a coroutine"])
async def test_what_nobody_waits_for_is_no_input(serve, where, made):
    participant, called = shop(Own(**{where: made}))
    request = execute()
    request.input.CopyFrom(_written())
    async with serve(participant) as stub:
        answer = await stub.Execute(request)
    assert answer.rejected.error.code == "UNDECODABLE_INPUT"
    assert "is async: nobody waits for it" in answer.rejected.error.message
    assert not called
