"""What a type annotation asks for: its alternatives, its name, the fields of a class and their types."""

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from swit_saga.errors import CodecError

NOTHING = type(None)


class Unclear(CodecError):
    """It can be read, in more than one way, and nothing says which of them is meant."""


R = TypeVar("R")


def kept(work: Callable[[Any], R]) -> Callable[[Any], R]:
    """``work``, done once for a kind; anew for one that cannot be hashed, such as an annotation with a list."""
    cached = functools.lru_cache(maxsize=1024)(work)

    @functools.wraps(work)
    def call(kind: Any) -> R:
        try:
            hash(kind)
        except TypeError:
            return work(kind)
        return cached(kind)

    return call


def stripped(kind: Any) -> Any:
    """A kind without what only names or annotates it: ``NewType``, ``Annotated``, an alias, a type variable's bound."""
    while True:
        if get_origin(kind) is Annotated:
            kind = kind.__origin__
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        elif isinstance(kind, TypeVar):
            kind = Union[kind.__constraints__] if kind.__constraints__ else kind.__bound__ or Any  # noqa: UP007
        else:
            return NOTHING if kind is None else kind


@kept
def arms(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a union, flat; of anything else, itself."""
    kind = stripped(kind)
    if get_origin(kind) not in (Union, types.UnionType):
        return (kind,)
    return tuple(arm for argument in get_args(kind) for arm in arms(argument))


def values_of(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a kind but None: ``(Order,)`` for ``Order | None``."""
    return tuple(arm for arm in arms(kind) if arm is not NOTHING)


def is_free(kind: Any) -> bool:
    """Anything will do."""
    return kind is Any or kind is object


def admits_nothing(kind: Any) -> bool:
    """Whether None is one; ``kind`` None asks for nothing in particular."""
    return kind is None or any(
        arm is NOTHING or is_free(arm) or (get_origin(arm) is Literal and None in get_args(arm)) for arm in arms(kind)
    )


def type_name(kind: Any) -> str:
    """For messages."""
    return getattr(kind, "__name__", str(kind)) if isinstance(kind, type) and not get_args(kind) else str(kind)


def is_record(kind: Any) -> bool:
    """Whether it is a dataclass."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def is_named_tuple(kind: Any) -> bool:
    """Whether it is a ``NamedTuple``."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_model(kind: Any) -> bool:
    """Whether it is a pydantic model, or looks like one."""
    return isinstance(kind, type) and callable(getattr(kind, "model_validate", None))


def has_fields(kind: Any) -> bool:
    """Whether ``fields_of`` tells its parts."""
    return is_record(kind) or is_named_tuple(kind) or is_typeddict(kind)


def fields_of(kind: Any) -> dict[str, Any]:
    """Annotations by name of a dataclass, ``NamedTuple`` or ``TypedDict``; of a generic one, filled in.

    Raises:
        CodecError: One of them cannot be resolved.
    """
    origin = get_origin(kind) or kind
    found: dict[str, Any] = {}
    given = _filled_in(origin, get_args(kind))
    for owner in reversed(getattr(origin, "__mro__", (origin,))):
        own = inspect.get_annotations(owner)
        if own:
            hints = _hints(owner)
            found.update({name: _substituted(hints[name], given.get(owner, {})) for name in own if name in hints})
    return found


@kept
def parts_mentioned(kind: Any) -> frozenset[Any]:
    """The classes an annotation names, those within its fields not included."""
    found: set[Any] = set()
    for arm in arms(kind):
        found.add(get_origin(arm) or arm)
        if get_origin(arm) is not Literal:
            found.update(*(parts_mentioned(argument) for argument in get_args(arm)))
    return frozenset(found)


@kept
def needs_exact_numbers(kind: Any) -> bool:
    """Whether somewhere in it is something to which ``1.1`` is more than the nearest double."""
    seen: set[Any] = set()
    left = [kind]
    while left:
        for found in parts_mentioned(left.pop()) - seen:
            seen.add(found)
            if found is Decimal or is_model(found) or (isinstance(found, type) and issubclass(found, Decimal)):
                return True
            if has_fields(found):
                left.extend(fields_of(found).values())
    return False


class _Owner(NamedTuple):
    kind: Any
    arguments: tuple[Any, ...]


def _filled_in(kind: Any, arguments: tuple[Any, ...]) -> dict[Any, dict[Any, Any]]:
    """For each class that a generic one is made of, what its type variables stand for."""
    found: dict[Any, dict[Any, Any]] = {}
    left = [_Owner(kind, arguments)]
    while left:
        owner = left.pop()
        found[owner.kind] = dict(zip(getattr(owner.kind, "__parameters__", ()), owner.arguments, strict=False))
        for base in getattr(owner.kind, "__orig_bases__", ()):
            if isinstance(origin := get_origin(base), type):
                given = tuple(_substituted(argument, found[owner.kind]) for argument in get_args(base))
                left.append(_Owner(origin, given))
    return found


def _substituted(kind: Any, given: dict[Any, Any]) -> Any:
    if not given:
        return kind
    if isinstance(kind, TypeVar):
        return given.get(kind, kind)
    wanted = getattr(kind, "__parameters__", ())
    return kind[tuple(given.get(parameter, parameter) for parameter in wanted)] if wanted and get_args(kind) else kind


def _hints(owner: Any) -> dict[str, Any]:
    try:
        return get_type_hints(owner, localns={owner.__name__: owner})
    except Exception as unresolved:
        raise CodecError(f"the annotations of {owner.__qualname__} cannot be resolved: {unresolved}") from unresolved
