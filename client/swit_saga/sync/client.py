"""``SagaClient``: the same client for programs without asyncio, an ``AsyncSagaClient`` on a loop of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

import grpc

from swit_saga.channel import checked_target
from swit_saga.client import CREDENTIALS, AsyncSagaClient
from swit_saga.definition import DefinitionLike
from swit_saga.durations import DurationLike
from swit_saga.given import given
from swit_saga.payload import Codecs
from swit_saga.sync.definitions import SyncDefinitions
from swit_saga.sync.loop import LoopThread
from swit_saga.sync.operator import SyncOperator
from swit_saga.sync.stubs import BlockingStubs
from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga.v1.metrics_pb2 import CoordinatorMetrics
from swit_saga.views import EventView, SagaView

T = TypeVar("T")


class SagaClient:
    """A connection to a coordinator. Use it as a context manager, or ``close`` it. Safe to use from many threads.

    Its thread and its connection are made by the first call, in the process that makes it; see ``ForkedError``.

    Attributes:
        definitions: Everything about definitions; ``register`` and ``definition`` are short for two of its calls.
        operator: What a person on call does.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        codecs: Codecs | None = None,
        metadata: Mapping[str, str] | None = None,
        service: str = "",
        timeout: DurationLike = "30s",
        batch_starts: bool = True,
        batch_waits: bool = True,
    ) -> None:
        """See ``AsyncSagaClient``.

        Raises:
            ValueError, TypeError: An option is not valid.
        """
        if credentials is not None:
            given(credentials, "credentials", grpc.ChannelCredentials, CREDENTIALS)
        self._client = AsyncSagaClient(
            stubs=BlockingStubs(checked_target(target), credentials),
            codecs=codecs,
            metadata=metadata,
            service=service,
            timeout=timeout,
            batch_starts=batch_starts,
            batch_waits=batch_waits,
        )
        self._loop = LoopThread()
        self.definitions = SyncDefinitions(self._client.definitions, self._loop)
        self.operator = SyncOperator(self._client.operator, self._loop)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SagaClient cannot be sent to another process; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection and the thread; other threads' calls raise ``ClientClosed``. Safe to call twice."""
        self._loop.close(self._client.close)

    def register(self, definition: DefinitionLike) -> int:
        """See ``Definitions.register``."""
        return self.definitions.register(definition)

    def definition(self, definition_id: str, version: int = 0) -> SagaDefinition:
        """See ``Definitions.get``."""
        return self.definitions.get(definition_id, version)

    def start(
        self,
        definition: str | DefinitionLike,
        data: Any = None,
        *,
        saga_id: str | None = None,
        version: int = 0,
        timeout: DurationLike | None = None,
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str = "",
    ) -> str:
        """See ``AsyncSagaClient.start``; returns the saga's id."""
        started = self._client.start(
            definition,
            data,
            saga_id=saga_id,
            version=version,
            timeout=timeout,
            labels=labels,
            metadata=metadata,
            correlation_id=correlation_id,
        )
        return self._loop.run(started).id

    def get(self, saga_id: str, *, full: bool = True, steps: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.get``."""
        return self._loop.run(self._client.get(saga_id, full=full, steps=steps))

    def list(
        self,
        *,
        states: Iterable[str] = (),
        active: bool = False,
        definitions: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
        overdue_by: DurationLike | None = None,
        stuck: bool = False,
        order_by: str = "created_at desc",
        full: bool = False,
        page_size: int = 100,
    ) -> Iterator[SagaView]:
        """See ``AsyncSagaClient.list``."""
        found = self._client.list(
            states=states,
            active=active,
            definitions=definitions,
            labels=labels,
            metadata=metadata,
            created_from=created_from,
            created_to=created_to,
            updated_from=updated_from,
            updated_to=updated_to,
            overdue_by=overdue_by,
            stuck=stuck,
            order_by=order_by,
            full=full,
            page_size=page_size,
        )
        return self._loop.iterate(found)

    def cancel(self, saga_id: str, reason: str = "") -> SagaView:
        """See ``AsyncSagaClient.cancel``."""
        return self._loop.run(self._client.cancel(saga_id, reason))

    def wait(self, saga_id: str, *, timeout: DurationLike | None = None, states: Sequence[str] = ()) -> SagaView:
        """See ``AsyncSagaClient.wait``."""
        return self._loop.run(self._client.wait(saga_id, timeout=timeout, states=states))

    @overload
    def result(self, saga_id: str, kind: type[T], *, timeout: DurationLike | None = None) -> T: ...

    @overload
    def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any: ...

    def result(self, saga_id: str, kind: Any = None, *, timeout: DurationLike | None = None) -> Any:
        """See ``AsyncSagaClient.result``."""
        return self._loop.run(self._client.result(saga_id, kind, timeout=timeout))

    def watch(self, saga_id: str, *, after: int = 0, follow: bool = False) -> Iterator[EventView]:
        """See ``AsyncSagaClient.watch``."""
        return self._loop.iterate(self._client.watch(saga_id, after=after, follow=follow))

    def metrics(self) -> CoordinatorMetrics:
        """See ``AsyncSagaClient.metrics``."""
        return self._loop.run(self._client.metrics())

    def health(self) -> None:
        """See ``AsyncSagaClient.health``."""
        self._loop.run(self._client.health())
