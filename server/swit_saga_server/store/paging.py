"""Opaque page tokens: where a listing stopped, tied to what was listed so that a token cannot be used for another."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgpack

from swit_saga_server.core.errors import InvalidRequest, Violation
from swit_saga_server.store.digest import digest


def make_tokens(listing: Any, positions: Sequence[list[Any]]) -> tuple[str, ...]:
    """Tokens for going on after each of ``positions``.

    Args:
        listing: What is listed: anything made of core dataclasses.
        positions: The items' sort keys.
    """
    mark = digest(listing)[:12]
    return tuple(base64.urlsafe_b64encode(msgpack.packb([mark, p])).decode().rstrip("=") for p in positions)


def read_token(listing: Any, token: str, *shape: type) -> list[Any] | None:
    """The position in ``token``; None for the first page.

    Args:
        listing: What is listed, as when the token was made.
        token: From the client: anything may be in it.
        shape: The types of the position's items.

    Raises:
        InvalidRequest: It is not a token of this listing.
    """
    if not token:
        return None
    try:
        mark, position = msgpack.unpackb(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, binascii.Error, msgpack.UnpackException) as unreadable:
        raise _bad_token() from unreadable
    if mark != digest(listing)[:12] or not isinstance(position, list) or not _fits(position, shape):
        raise _bad_token()
    return position


def _fits(position: list[Any], shape: tuple[type, ...]) -> bool:
    return [type(item) for item in position] == list(shape) and all(
        abs(item) < 2**63 for item in position if isinstance(item, int)
    )


def _bad_token() -> InvalidRequest:
    return InvalidRequest((Violation("page_token", "is not one that this listing returned; start at the first page"),))
