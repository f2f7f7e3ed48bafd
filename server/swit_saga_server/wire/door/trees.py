"""The rule on JSON-like values: what is taken can be written as JSON, kept, and read again by everyone."""

import json
import math
from collections.abc import Iterator
from typing import Any

from swit_saga_server.core import limits
from swit_saga_server.wire.basic import mapping
from swit_saga_server.wire.door.rules import Fault, Rule

GROWTH = 6
"""How many times larger JSON may be than protobuf, at most: a control character is written with six."""


def _tree(values: Any) -> Iterator[Fault]:
    wrong = [*_struct(values, "", 1)]
    yield from (Fault(f"[{path}]", what) for path, what in wrong)
    if not wrong and values.ByteSize() * GROWTH > limits.MAX_TREE_BYTES:
        text = json.dumps(mapping(values), ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
        if size > limits.MAX_TREE_BYTES:
            yield Fault("", f"has {size} bytes as JSON; at most {limits.MAX_TREE_BYTES}")


def _struct(values: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > limits.MAX_TREE_DEPTH:
        yield path, f"lies deeper than {limits.MAX_TREE_DEPTH} mappings and lists"
        return
    for key, value in values.fields.items():
        yield from _value(value, f"{path}.{key}" if path else key, depth)


def _value(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        if not math.isfinite(value.number_value):
            yield path, f"is {value.number_value:g}; must be a finite number"
    elif kind == "struct_value":
        yield from _struct(value.struct_value, path, depth + 1)
    elif kind == "list_value":
        if depth >= limits.MAX_TREE_DEPTH:
            yield path, f"lies deeper than {limits.MAX_TREE_DEPTH} mappings and lists"
            return
        for i, item in enumerate(value.list_value.values):
            yield from _value(item, f"{path}[{i}]", depth + 1)


def _scalars(values: Any) -> Iterator[Fault]:
    for key, value in values.fields.items():
        if value.WhichOneof("kind") not in ("string_value", "number_value", "bool_value"):
            yield Fault(f"[{key}]", "must be a string, a number or a boolean")
    yield from _tree(values)


_BOUND = f"finite numbers, at most {limits.MAX_TREE_DEPTH} deep, at most {limits.MAX_TREE_BYTES >> 10} KiB as JSON"
TREE = Rule(_BOUND, _tree)
SCALARS = Rule(f"strings, numbers and booleans; {_BOUND}", _scalars)
