"""The way to the coordinator that a command uses, and what it says while there is none."""

import asyncio
import errno
import os
import select
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from swit_saga import AsyncSagaClient
from swit_saga.channel import CHANNEL_OPTIONS
from swit_saga.connecting import why
from swit_saga.durations import format_duration
from swit_saga.errors import CallError, TimedOutError, UnavailableError
from swit_saga_server.cli.failures import Unreachable
from swit_saga_server.cli.screen import note, output_pipe, shown

FIRST_WORD_S = 0.8
"""Without a connection for this long, people are told."""
NEXT_WORD_S = 10.0
SILENT_S = 2.0
"""Without an answer for this long, people are told."""
READY = grpc.ChannelConnectivity.READY


@dataclass(frozen=True, slots=True)
class Way:
    """Where a coordinator is, and how long a command tries.

    Attributes:
        address: The coordinator's.
        timeout: How long; None is without end.
        lasting: The command waits for what happens, so that silence of the coordinator is nothing to speak of, and
            ``timeout`` counts only while there is no connection.
    """

    address: str
    timeout: timedelta | None
    lasting: bool = False


@asynccontextmanager
async def reached(way: Way) -> AsyncIterator[AsyncSagaClient]:
    """A client; while it has no connection, or no answer, standard error says so.

    Raises:
        Unreachable: There was no connection, or no answer, for too long.
    """
    tried = f"tried for {format_duration(way.timeout)}" if way.timeout else "tried"
    trouble = f"cannot reach {way.address}"

    def troubled(now: str) -> None:
        nonlocal trouble
        trouble = now

    channel = grpc.aio.insecure_channel(way.address, options=CHANNEL_OPTIONS)
    # Calls on streams of their own would be answered just as well; a single command gains nothing by sharing one.
    client = AsyncSagaClient(
        channel=channel, service="swit-saga-cli", batch_starts=False, batch_waits=False, timeout=way.timeout or "30s"
    )
    try:
        async with channel, client, asyncio.timeout(None) as limit:
            saying = asyncio.create_task(_say_how_it_is(client, channel, way, limit, troubled))
            try:
                yield client
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
    except UnavailableError as error:
        if error.reason:
            raise
        raise Unreachable(f"cannot reach {way.address}: {why(str(error))}; {tried} (--timeout)") from error
    except TimedOutError as error:
        raise Unreachable(f"{way.address} did not answer; {tried} (--timeout)") from error
    except TimeoutError as error:
        raise Unreachable(f"{trouble}; {tried} (--timeout)") from error


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its exit code; it ends early when nobody reads its output any more.

    Raises:
        BrokenPipeError: Nobody does.
    """
    return asyncio.run(_while_read(work))


async def _while_read(work: Coroutine[Any, Any, int]) -> int:
    pipe, loop, me = output_pipe(), asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    gone = False
    if pipe is None:
        return await work

    def look() -> None:
        nonlocal gone
        poll = select.poll()
        poll.register(pipe, 0)
        gone = any(event & select.POLLERR for _, event in poll.poll(0))
        loop.remove_reader(pipe)  # Whatever it was: it would be said again and again.
        if gone:
            me.cancel()

    loop.add_reader(pipe, look)  # A pipe that is written to becomes readable when its reader has gone.
    try:
        return await work
    except asyncio.CancelledError:
        if gone:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        raise
    finally:
        loop.remove_reader(pipe)


async def _say_how_it_is(
    client: AsyncSagaClient,
    channel: grpc.aio.Channel,
    way: Way,
    limit: asyncio.Timeout,
    troubled: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()
    address = shown(way.address)
    trying = f"trying for {format_duration(way.timeout)} (--timeout)" if way.timeout else "trying on (Ctrl-C ends this)"
    was_connected = False
    while True:
        lost_at = loop.time()
        if way.lasting and way.timeout is not None:
            limit.reschedule(lost_at + way.timeout.total_seconds())
        said = False
        while not await _ready(channel, NEXT_WORD_S if said else FIRST_WORD_S):
            what = f"lost the connection to {address}; reconnecting" if was_connected else f"cannot reach {address} yet"
            still = f", for {loop.time() - lost_at:.0f} s now" if said else ""
            note(f"{what}{still}; {trying}")
            said = True
        if way.lasting:
            limit.reschedule(None)
        if said:
            note(f"connected to {address}")
        was_connected = True
        if way.lasting:
            await _say_whether_it_serves(client, channel, way, limit, troubled)
            troubled(f"cannot reach {way.address}")
        elif not await _changes(channel, SILENT_S):
            note(f"{address} has not answered yet; {trying}")
        await _changes(channel, None)


async def _say_whether_it_serves(
    client: AsyncSagaClient,
    channel: grpc.aio.Channel,
    way: Way,
    limit: asyncio.Timeout,
    troubled: Callable[[str], None],
) -> None:
    """As long as it is connected: a coordinator may be there and not serve, for want of its store."""
    loop = asyncio.get_running_loop()
    since: float | None = None
    while not await _changes(channel, SILENT_S if since is None else NEXT_WORD_S):
        try:
            await client.health()
        except (UnavailableError, TimedOutError) as away:
            if channel.get_state() is not READY:
                return
            if since is None:
                since = loop.time()
                if way.timeout is not None:
                    limit.reschedule(since + way.timeout.total_seconds())
            troubled(f"{way.address} does not serve: {away}")
            note(f"{shown(f'{way.address} does not serve: {away}')}; trying on")
        except CallError:
            return  # It does not say.
        else:
            if since is not None:
                note(f"{shown(way.address)} serves again")
                limit.reschedule(None)
            since = None


async def _ready(channel: grpc.aio.Channel, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            while (state := channel.get_state(try_to_connect=True)) is not READY:
                await channel.wait_for_state_change(state)
    except TimeoutError:
        return False
    return True


async def _changes(channel: grpc.aio.Channel, within_s: float | None) -> bool:
    """Whether a connection ends within this time."""
    try:
        async with asyncio.timeout(within_s):
            while channel.get_state() is READY:
                await channel.wait_for_state_change(READY)
    except TimeoutError:
        return False
    return True
