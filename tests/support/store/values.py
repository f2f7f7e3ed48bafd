"""Any value of any dataclass of the core, for Hypothesis, by its type hints."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from swit_saga_server.core.errors import SagaError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def any_of(kind: Any, depth: int = 2) -> st.SearchStrategy[Any]:
    """Values of a type; of a class that contains itself, ``depth`` deep."""
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*(any_of(a, depth) for a in get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(any_of(get_args(kind)[0], depth), max_size=3).map(tuple)
    if get_origin(kind) in (dict, Mapping) or kind is Mapping:
        return st.dictionaries(st.text(max_size=4), any_of(get_args(kind)[1], depth), max_size=2)
    kind = getattr(kind, "__supertype__", kind)  # A NewType.
    if kind is Any:
        return JSON
    if kind is NoneType:
        return st.none()
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        if kind is SagaError and depth == 0:
            return st.builds(SagaError, code=st.text(), message=st.text(), type=any_of(get_type_hints(kind)["type"]))
        hints = get_type_hints(kind)
        deeper = depth - (kind is SagaError)
        return st.builds(kind, **{f.name: any_of(hints[f.name], deeper) for f in fields(kind)})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=6),
        bytes: st.binary(max_size=6),
        int: st.integers(0, 2**60),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
    }
    return simple[kind]
