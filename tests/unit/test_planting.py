"""The judge of planted bugs is itself judged: on a small till, with mistakes of every kind."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType

import pytest

from swit_saga_server.core import quarantine
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER
from tests.support.invariants import require
from tests.support.planting import BrokenMutant, Bug, caught, plant
from tests.support.planting.bug import NotThere

Refund = Callable[[], int]


def price(pieces: int) -> int:
    return 2 * pieces


def half(pieces: int) -> int:
    return pieces // 2


TABLE = {"price": price}
ROW = (half, price)


class Till:
    """Under test."""

    def __init__(self) -> None:
        self.total = 0
        self.refunds: list[Refund] = []

    def sell(self, pieces: int) -> int:
        self.total += price(pieces)
        if self.total > 100:
            self.total -= 1
            self.total -= 1
        return self.total

    def sell_carefully(self, pieces: int) -> int:
        try:
            return self.sell(pieces)
        except Exception:
            return 0

    def sell_or_not(self, pieces: int) -> int:
        with suppress(Exception):
            self.total += price(pieces)
        return self.total

    def refund_later(self, pieces: int) -> None:
        self.refunds.append(lambda: -price(pieces))

    async def sell_slowly(self, pieces: int) -> int:
        return self.sell(pieces)

    @staticmethod
    def sign() -> int:
        return 1

    @classmethod
    def empty(cls) -> "Till":
        return cls()

    @property
    def half(self) -> int:
        return half(self.total)


def bug(function: str, right: str, wrong: str) -> Bug:
    return Bug(name=f"{function}: {wrong}", module=__name__, function=function, right=right, wrong=wrong)


@pytest.mark.parametrize(
    ("planted", "call", "sound", "broken"),
    [
        (bug("price", "2 * pieces", "3 * pieces"), lambda: price(2), 4, 6),
        (bug("price", "2 * pieces", "3 * pieces"), lambda: TABLE["price"](2), 4, 6),
        (bug("price", "2 * pieces", "3 * pieces"), lambda: ROW[1](2), 4, 6),
        (bug("Till.sell", "+= price", "-= price"), lambda: Till().sell(2), 4, -4),
        (bug("Till.sell_slowly", "self.sell(", "-self.sell("), lambda: asyncio.run(Till().sell_slowly(2)), 4, -4),
        (bug("Till.sign", "return 1", "return -1"), lambda: Till.sign(), 1, -1),
        (bug("Till.empty", "cls()", "None"), lambda: Till.empty() is None, False, True),
        (bug("Till.half", "half(self.total)", "7"), lambda: Till().half, 0, 7),
    ],
    ids=lambda value: value.name if isinstance(value, Bug) else "",
)
def test_a_mistake_is_in_force_for_a_while_and_everywhere(planted, call, sound, broken):
    assert call() == sound
    before = dict(vars(Till)), dict(globals())
    with plant(planted):
        assert call() == broken
    assert call() == sound
    assert (dict(vars(Till)), dict(globals())) == before


def test_who_imported_the_function_gets_it_too(monkeypatch):
    other = ModuleType("tests.somewhere_else")
    other.cost = price  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, other.__name__, other)
    with plant(bug("price", "2 * pieces", "3 * pieces")):
        assert other.cost(1) == 3
    assert other.cost is price


def test_whole_lines_are_found_at_any_depth():
    planted = bug(
        "Till.sell",
        """
        if self.total > 100:
            self.total -= 1
        """,
        """
        if self.total > 3:
            self.total -= 2
        """,
    )
    with plant(planted):
        assert Till().sell(2) == 1


@pytest.mark.parametrize(
    "planted",
    [
        bug("Till.sell", "self.total -= 1", "pass"),
        bug("Till.sell", "self.total -= 7", "pass"),
        bug("Till.sell", "self.total -= 1\n", "pass\n"),
        bug("Till.buy", "pieces", "1"),
        bug("buy", "pieces", "1"),
        bug("price", "2 * pieces", "(2 * pieces)"),
        bug("price", "pieces: int", "pieces: int = 1"),
    ],
    ids=["twice", "never", "line twice", "no method", "no function", "nothing differs", "parameters"],
)
def test_text_that_is_not_there_once_is_refused(planted):
    with pytest.raises(NotThere), plant(planted):
        pass


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        (bug("price", "2 * pieces", "2 * peices"), "'peices' is not defined"),
        (bug("Till.refund_later", "-price", "-prize"), "'prize' is not defined"),
        (bug("Till.sell", "price(pieces)", "price(pieces, 2)"), "too many positional"),
        (bug("Till.sell", "price(pieces)", "price(piece=2)"), "missing a required argument"),
        (bug("Till.sell_carefully", "self.sell(pieces)", "self.sell()"), "missing a required argument"),
        (bug("Till.sell", "return self.total", "return self.sum"), "Till has no attribute 'sum'"),
    ],
    ids=lambda value: value.name if isinstance(value, Bug) else "",
)
def test_a_mutant_that_cannot_run_is_not_even_planted(planted, why):
    with pytest.raises(BrokenMutant, match=why), plant(planted):
        raise AssertionError("planted")


@pytest.mark.parametrize(
    ("planted", "use"),
    [
        (bug("Till.sell", "price(pieces)", "pieces[0]"), lambda: Till().sell_carefully(1)),
        (bug("Till.sell_carefully", "self.sell(pieces)", "pieces[0]"), lambda: Till().sell_carefully(1)),
        (bug("Till.sell_or_not", "price(pieces)", "pieces.worth"), lambda: Till().sell_or_not(1)),
    ],
    ids=["by its caller", "by itself", "by a with block"],
)
def test_an_error_of_its_own_is_seen_though_it_is_swallowed(planted, use):
    with pytest.raises(BrokenMutant, match="Error: "), plant(planted):
        use()


def test_a_lambda_is_part_of_the_mutant():
    def refund(till: Till) -> None:
        with plant(bug("Till.refund_later", "-price", "-pieces.x")):
            till.refund_later(1)
            with suppress(AttributeError):
                till.refunds[0]()

    with pytest.raises(BrokenMutant, match="AttributeError"):
        refund(Till())


def test_an_error_raised_elsewhere_is_not_the_mutants_own():
    """It only passes through: what that says about the mistake, whoever sees it at the end must judge."""
    with plant(bug("Till.sell", "price(pieces)", "price(None)")):
        assert Till().sell_carefully(1) == 0


def test_a_saga_set_aside_for_such_an_error_tells_on_it():
    saga = Saga(id="s", definition_id="d", steps=(), created_at=NEVER, updated_at=NEVER)

    def set_aside(message: str) -> None:
        with plant(bug("price", "2 * pieces", "3 * pieces")):
            quarantine.quarantine(saga, SagaError(code="DECIDE_FAILED", message=message, type=ErrorType.SYSTEM), NEVER)

    set_aside("IllegalTransition: it happens")
    with pytest.raises(BrokenMutant, match="set aside: TypeError"):
        set_aside("TypeError: not this")


HARMLESS = bug("price", "2 * pieces", "3 * pieces")


def test_an_assertion_catches():
    with caught(HARMLESS):
        assert price(1) == 2


def test_an_invariant_catches():
    with caught(HARMLESS):
        require(1, price(1) == 2, "")


def test_a_test_that_expected_an_exception_catches():
    with caught(HARMLESS), pytest.raises(KeyError):
        price(1)


async def test_a_time_out_catches():
    with caught(HARMLESS):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


def test_nothing_catches_nothing():
    with pytest.raises(pytest.fail.Exception, match="nothing caught it"), caught(HARMLESS):
        price(1)


def test_another_error_catches_nothing():
    with pytest.raises(KeyError), caught(HARMLESS):
        raise KeyError("lost")


def test_an_assertion_of_the_product_catches_nothing():
    with pytest.raises(AssertionError) as raised, caught(bug("price", "return 2 * pieces", "assert not pieces")):
        price(1)
    assert "nothing caught the bug" in "".join(raised.value.__notes__)


@pytest.mark.parametrize("error", [TypeError("x"), ExceptionGroup("both", [AssertionError(), NameError("x")])])
def test_an_error_of_that_kind_is_no_catch_wherever_raised(error):
    with pytest.raises(BrokenMutant), caught(HARMLESS):
        raise error
