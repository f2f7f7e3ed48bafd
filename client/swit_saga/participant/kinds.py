"""What a handler's annotations ask of the built-in codecs: whether a value may be missing, whether one can be read."""

import dataclasses
import types
from collections.abc import Callable as AbstractCallable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, is_typeddict
from uuid import UUID

from google.protobuf.message import Message

from swit_saga.typed import required, type_name

_JSON = (dict, list, str, int, float, bool, type(None))
_MADE = (bytes, tuple, set, frozenset, datetime, date, time, UUID, Decimal)
_NO_TYPES = (str, bytes, int, float, complex, tuple, list, dict, set)


def takes_none(kind: Any) -> bool:
    """Whether None is a value of the annotation ``kind``; no annotation takes anything."""
    if kind is None or kind is Any or kind is object or kind is type(None) or isinstance(kind, TypeVar):
        return True
    if get_origin(kind) in (Union, types.UnionType):
        return any(takes_none(one) for one in get_args(kind))
    return False


def why_unreadable(kind: Any) -> str | None:
    """Why the built-in codecs can never read a value as ``kind``, to follow "annotated"; None if they may.

    In doubt they may: a value that is none is found out when it comes, and rejected then.
    """
    kind = required(kind)
    if takes_none(kind):
        return None
    if isinstance(kind, _NO_TYPES):
        return f"{kind!r}, which is no type"
    if get_origin(kind) in (Union, types.UnionType):
        reasons = [why_unreadable(one) for one in get_args(kind)]
        return reasons[0] if all(reasons) else None
    if get_origin(kind) in (list, set, frozenset, tuple, dict):
        inner = get_args(kind)[-1:] if get_origin(kind) is dict else get_args(kind)
        return next((why for one in inner if one is not Ellipsis and (why := why_unreadable(one))), None)
    origin = get_origin(kind) or kind
    if origin is AbstractCallable:
        return "as a function, which is no value that can be sent"
    if not isinstance(origin, type) or _is_made_by_a_codec(origin):
        return None
    what = "is a Protocol" if getattr(origin, "_is_protocol", False) else "is none of these"
    known = "a dataclass, pydantic model, protobuf message, dict, list, str, bytes, number or Payload"
    return f"{type_name(kind)}, which no codec can read: it takes {known}, and this {what}"


def _is_made_by_a_codec(kind: type) -> bool:
    if kind in _MADE or dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return True
    if callable(getattr(kind, "model_validate", None)) or issubclass(kind, Enum | Message):
        return True
    if getattr(kind, "_is_protocol", False):
        return False
    return any(issubclass(one, kind) for one in _JSON)
