"""One call to the coordinator: the deadline, the retries of what may be made again, and typed exceptions."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from swit_saga.errors import CallError, TimedOutError, UnavailableError, from_rpc_error

R = TypeVar("R")
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 2.0


async def call(
    method: Callable[..., Awaitable[R]],
    request: Any,
    *,
    timeout_s: float,
    metadata: tuple[tuple[str, str], ...] = (),
) -> R:
    """Make a call that is safe to repeat, until it is answered or ``timeout_s`` is over.

    Every call of the coordinator's API is: start and register by their content, cancel and the reads by nature.

    Raises:
        CallError: The server's definite answer, or the last failure when the time is up.
    """
    until = time.monotonic() + timeout_s
    wait_s = FIRST_WAIT_S
    while True:
        left_s = max(until - time.monotonic(), 0.001)
        try:
            return await method(request, timeout=left_s, metadata=metadata or None)
        except grpc.aio.AioRpcError as failed:
            error: CallError = from_rpc_error(failed)
            cause: Exception = failed
        except UnavailableError as refused:  # From a coordinator in this process.
            error = cause = refused
        pause_s = max(wait_s * (0.5 + random.random() / 2), error.retry_after_s or 0.0)
        # What a server cancels it has not taken up: it stops, or more calls came than it could.
        is_refused = isinstance(error, UnavailableError) or error.code is grpc.StatusCode.CANCELLED
        if not is_refused or time.monotonic() + pause_s >= until:
            raise error from (cause if cause is not error else None)
        await asyncio.sleep(pause_s)
        wait_s = min(2 * wait_s, MAX_WAIT_S)


def is_passing(error: CallError) -> bool:
    """Whether a stream that broke with this may be taken up again."""
    # A server that stops cancels its streams; our own cancellation never comes as a status.
    cancelled = error.code is grpc.StatusCode.CANCELLED
    return cancelled or isinstance(error, UnavailableError | TimedOutError) or error.reason == "SLOW_WATCHER"
