"""Digests of content: equal values, equal digests, whatever the order of a mapping's keys and on every version.

The encoding names its fields and leaves out empty ones, so that neither reordering a class nor giving it another
(empty by default) field changes the digest of what is already stored. Unlike ``codec`` it is only ever written.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any

import msgpack

from swit_saga_server.core.definition import Definition


def digest(value: Any) -> str:
    """SHA-256, in hex, of any value made of core dataclasses, mappings, sequences, sets and scalars.

    As in JSON, a tuple is a list and 1.0 is 1, but true is not 1 and a text is not bytes.
    """
    return hashlib.sha256(msgpack.packb(_canonical(value))).hexdigest()


def definition_digest(definition: Definition) -> str:
    """What identifies a definition's content; two with the same digest are the same definition."""
    return digest(definition)


def _canonical(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if (named := _named(kind)) is not None:  # type: ignore[arg-type] # classes are hashable
        return {f.name: _canonical(v) for f in named if (v := getattr(value, f.name)) or not _is_left_out(v, f)}
    if isinstance(value, Mapping):
        return {str(k): _canonical(value[k]) for k in sorted(value)}
    if isinstance(value, set | frozenset):
        return sorted((_canonical(v) for v in value), key=repr)
    if isinstance(value, tuple | list):
        return [_canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


_PLAIN = frozenset({str, bytes, int, bool, type(None)})


@cache
def _named(kind: Any) -> "list[Field[Any]] | None":
    """The fields of a dataclass by name; None if it is none."""
    return sorted(fields(kind), key=lambda f: f.name) if is_dataclass(kind) else None


def _is_left_out(value: Any, field: "Field[Any]") -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return not value and type(value) is type(default) and value == default
