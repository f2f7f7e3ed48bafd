"""An event loop in a thread of its own, for programs that have none."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from swit_saga.errors import ClientClosed

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in any thread."""

    def __init__(self) -> None:
        self._submitting = threading.Lock()
        """So that nothing is handed to a loop that is about to end, and waits for ever."""
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swit-saga", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine.

        Raises:
            ClientClosed: The loop has ended, or ended meanwhile.
        """
        with self._submitting:
            if self._closed:
                work.close()
                raise ClientClosed
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError as ended:
            raise ClientClosed from ended
        except BaseException:
            future.cancel()
            raise

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
            with suppress(ClientClosed):  # Closing the client ended the stream.
                self.run(close())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End all that runs with ``ClientClosed``, then do the ``last`` thing, and end the thread.

        Safe to call twice: ``last`` is done once.
        """
        with self._submitting:
            if self._closed:
                return
            self._closed = True
            gone = asyncio.run_coroutine_threadsafe(self._let_go(last), self._loop)
        gone.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _let_go(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await last()
