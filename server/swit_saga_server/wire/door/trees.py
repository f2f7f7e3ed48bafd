"""The rule on JSON-like values: what is taken can be written as JSON, kept, and read again by everyone."""

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

from swit_saga_server.core import limits
from swit_saga_server.wire.basic import mapping
from swit_saga_server.wire.door.rules import Fault, Rule

GROWTH = 6
"""How many times larger JSON may be than protobuf, at most: a control character is written with six."""


class _Room:
    """How many more values there may be: what has too many is not walked to its end."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = limits.MAX_TREE_VALUES

    def has(self, number: int) -> bool:
        self.left -= number
        return self.left >= 0


def _tree(values: Any) -> Iterator[Fault]:
    room = _Room()
    wrong = [*islice(_struct(values, "", 1, room), limits.MAX_FAULTS)]
    if room.left < 0:
        yield Fault("", f"has more than {limits.MAX_TREE_VALUES} values; at most {limits.MAX_TREE_BYTES} bytes as JSON")
        return
    yield from (Fault(f"[{path}]", what) for path, what in wrong)
    if not wrong and values.ByteSize() * GROWTH > limits.MAX_TREE_BYTES:
        text = json.dumps(mapping(values), ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
        if size > limits.MAX_TREE_BYTES:
            yield Fault("", f"has {size} bytes as JSON; at most {limits.MAX_TREE_BYTES}")


def _struct(values: Any, path: str, depth: int, room: _Room) -> Iterator[tuple[str, str]]:
    if depth > limits.MAX_TREE_DEPTH:
        yield path, f"lies deeper than {limits.MAX_TREE_DEPTH} mappings and lists"
        return
    fields = values.fields
    if room.has(len(fields)):
        for key, value in fields.items():
            yield from _value(value, f"{path}.{key}" if path else key, depth, room)


def _value(value: Any, path: str, depth: int, room: _Room) -> Iterator[tuple[str, str]]:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        if not math.isfinite(value.number_value):
            yield path, f"is {value.number_value:g}; must be a finite number"
    elif kind == "struct_value":
        yield from _struct(value.struct_value, path, depth + 1, room)
    elif kind == "list_value":
        if depth >= limits.MAX_TREE_DEPTH:
            yield path, f"lies deeper than {limits.MAX_TREE_DEPTH} mappings and lists"
            return
        items = value.list_value.values
        if room.has(len(items)):
            for i, item in enumerate(items):
                yield from _value(item, f"{path}[{i}]", depth + 1, room)


def _scalars(values: Any) -> Iterator[Fault]:
    if len(values.fields) > limits.MAX_FILTER_VALUES:
        yield Fault("", f"has {len(values.fields)} keys; at most {limits.MAX_FILTER_VALUES}")
        return
    for key, value in values.fields.items():
        if value.WhichOneof("kind") not in ("string_value", "number_value", "bool_value"):
            yield Fault(f"[{key}]", "must be a string, a number or a boolean")
    yield from _tree(values)


_BOUND = f"finite numbers, at most {limits.MAX_TREE_DEPTH} deep, at most {limits.MAX_TREE_BYTES >> 10} KiB as JSON"
TREE = Rule(_BOUND, _tree)
SCALARS = Rule(f"at most {limits.MAX_FILTER_VALUES} strings, numbers and booleans; {_BOUND}", _scalars)
