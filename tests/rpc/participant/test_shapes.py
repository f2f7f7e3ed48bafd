"""Handlers of every shape are called with what they ask for, whichever way the command came, or refused at once."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from swit_saga import Codecs, Participant, Payload, StepContext
from tests.support.participant.commands import CODECS, compensate, execute
from tests.support.participant.serve import by_calls, by_stream
from tests.support.participant.shapes import REFUSED, WORKING, local_class


class InProcess:
    """The calls of ``ParticipantServiceStub``, without a network."""

    def __init__(self, participant: Participant) -> None:
        self.Execute = participant.execute
        self.Compensate = participant.compensate


@asynccontextmanager
async def served(way: str, participant: Participant) -> AsyncIterator[Any]:
    if way == "in process":
        yield InProcess(participant)
        return
    connect = by_calls if way == "calls" else by_stream
    async with participant.serve("127.0.0.1:0") as serving, connect(serving.port) as stub:
        yield stub


@pytest.mark.parametrize("way", ["stream", "calls", "in process"])
async def test_every_shape_that_is_taken_is_called_with_what_it_asks_for(way):
    shop = Participant("shop")
    for name, (handler, _) in WORKING.items():
        shop.step(name)(handler)
    async with served(way, shop) as stub:
        for name, (_, expected) in WORKING.items():
            answer = await stub.Execute(execute(name, {"product": "apple"}, key=name))
            assert answer.WhichOneof("answer") == "completed", (name, answer)
            assert not answer.completed.HasField("output_error"), (name, answer)
            assert CODECS.decode(answer.completed.output) == expected, name


@pytest.mark.parametrize(("function", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_called_is_refused_when_it_is_registered(function, words):
    shop = Participant("shop")
    with pytest.raises(TypeError, match=words):
        shop.step("reserve")(function)
    assert shop.actions == frozenset()


@pytest.mark.parametrize(("function", "words"), [v for k, v in REFUSED.items() if k != "too many"])
def test_and_so_is_a_compensation(function, words):
    shop = Participant("shop")
    reserve = shop.step("reserve")(lambda: None)
    with pytest.raises(TypeError, match=words.replace("input", "(in|out)put")):
        reserve.compensate(function)


def test_enough_shapes():
    assert len(WORKING) + len(REFUSED) >= 60


async def test_a_class_that_is_local_to_where_the_handler_is_written():
    shop = Participant("shop")

    @dataclass
    class Local:
        product: str

    @shop.step("here")
    async def here(order: "Local") -> str:
        return order.product

    answer = await shop.execute(execute("here", {"product": "apple"}))
    assert CODECS.decode(answer.completed.output) == "apple"
    with pytest.raises(TypeError, match="'Local' of 'order' cannot be resolved"):
        shop.step("gone")(local_class())  # What it stood in is over.


async def test_what_a_compensation_takes():
    seen: list[Any] = []
    shop = Participant("shop")

    def both(value: dict[str, Any], output: str | None = None, *, dry: Any = None) -> None:
        seen.append((value, output, dry))

    def one(value: dict[str, Any]) -> None:
        seen.append(value)

    def neither(*, step: StepContext) -> None:
        seen.append(step.certainty)

    for action, undo in (("both", both), ("one", one), ("neither", neither)):
        shop.step(action)(lambda: None).compensate(undo)
        answer = await shop.compensate(compensate(action, {"a": 1}, "held", key=action))
        assert answer.WhichOneof("answer") == "completed"
    assert seen == [({"a": 1}, "held", None), {"a": 1}, "completed"]
    with pytest.raises(TypeError, match="'dry' would be given the step's output"):
        shop.step("x")(lambda: None).compensate(lambda value, dry=False: None)


def test_a_step_without_parentheses():
    shop = Participant("shop")
    with pytest.raises(TypeError, match=r"@shop.step\('.*reserve'\)"):

        @shop.step  # type: ignore[arg-type]
        async def reserve() -> None: ...

    assert shop.actions == frozenset()


@pytest.mark.parametrize("action", ["", " reserve", "re/serve", "x" * 201, "re\nserve", "\ud800"])
def test_an_action_that_no_definition_could_name(action):
    with pytest.raises(ValueError, match="an action"):
        Participant("shop").step(action)
    with pytest.raises(ValueError, match="a participant's name"):
        Participant(action)


@pytest.mark.parametrize("action", [None, 5, b"reserve"])
def test_an_action_that_is_no_text(action):
    with pytest.raises(TypeError, match="must be text"):
        Participant("shop").step(action)


def test_two_handlers_for_one_thing():
    shop = Participant("shop")
    reserve = shop.step("reserve")(lambda: None)
    with pytest.raises(ValueError, match="already has a handler for 'reserve'"):
        shop.step("reserve")(lambda: None)
    reserve.compensate(lambda: None)
    with pytest.raises(ValueError, match="'reserve' already has a compensation"):
        reserve.compensate(lambda: None)


async def test_one_function_for_two_actions():
    shop = Participant("shop")

    @shop.step("buy")
    @shop.step("reserve")
    async def reserve(order: dict[str, Any]) -> Any:
        return order["product"]

    for action in ("buy", "reserve"):
        answer = await shop.execute(execute(action, {"product": "apple"}, key=action))
        assert CODECS.decode(answer.completed.output) == "apple"


async def test_a_codec_of_ones_own_may_read_anything():
    class Odd:
        pass

    class OddCodec:
        def encode(self, value: Any) -> Payload | None:
            return None

        def takes(self, content_type: str) -> bool:
            return content_type.startswith("application/json")

        def decode(self, payload: Payload, kind: Any) -> Any:
            return kind()

    shop = Participant("shop", codecs=Codecs(OddCodec()))

    @shop.step("reserve")
    async def reserve(odd: Odd) -> str:
        return type(odd).__name__

    answer = await shop.execute(execute("reserve", {}))
    assert CODECS.decode(answer.completed.output) == "Odd"


@pytest.mark.parametrize("function", [functools.partial(print), iter])
def test_the_refusal_names_the_function(function):
    with pytest.raises(TypeError, match="cannot be a handler"):
        Participant("shop").step("x")(function)
