"""``SagaClient``: the same client for programs without asyncio, an ``AsyncSagaClient`` on a loop of its own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from swit_saga.blocking import BlockingStubs
from swit_saga.client import CHANNEL_OPTIONS, AsyncSagaClient
from swit_saga.definition import Saga
from swit_saga.durations import DurationLike
from swit_saga.errors import ClientClosed
from swit_saga.v1 import definition_pb2, metrics_pb2
from swit_saga.views import EventView, SagaView

T = TypeVar("T")


class SagaClient:
    """A connection to a coordinator. Use it as a context manager, or ``close`` it. Safe to use from many threads."""

    def __init__(self, target: str, *, credentials: grpc.ChannelCredentials | None = None, **options: Any) -> None:
        """See ``AsyncSagaClient`` for the options; a ``channel`` or ``stubs`` cannot be given.

        Raises:
            ValueError: They are, or an option is not valid.
        """
        if not_here := options.keys() & {"channel", "stubs"}:
            raise ValueError(
                f"{', '.join(sorted(not_here))} cannot be given to the synchronous client; give the target"
            )
        self._submitting = threading.Lock()
        """So that nothing is handed to a loop that is about to end, and waits for ever."""
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swit-saga", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(self._make(target, credentials, options))
        except BaseException:
            self._end_loop()
            raise

    @staticmethod
    async def _make(
        target: str, credentials: grpc.ChannelCredentials | None, options: dict[str, Any]
    ) -> AsyncSagaClient:
        channel = (
            grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
            if credentials is not None
            else grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        )
        try:
            return AsyncSagaClient(stubs=BlockingStubs(channel), **options)
        except BaseException:
            channel.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection and the thread; other threads' calls raise ``ClientClosed``. Safe to call twice."""
        with self._submitting:
            if self._closed:
                return
            self._closed = True
            gone = asyncio.run_coroutine_threadsafe(self._let_go(), self._loop)
        gone.result()
        self._end_loop()

    async def _let_go(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await self._client.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def register(self, saga: Saga | definition_pb2.SagaDefinition) -> int:
        """See ``AsyncSagaClient.register``."""
        return self._run(self._client.register(saga))

    def start(self, definition: str | Saga | definition_pb2.SagaDefinition, data: Any = None, **options: Any) -> str:
        """See ``AsyncSagaClient.start``; returns the saga's id."""
        return self._run(self._client.start(definition, data, **options)).id

    def get(self, saga_id: str, *, full: bool = True) -> SagaView:
        """See ``AsyncSagaClient.get``."""
        return self._run(self._client.get(saga_id, full=full))

    def list(self, **wanted: Any) -> Iterator[SagaView]:
        """See ``AsyncSagaClient.list``."""
        return self._iterate(self._client.list(**wanted))

    def cancel(self, saga_id: str, reason: str = "") -> SagaView:
        """See ``AsyncSagaClient.cancel``."""
        return self._run(self._client.cancel(saga_id, reason))

    def wait(self, saga_id: str, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.wait``."""
        return self._run(self._client.wait(saga_id, timeout=timeout, states=states))

    def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """See ``AsyncSagaClient.result``."""
        return self._run(self._client.result(saga_id, kind, timeout=timeout))

    def watch(self, saga_id: str, *, after: int = 0, follow: bool = False) -> Iterator[EventView]:
        """See ``AsyncSagaClient.watch``."""
        return self._iterate(self._client.watch(saga_id, after=after, follow=follow))

    def metrics(self) -> metrics_pb2.CoordinatorMetrics:
        """See ``AsyncSagaClient.metrics``."""
        return self._run(self._client.metrics())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
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

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> tuple[bool, Any]:
            try:
                return True, await anext(items)
            except StopAsyncIteration:
                return False, None

        async def close() -> None:
            await items.aclose()  # type: ignore[attr-defined]

        try:
            while True:
                more, item = self._run(following())
                if not more:
                    return
                yield item
        finally:
            with suppress(ClientClosed):  # Closing the client ended the stream.
                self._run(close())
