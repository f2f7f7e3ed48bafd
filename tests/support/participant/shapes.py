"""Handlers of many shapes, in a module whose annotations are text: those that can be called, and those that cannot."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, Protocol, TypedDict

if TYPE_CHECKING:
    from decimal import Context as Hidden

    from swit_saga import StepContext
    from swit_saga import participant as at_checking


@dataclass
class Order:
    product: str


class Cart(TypedDict):
    product: str


def said(order: Any, step: Any) -> list[Any]:
    """What a handler was given: the product, and the context's saga."""
    product = order.product if isinstance(order, Order) else order and order["product"]
    return [product, step and step.saga_id]


async def context_by_keyword(order: Order, *, step: StepContext) -> list[Any]:
    return said(order, step)


async def all_by_keyword(*, order: Order, step: StepContext) -> list[Any]:
    return said(order, step)


async def context_by_keyword_without_annotation(order: Order, *, context) -> list[Any]:
    return said(order, context)


async def context_first(step: StepContext, order: Order) -> list[Any]:
    return said(order, step)


async def by_place_only(order: Order, step: StepContext, /) -> list[Any]:
    return said(order, step)


async def default_behind(order: Order, step: StepContext, retries: int = 3) -> list[Any]:
    assert retries == 3
    return said(order, step)


async def default_between(order: Order, retries: int = 3, step: StepContext = None) -> list[Any]:  # type: ignore[assignment]
    assert retries == 3
    return said(order, step)


async def default_between_by_place(order: Order, retries: int = 3, step: StepContext = None, /) -> list[Any]:  # type: ignore[assignment]
    assert retries == 3
    return said(order, step)


async def option_by_keyword(order: Order, step: StepContext, *, dry: bool = False, wet: Any = None) -> list[Any]:
    assert dry is False
    assert wet is None
    return said(order, step)


async def input_or_none(order: Order | None = None, step: StepContext | None = None) -> list[Any]:
    return said(order, step)


async def optional_old(order: Optional[Order], step: Optional[StepContext]) -> list[Any]:  # noqa: UP045
    return said(order, step)


async def annotated(order: Annotated[Order, "what is wanted"], step: StepContext) -> list[Any]:
    return said(order, step)


async def typed_dict(order: Cart, step: StepContext) -> list[Any]:
    return said(order, step)


async def dotted_context(order: Order, step: at_checking.context.StepContext) -> list[Any]:
    return said(order, step)


async def return_under_type_checking(order: Order, step: StepContext) -> Hidden:
    return said(order, step)  # type: ignore[return-value]


def plain(order: Order, step: StepContext) -> list[Any]:
    return said(order, step)


async def no_annotation(order, step):
    return said(order, step)


async def input_called_step(step: Order) -> list[Any]:
    return said(step, None)


async def context_only(step: StepContext) -> list[Any]:
    return said(None, step)


async def nothing() -> list[Any]:
    return said(None, None)


class AsyncObject:
    async def __call__(self, order: Order, step: StepContext) -> list[Any]:
        return said(order, step)


class PlainObject:
    def __call__(self, order: Order, step: StepContext) -> list[Any]:
        return said(order, step)


class Methods:
    async def bound(self, order: Order, step: StepContext) -> list[Any]:
        return said(order, step)

    @staticmethod
    async def static(order: Order, step: StepContext) -> list[Any]:
        return said(order, step)

    @classmethod
    def of_class(cls, order: Order, step: StepContext) -> list[Any]:
        return said(order, step)


def with_database(database: str, order: Order, step: StepContext, *, table: str = "") -> list[Any]:
    assert (database, table) == ("db", "t")
    return said(order, step)


async def async_with_database(order: Order, database: str, step: StepContext) -> list[Any]:
    assert database == "db"
    return said(order, step)


def wrapped_async(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **more: Any) -> Any:
        return await function(*args, **more)

    return wrapper


def wrapped_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the coroutine of what it wraps."""

    @functools.wraps(function)
    def wrapper(*args: Any, **more: Any) -> Any:
        return function(*args, **more)

    return wrapper


def forgets_await(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **more: Any) -> Any:
        return function(*args, **more)

    return wrapper


def injecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Its wrapper takes less than what it wraps."""

    @functools.wraps(function)
    def wrapper(order: Order, step: StepContext) -> Any:
        return function("db", order, step, table="t")

    return wrapper


def says_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **more: Any) -> Any:
        return await function(*args, **more)

    return wrapper


def says_too_much(function: Callable[..., Any]) -> Callable[..., Any]:
    """Passes on by place what must be given by keyword."""

    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await function(*args)

    return wrapper


def returns_future(order: Order, step: StepContext) -> Any:
    future: Future[Any] = Future()
    future.set_result(said(order, step))
    return future


def returns_task(order: Order, step: StepContext) -> Any:
    async def work() -> Any:
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop
        return said(order, step)

    return work()


def local_class() -> Callable[..., Any]:
    @dataclass
    class Local:
        product: str

    async def handler(order: Local, step: StepContext) -> list[Any]:
        return [order.product, step.saga_id]

    return handler


WORKING: dict[str, tuple[Any, Any]] = {
    function.__name__: (function, ["apple", "o-1"])
    for function in (
        context_by_keyword, all_by_keyword, context_by_keyword_without_annotation, context_first, by_place_only,
        default_behind, default_between, default_between_by_place, option_by_keyword, input_or_none, optional_old,
        annotated, typed_dict, dotted_context, return_under_type_checking, plain, no_annotation,
        returns_future, returns_task,
    )
} | {
    "input_called_step": (input_called_step, ["apple", None]),
    "context_only": (context_only, [None, "o-1"]),
    "nothing": (nothing, [None, None]),
    "lambda": (lambda order, step: said(order, step), ["apple", "o-1"]),
    "lambda with a default": (lambda order, saved="x": [order["product"], saved], ["apple", "x"]),
    "builtin": (len, 1),
    "async object": (AsyncObject(), ["apple", "o-1"]),
    "plain object": (PlainObject(), ["apple", "o-1"]),
    "bound method": (Methods().bound, ["apple", "o-1"]),
    "static method": (Methods.static, ["apple", "o-1"]),
    "static method object": (staticmethod(plain), ["apple", "o-1"]),
    "class method": (Methods.of_class, ["apple", "o-1"]),
    "partial": (functools.partial(with_database, "db", table="t"), ["apple", "o-1"]),
    "partial of async by keyword": (functools.partial(async_with_database, database="db"), ["apple", "o-1"]),
    "partial of partial": (functools.partial(functools.partial(with_database, "db"), table="t"), ["apple", "o-1"]),
    "partial of an object": (functools.partial(AsyncObject()), ["apple", "o-1"]),
    "wrapped": (wrapped_async(context_first), ["apple", "o-1"]),
    "wrapped by a plain function": (wrapped_plain(context_by_keyword), ["apple", "o-1"]),
    "wrapped twice": (wrapped_plain(wrapped_async(context_by_keyword)), ["apple", "o-1"]),
    "wrapped, and the await forgotten": (forgets_await(context_first), ["apple", "o-1"]),
    "wrapped by less": (injecting(with_database), ["apple", "o-1"]),
    "wrapped partial": (wrapped_plain(functools.partial(with_database, "db", table="t")), ["apple", "o-1"]),
}  # fmt: skip
"""Name, the handler, and what it returns for ``{"product": "apple"}``."""


async def too_many(order: Order, more: int) -> None: ...


async def unknown_name(order: Orders) -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def hidden_name(order: Hidden) -> None: ...


async def words(order: "what is wanted") -> None: ...  # type: ignore[valid-type]  # noqa: F821, UP037


async def open_places(*args: Any) -> None: ...


async def open_keywords(order: Order, **more: Any) -> None: ...


async def default_in_the_way(order: str = "none") -> None: ...


async def generator(order: Order) -> Any:
    yield order


def plain_generator(order: Order) -> Any:
    yield order


class Unknown:
    """No codec makes one."""


class Sized(Protocol):
    size: int


async def plain_class(order: Unknown) -> None: ...


async def list_of_plain_class(orders: list[Unknown]) -> None: ...


async def protocol(order: Sized) -> None: ...


async def function_as_input(order: Callable[[], None]) -> None: ...


async def number_as_annotation(order: 5) -> None: ...  # type: ignore[valid-type]


REFUSED: dict[str, tuple[Any, str]] = {
    "too many": (too_many, "takes 2 values"),
    "unknown name": (unknown_name, "'Orders' of 'order' cannot be resolved"),
    "name under TYPE_CHECKING": (hidden_name, "not only under TYPE_CHECKING"),
    "words": (words, "cannot be resolved"),
    "*args": (open_places, r"cannot be seen from '\*args"),
    "**more": (open_keywords, r"cannot be seen from '\*\*more"),
    "wrapped without functools.wraps": (says_nothing(plain), "functools.wraps"),
    "wrapper that takes less": (says_too_much(context_by_keyword), "does not take what its signature says"),
    "default in the way": (default_in_the_way, "would be given the step's input, and has a default"),
    "async generator": (generator, "generator"),
    "generator": (plain_generator, "generator"),
    "wrapped generator": (contextlib.contextmanager(plain_generator), "generator"),
    "class": (Order, "it is a class"),
    "unbound method": (Methods.bound, "'self'"),
    "class method object": (Methods.__dict__["of_class"], "bound"),
    "none": (None, "cannot be called"),
    "builtin without signature": (iter, "cannot be read"),
    "open builtin": (print, "cannot be seen"),
    "plain class": (plain_class, "annotated Unknown, which no codec can read"),
    "list of a plain class": (list_of_plain_class, "Unknown"),
    "protocol": (protocol, "is a Protocol"),
    "function as input": (function_as_input, "as a function"),
    "number as annotation": (number_as_annotation, "no type"),
}
"""Name, what is no handler, and words of why."""
