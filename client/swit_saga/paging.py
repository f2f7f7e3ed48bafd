"""Lists that come page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def every(page: Callable[[str], Awaitable[tuple[Iterable[T], str]]]) -> AsyncIterator[T]:
    """All items, a page asked for when the one before is consumed.

    Args:
        page: Given a page's token, empty for the first, its items and the next token, empty after the last.
    """
    token = ""
    while True:
        items, token = await page(token)
        for item in items:
            yield item
        if not token:
            return
