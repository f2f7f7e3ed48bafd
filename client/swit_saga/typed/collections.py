"""Lists, tuples, sets and mappings of annotated items, read from JSON's lists and objects."""

import collections.abc
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from swit_saga.errors import CodecError
from swit_saga.given import article
from swit_saga.typed.kinds import is_free, type_name
from swit_saga.typed.numbers import without_exact

Reader: TypeAlias = Callable[[Any], Any]

_LISTS: frozenset[Any] = frozenset(
    {
        list,
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.Reversible,
    }
)
_SETS: Mapping[Any, Any] = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_MAPPINGS: frozenset[Any] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})


def collection_reader(
    kind: Any, origin: Any, arguments: tuple[Any, ...], reader: Callable[[Any], Reader]
) -> Reader | None:
    """What reads a collection; None if ``kind`` is none. ``reader`` makes those of the items."""
    if origin is tuple and kind is not tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return _fixed(kind, [reader(argument) for argument in arguments])
    if origin in _LISTS or origin is tuple:
        return _items(kind, tuple if origin is tuple else list, _first(arguments, reader))
    if origin in _SETS:
        return _distinct(kind, _SETS[origin], _first(arguments, reader))
    if origin in _MAPPINGS:
        key, item = arguments or (Any, Any)
        return _mapping(kind, key, item, reader)
    return None


def _first(arguments: tuple[Any, ...], reader: Callable[[Any], Reader]) -> Reader:
    return reader(arguments[0]) if arguments else without_exact


def _of(kind: Any, wanted: type, value: Any) -> Any:
    if type(value) is wanted:
        return value
    raise CodecError(f"expected {type_name(kind)}, got {type(value).__name__}")


def _items(kind: Any, made: Callable[[Any], Any], item: Reader) -> Reader:
    return lambda value: made([item(each) for each in _of(kind, list, value)])


def _fixed(kind: Any, items: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        given = _of(kind, list, value)
        if len(given) != len(items):
            raise CodecError(f"expected {len(items)} items, got {len(given)}")
        return tuple(item(each) for item, each in zip(items, given, strict=True))

    return read


def _distinct(kind: Any, made: Callable[[Any], Any], item: Reader) -> Reader:
    def read(value: Any) -> Any:
        items = [item(each) for each in _of(kind, list, value)]
        try:
            found = made(items)
        except TypeError as unhashable:
            raise CodecError(f"not {article(type_name(kind))}: {unhashable}") from unhashable
        if len(found) != len(items):
            raise CodecError(f"not {article(type_name(kind))}: an item comes twice")
        return found

    return read


def _mapping(kind: Any, key_kind: Any, item_kind: Any, reader: Callable[[Any], Reader]) -> Reader:
    item = reader(item_kind)
    key = None if key_kind is str or is_free(key_kind) else reader(key_kind)

    def read(value: Any) -> Any:
        given = _of(kind, dict, value)
        if key is None:
            return {name: item(each) for name, each in given.items()}
        found = {key(name): item(each) for name, each in given.items()}
        if len(found) != len(given):
            raise CodecError(f"not {article(type_name(kind))}: a key comes twice")
        return found

    return read
