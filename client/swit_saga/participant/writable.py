"""Anything at all as what an error can carry: text, and JSON-like values, both within bounds.

What a handler says must arrive whatever it is made of: nothing here raises. What has no place in protobuf (a number
that is none, a date, a set, a model) is written as text or as what it is made of; what is too large or too deep is cut.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar

from swit_saga.typed.writers import parts

EXACT = 2**53
"""protobuf's Struct has doubles only: whole numbers up to here are exact."""
MARK = "..."
R = TypeVar("R")
_LISTS = (list, tuple, set, frozenset)


class Writable:
    """Makes text and trees, and keeps count.

    Attributes:
        omitted: Bytes cut so far; what was not even looked at counts as one.
    """

    def __init__(self) -> None:
        self.omitted = 0

    def text(self, value: object, limit: int) -> str:
        """``value`` as text of at most ``limit`` bytes in UTF-8; lone surrogates are spelt out."""
        made = _as_text(value, limit)
        data = made[:limit].encode(errors="backslashreplace")
        if len(made) <= limit and len(data) <= limit:
            return data.decode()
        kept = data[: limit - len(MARK)].decode(errors="ignore")
        self.omitted += max(len(made) - len(kept), 1)
        return kept + MARK

    def mapping(self, value: object, limit: int, depth: int) -> dict[str, Any]:
        """``value`` as a JSON-like mapping of at most ``limit`` bytes as JSON, mappings and lists down to ``depth``.

        What is no mapping is the only value of one.
        """
        tree = _Tree(self, limit, depth)
        made = tree.of(value if _is_a(value, Mapping) else {"value": value})
        return made if isinstance(made, dict) else {"value": made}


def attribute(owner: object, name: str) -> object:
    """An attribute of anything; None if it cannot be had."""
    return _guarded(lambda: getattr(owner, name), lambda: None)


class _Tree:
    def __init__(self, writable: Writable, limit: int, depth: int) -> None:
        self._writable = writable
        self._left = limit
        self._depth = depth
        self._within: set[int] = set()

    def of(self, value: object) -> Any:
        return _guarded(lambda: self._made(value), lambda: self._leaf(_nameless(value)))

    def _made(self, value: object) -> Any:
        if value is None or value is True or value is False:
            return self._spent(value)
        if _is_a(value, str) and not _is_a(value, Enum):
            return self._leaf(value)
        if _is_a(value, int) and not _is_a(value, Enum):
            whole = int.__add__(value, 0)  # type: ignore[operator]
            return self._spent(float(whole)) if abs(whole) <= EXACT else self._leaf(whole)
        if _is_a(value, float) and not _is_a(value, Enum):
            number = float.__add__(value, 0.0)  # type: ignore[operator]
            return self._spent(number) if math.isfinite(number) else self._leaf(number)
        items = parts(value)
        if items is value and not _is_a(value, (Mapping, *_LISTS)):
            return self._leaf(value)
        if len(self._within) >= self._depth or id(value) in self._within:
            self._writable.omitted += 1
            return self._leaf(MARK)
        self._within.add(id(value))
        try:
            if _is_a(items, Mapping):
                return self._mapping(items)
            return self._list(items) if _is_a(items, _LISTS) else self.of(items)
        finally:
            self._within.discard(id(value))

    def _mapping(self, items: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        self._left -= 4
        for key in self._while_there_is_room(items):
            name = self._leaf(key)
            made[name] = self.of(items[key])
        return made

    def _list(self, items: Any) -> list[Any]:
        self._left -= 4
        return [self.of(item) for item in self._while_there_is_room(items)]

    def _while_there_is_room(self, items: Iterable[Any]) -> Iterator[Any]:
        """The rest is cut, uncounted: it may be without end."""
        for item in items:
            if self._left <= 4 * len(MARK):
                self._writable.omitted += 1
                return
            yield item

    def _leaf(self, value: object) -> str:
        room = max(self._left - 4, 2 * len(MARK))
        text = self._writable.text(value, room)
        while (size := _size(text)) > room:  # Control characters take six bytes each.
            text = self._writable.text(text, max(len(text) * room // size - 8, len(MARK)))
        self._left -= size + 4
        return text

    def _spent(self, value: Any) -> Any:
        self._left -= _size(value) + 2
        return value


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _as_text(value: object, limit: int) -> str:
    return _guarded(lambda: _text(value, limit), lambda: _nameless(value))


def _text(value: object, limit: int) -> str:
    if _is_a(value, Enum):
        return _as_text(value.value, limit)  # type: ignore[attr-defined]
    if _is_a(value, str):
        return str.__str__(value)
    if _is_a(value, (bytes, bytearray)):
        return repr(value[:limit])  # type: ignore[index]
    if _is_a(value, int):
        return _digits(value)  # type: ignore[arg-type]
    if _is_a(value, (Mapping, *_LISTS)):  # str() of one that holds itself many times over would never end.
        return json.dumps(_Tree(Writable(), limit, 8).of(value), ensure_ascii=False)
    return str.__str__(str(value))


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python writes no more than some thousand digits.
        return hex(value)


def _is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    """By its class alone: what an object says of its class may be untrue, or raise."""
    return issubclass(type(value), kind)


def _nameless(value: object) -> str:
    return _guarded(lambda: f"<{type(value).__name__}, which has no text>", lambda: "<an object that has no text>")


def _guarded(work: Callable[[], R], otherwise: Callable[[], R]) -> R:
    try:
        return work()
    except BaseException:  # A value's own methods may raise anything, an exit too; the answer goes out.
        return otherwise()
