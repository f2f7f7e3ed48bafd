"""One call to the coordinator: the deadline, the retries of what may be made again, and typed exceptions."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from swit_saga.errors import DOMAIN, CallError, TimedOutError, UnavailableError, from_rpc_error

R = TypeVar("R")
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 2.0
MAX_CUTS = 8
"""A call or stream that is cut this often, with nothing received in between, is not taken up again. About 10 s."""
_CUT = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
_CUT_WORDS = re.compile(r"RST_STREAM|GOAWAY|stream removed|ENHANCE_YOUR_CALM|too_many_pings", re.IGNORECASE)


async def call(
    method: Callable[..., Awaitable[R]],
    request: Any,
    *,
    timeout_s: float,
    metadata: tuple[tuple[str, str], ...] = (),
) -> R:
    """Make a call that is safe to repeat, until it is answered or ``timeout_s`` is over.

    Every call of the coordinator's API is: start and register by their content, cancel and the reads by nature. So what
    the network cuts is made again, see ``is_cut``, too.

    Raises:
        CallError: The server's definite answer, or the last failure when the time is up.
    """
    until = time.monotonic() + timeout_s
    wait_s, cuts = FIRST_WAIT_S, 0
    while True:
        left_s = max(until - time.monotonic(), 0.001)
        try:
            return await method(request, timeout=left_s, metadata=metadata or None)
        except grpc.aio.AioRpcError as failed:
            error: CallError = from_rpc_error(failed)
            cause: Exception = failed
        except CallError as refused:  # From a stream, a blocking channel, a coordinator in this process.
            error = cause = refused
        pause_s = max(wait_s * (0.5 + random.random() / 2), error.retry_after_s or 0.0)
        # What a server cancels it has not taken up: it stops, or more calls came than it could.
        is_cancelled = error.code is grpc.StatusCode.CANCELLED and error.domain != DOMAIN
        is_refused = is_cancelled or isinstance(error, UnavailableError)
        cuts += is_cut(error)
        is_definite = not is_refused and (not is_cut(error) or cuts == MAX_CUTS)
        if is_definite or time.monotonic() + pause_s >= until:
            raise error from (cause if cause is not error else None)
        await asyncio.sleep(pause_s)
        wait_s = min(2 * wait_s, MAX_WAIT_S)


def is_passing(error: CallError) -> bool:
    """Whether a stream that broke with this may be taken up again, for as long as it takes."""
    # A server that stops cancels its streams; our own cancellation never comes as a status.
    cancelled = error.code is grpc.StatusCode.CANCELLED
    return cancelled or isinstance(error, UnavailableError | TimedOutError) or error.reason == "SLOW_WATCHER"


def is_cut(error: CallError) -> bool:
    """Whether the way to the coordinator failed, in words that a coordinator does not use.

    Proxies say INTERNAL ("RST_STREAM with error code 2") or UNKNOWN ("Stream removed") of a call they cut. A refusal
    of the coordinator carries its reason, whatever its status. But what looks like a cut may be here to stay, so this
    is not tried for ever.
    """
    return error.domain != DOMAIN and (error.code in _CUT or _CUT_WORDS.search(str(error)) is not None)
