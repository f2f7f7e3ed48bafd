"""What a handler's annotations ask of the built-in codecs: whether a value can ever be read as such."""

from collections.abc import Callable as AbstractCallable
from typing import Any, get_args, get_origin

from google.protobuf.message import Message

from swit_saga.typed.kinds import is_free, type_name, values_of
from swit_saga.typed.readers import is_readable

_COLLECTIONS = (list, set, frozenset, tuple, dict)


def why_unreadable(kind: Any) -> str | None:
    """Why the built-in codecs can never read a value as ``kind``, to follow "annotated"; None if they may.

    In doubt they may: a value that is none is found out when it comes, and rejected then.
    """
    if kind is None:
        return None
    reasons = [_why(arm) for arm in values_of(kind)]
    return reasons[0] if reasons and all(reasons) else None


def _why(kind: Any) -> str | None:
    origin = get_origin(kind) or kind
    if is_free(kind) or (isinstance(origin, type) and issubclass(origin, Message)):
        return None
    if origin in _COLLECTIONS:
        parts = get_args(kind)[1:] if origin is dict else get_args(kind)
        return next((why for part in parts if part is not Ellipsis and (why := why_unreadable(part))), None)
    if origin is AbstractCallable:
        return "as a function, which is no value that can be sent"
    if not isinstance(origin, type) and not get_origin(kind) and not callable(kind):
        return f"{kind!r}, which is no type"
    if is_readable(kind):
        return None
    what = "is a Protocol" if getattr(origin, "_is_protocol", False) else "is none of these"
    known = "a dataclass, pydantic model, protobuf message, dict, list, str, bytes, number or Payload"
    return f"{type_name(kind)}, which no codec can read: it takes {known}, and this {what}"
