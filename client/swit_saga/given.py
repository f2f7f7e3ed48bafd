"""What a program gives, looked at where it is given: by type, and naming the argument. Bounds are the coordinator's."""

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any, SupportsIndex

UINT32, UINT64 = 2**32 - 1, 2**64 - 1
"""The most that the contract's fields have room for."""
MAX_SHOWN = 2**64
"""Numbers beyond may have thousands of digits."""
_KEY = re.compile(r"[0-9a-z_.-]+")


def article(name: str) -> str:
    """``an Order``, ``a Receipt``."""
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def given_text(value: Any, name: str) -> str:
    """Text, empty or not.

    Raises:
        TypeError: It is something else.
        ValueError: It is no Unicode text.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}: {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {value!r:.80} is no Unicode text: {error.reason}") from error
    return value


def given_count(value: Any, name: str, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number, ``least`` to ``most``.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is not in between.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}: {value!r:.80}")
    number = index(value)
    if number < least:
        raise ValueError(f"{name} is {number if number > -MAX_SHOWN else 'far less'}; it must be at least {least}")
    if number > most:
        raise ValueError(f"{name} is {number if number < MAX_SHOWN else 'far more'}; it must be at most {most}")
    return number


def given_list(value: Any, name: str, what: str) -> Sequence[Any]:
    """A list or tuple, or the like, of ``what``.

    Raises:
        TypeError: It is something else, such as a single text.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of {what}, not {type(value).__name__}: {value!r:.80}")
    return value


def several(values: Iterable[str], name: str) -> Iterable[str]:
    """Texts, of which one alone would be taken apart into its characters.

    Raises:
        TypeError: It is one alone, or nothing that can be gone through.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of texts, not {type(values).__name__}; write {name}=[{values!r:.80}]")
    return values


def given(value: Any, name: str, kind: type, how: str = "") -> Any:
    """A value of a class.

    Args:
        value: As it was given.
        name: The argument.
        kind: The class.
        how: What to write instead, for the message.

    Raises:
        TypeError: It is of another class.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {article(kind.__name__)}, not {type(value).__name__}{how and f'; {how}'}")
    return value


def given_headers(values: Any) -> Mapping[str, str]:
    """What is sent along with every call, as gRPC takes it.

    Raises:
        TypeError: It is no mapping of text to text.
        ValueError: A key or a value cannot be sent. The message has no value in it: it may be a secret.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"metadata must be a mapping of text to text, not {type(values).__name__}")
    for key, value in values.items():
        if not isinstance(key, str):
            raise TypeError(f"metadata: the key {key!r:.80} must be text, not {type(key).__name__}")
        wanted = bytes if key.endswith("-bin") else str
        if not isinstance(value, wanted):
            kind = "bytes" if wanted is bytes else "text"
            raise TypeError(f"metadata[{key}] must be {kind}, not {type(value).__name__}")
        if not _KEY.fullmatch(key):
            hint = f"; write {key.lower()!r}" if _KEY.fullmatch(key.lower()) else ""
            raise ValueError(f"metadata: the key {key!r:.80} may have a to z, 0 to 9, '_', '-' and '.' only{hint}")
        if key.startswith("grpc-"):
            raise ValueError(f"metadata: the key {key!r:.80} is gRPC's own")
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            raise ValueError(f"metadata[{key}] may have printable ASCII only")
    return values
