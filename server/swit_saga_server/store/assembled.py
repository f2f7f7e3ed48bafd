"""A store put together from its ports.

Every backend keeps a class per port, each with state of its own, and hands one of each to ``AssembledStore``, which
does nothing but pass calls on. The bases, one per port, are the same for all backends.
"""

from collections.abc import Callable, Mapping, Sequence

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Instant, Span
from swit_saga_server.store.contract import (
    DefinitionPage,
    Definitions,
    Due,
    FeedItem,
    Hint,
    Hints,
    Inbox,
    InboxAnswer,
    InboxEntry,
    Lease,
    Leases,
    Listing,
    Peer,
    Reading,
    Retention,
    Rounds,
    SagaFilter,
    SagaOrder,
    SagaPage,
    StoredDefinition,
    Verdict,
    Write,
)


class _WithLeases:
    _leases: Leases

    async def now(self) -> Instant:
        """See ``Leases``."""
        return await self._leases.now()

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """See ``Leases``."""
        return await self._leases.acquire(partition, owner, term)

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """See ``Leases``."""
        return await self._leases.renew(leases, term)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See ``Leases``."""
        await self._leases.release(leases)

    async def heartbeat(self, owner: str, term: Span, level: int, instance: str = "") -> Sequence[Peer]:
        """See ``Leases``."""
        return await self._leases.heartbeat(owner, term, level, instance)

    async def deregister(self, owner: str, instance: str = "") -> None:
        """See ``Leases``."""
        await self._leases.deregister(owner, instance)


class _WithRounds:
    _rounds: Rounds

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """See ``Rounds``."""
        return await self._rounds.commit(writes, leases)

    async def create(self, write: Write) -> Verdict:
        """See ``Rounds``."""
        return await self._rounds.create(write)

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        """See ``Rounds``."""
        return await self._rounds.reply(saga_id, base_version, answers, lease)


class _WithInbox:
    _inbox: Inbox

    async def post(self, entry: InboxEntry) -> None:
        """See ``Inbox``."""
        await self._inbox.post(entry)

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See ``Inbox``."""
        return await self._inbox.inbox(partition, limit)

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See ``Inbox``."""
        return await self._inbox.answer(entry)


class _WithReading:
    _reading: Reading

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See ``Reading``."""
        return await self._reading.load(saga_ids)

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See ``Reading``."""
        return await self._reading.events(saga_id, after, limit)

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """See ``Reading``."""
        return await self._reading.due(partition, until, limit)

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """See ``Reading``."""
        return await self._reading.in_flight(partition, after, limit)

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """See ``Reading``."""
        return await self._reading.feed(partition, after, limit)

    async def feed_end(self, partition: int) -> int:
        """See ``Reading``."""
        return await self._reading.feed_end(partition)


class _WithListing:
    _listing: Listing

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See ``Listing``."""
        return await self._listing.list_sagas(wanted, order, page_size, page_token)

    async def count(self) -> Mapping[SagaState, int]:
        """See ``Listing``."""
        return await self._listing.count()


class _WithRetention:
    _retention: Retention

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """See ``Retention``."""
        return await self._retention.delete(saga_id, lease)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See ``Retention``."""
        return await self._retention.expired(partition, older_than, limit)


class _WithDefinitions:
    _definitions: Definitions

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """See ``Definitions``."""
        return await self._definitions.register(definition, digest, at)

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """See ``Definitions``."""
        return await self._definitions.definition(definition_id, version, digest)

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> DefinitionPage:
        """See ``Definitions``."""
        return await self._definitions.list_definitions(definition_id, include_disabled, page_size, page_token)

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """See ``Definitions``."""
        return await self._definitions.disable_definition(definition_id, version, disabled)


class _WithHints:
    _hints: Hints

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See ``Hints``."""
        return self._hints.listen(on_hint)


class AssembledStore(
    _WithLeases, _WithRounds, _WithInbox, _WithReading, _WithListing, _WithRetention, _WithDefinitions, _WithHints
):
    """All of ``StateStorage`` but ``partitions``, ``open`` and ``close``, which are the backend's own."""

    def __init__(
        self,
        *,
        leases: Leases,
        rounds: Rounds,
        inbox: Inbox,
        reading: Reading,
        listing: Listing,
        retention: Retention,
        definitions: Definitions,
        hints: Hints,
    ) -> None:
        """Hand in the ports."""
        self._leases = leases
        self._rounds = rounds
        self._inbox = inbox
        self._reading = reading
        self._listing = listing
        self._retention = retention
        self._definitions = definitions
        self._hints = hints

    @property
    def trouble(self) -> str:
        """See ``StateStorage``; a backend that knows overrides it."""
        return ""
