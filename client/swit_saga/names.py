"""Names of enum values as programs read them: ``running`` for SAGA_STATE_RUNNING.

A number that this client does not know reads as ``unknown``: a newer server breaks no older client.
"""

from collections.abc import Mapping
from functools import cache

from google.protobuf.descriptor import EnumDescriptor

UNKNOWN = "unknown"


def name_of(kind: EnumDescriptor, number: int) -> str:
    """The value's name in lower case without the enum's own; ``unspecified`` for 0, ``unknown`` for an unknown one."""
    return _names(kind).get(number, UNKNOWN)


def _prefix(kind: EnumDescriptor) -> str:
    return kind.values[0].name.removesuffix("UNSPECIFIED")


@cache
def _names(kind: EnumDescriptor) -> Mapping[int, str]:
    prefix = _prefix(kind)
    return {value.number: value.name.removeprefix(prefix).lower() for value in kind.values}
