"""An event loop in a thread of its own, for programs that have none."""

import asyncio
import atexit
import concurrent.futures
import functools
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from swit_saga.errors import ClientClosed, ForkedError
from swit_saga.forks import Home

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in any thread, from the first one on: it belongs to the process that brings it."""

    def __init__(self) -> None:
        self._submitting = threading.RLock()
        """So that nothing is handed to a loop that is about to end, and waits for ever."""
        self._closed = False
        self._home = Home()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._at_exit = functools.partial(_end, weakref.ref(self))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine.

        Raises:
            ClientClosed: The loop has ended, or ended meanwhile.
            ForkedError: The loop is another process's.
            RuntimeError: The caller is the loop's own thread, which cannot wait for itself.
        """
        try:
            future = self._submit(work)
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError as ended:
            raise ClientClosed from ended
        except BaseException:
            future.cancel()
            raise

    def _submit(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        # Before the lock, which a thread may hold that stayed behind.
        self._home.enter("this client")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a codec or a callback of this client calls the client, whose thread waits for it")
        with self._submitting:
            if self._closed:
                raise ClientClosed
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="swit-saga", daemon=True)
                self._thread.start()
                atexit.register(self._at_exit)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The same items, one at a time; left early, ``items`` is closed.

        Raises:
            ClientClosed: As ``run``.
        """

        async def following() -> tuple[bool, Any]:
            try:
                return True, await anext(items)
            except StopAsyncIteration:
                return False, None

        async def close() -> None:
            await items.aclose()  # type: ignore[attr-defined]

        try:
            while True:
                more, item = self.run(following())
                if not more:
                    return
                yield item
        finally:
            with suppress(ClientClosed, ForkedError):  # Closing the client ended the stream; a fork left it behind.
                self.run(close())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End all that runs with ``ClientClosed``, then do the ``last`` thing, and end the thread.

        Safe to call twice: ``last`` is done once. Where the loop is another process's, nothing is done.
        """
        if self._home.is_elsewhere:
            self._closed = True
            return
        with self._submitting:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self._at_exit)
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            gone = asyncio.run_coroutine_threadsafe(self._let_go(last), loop)
        gone.result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def end(self) -> None:
        """Take nothing more. What waits already is left as it is."""
        self._closed = True

    async def _let_go(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await last()


def _end(loop_thread: "weakref.ref[LoopThread]") -> None:
    """The program ends, and its threads with it: an iterator that is left over must not wait for the loop's."""
    alive = loop_thread()
    if alive is not None:
        alive.end()
