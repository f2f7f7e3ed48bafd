"""From a callback to somebody who awaits."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def result_into(future: "asyncio.Future[T]") -> Callable[[T | Exception], None]:
    """A callback that settles ``future``; it does nothing once whoever awaited that is gone."""

    def on_result(result: T | Exception) -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    return on_result
