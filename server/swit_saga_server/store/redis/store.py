"""``StateStorage`` on Redis."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgpack
import structlog
from cachetools import LRUCache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import CursorOutOfRange, StoreRefused, StoreUnavailable
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import TERMINAL_STATES, SagaState
from swit_saga_server.core.units import MINUTE, Instant, Span
from swit_saga_server.store import codec
from swit_saga_server.store.contract import (
    Due,
    FeedItem,
    Hint,
    InboxEntry,
    Lease,
    SagaFilter,
    SagaOrder,
    SagaPage,
    StoredDefinition,
    Verdict,
    Write,
    partition_of,
)
from swit_saga_server.store.paging import make_token, read_token
from swit_saga_server.store.redis import listing
from swit_saga_server.store.redis.checks import Confirmation, Durability, check
from swit_saga_server.store.redis.connection import RedisConnection, RedisOptions, Script
from swit_saga_server.store.redis.encode import encode_write, read_mutable
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.round import check_create, check_round
from swit_saga_server.tasks import end

log = structlog.get_logger(__name__)

SCHEMA = "2"
ANSWERS_KEPT: Span = 20 * MINUTE
FEED_LENGTH = 10_000
ROUND_WRITES, ROUND_BYTES = 256, 1 << 20
"""A script runs alone: longer rounds are split, so that nobody else waits long."""
LISTEN_AGAIN_S = 1.0
DEFINITIONS_KEPT = 1_000

_VERDICTS = {b"A": Verdict.APPLIED, b"S": Verdict.ALREADY_APPLIED, b"F": Verdict.FENCED, b"C": Verdict.CONFLICT}


class RedisStore:
    """State shared by any number of coordinators. See ``keys`` for what is kept where."""

    def __init__(
        self,
        options: RedisOptions,
        *,
        prefix: str = "swit-saga:",
        partitions: int = 64,
        durability: Durability = Durability.RELAXED,
        replicas: int = 1,
    ) -> None:
        """Say where; nothing is connected yet.

        Args:
            options: How to reach Redis.
            prefix: Of every key, so that several systems can share one Redis.
            partitions: For a new store; an existing one keeps its own.
            durability: When a write counts as done.
            replicas: That must have it, for ``replicated``.

        Raises:
            ValueError: The URL is not one of those in ``RedisOptions``.
        """
        self._redis = RedisConnection(options)
        self._durability = durability
        self._replicas = replicas
        self._timeout_s = options.timeout_s
        self._confirmation: Confirmation | None = None
        self._keys = Keys(prefix)
        self._partitions = partitions
        self._round, self._lease, self._post = Script("round"), Script("lease"), Script("post")
        self._delete, self._register = Script("delete"), Script("register")
        self._scripts = (self._round, self._lease, self._post, self._delete, self._register)
        self._newest: LRUCache[str, int] = LRUCache(DEFINITIONS_KEPT)
        """Versions that were the newest of their ids; only guesses of what to read."""
        self._listeners: list[Callable[[Hint], None]] = []
        self._listening: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> int:
        """See the contract."""
        return self._partitions

    async def open(self) -> None:
        """See the contract."""
        await self._redis.open()
        try:
            await self._set_up()
        except BaseException:
            await self._redis.close()
            raise
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def _set_up(self) -> None:
        version, self._confirmation = await check(
            self._redis,
            self._durability,
            self._replicas,
            self._timeout_s,
            prefix=self._keys.prefix,
            channel=self._keys.hints,
        )
        for script in self._scripts:
            script.use_header(with_header=version >= (7, 0))
        found = await self._redis.do(lambda c: c.hmget(self._keys.meta, "schema", "partitions"))
        if found[0] is None:
            await self._redis.do(lambda c: c.hsetnx(self._keys.meta, "partitions", self._partitions))
            await self._redis.do(lambda c: c.hsetnx(self._keys.meta, "schema", SCHEMA))
            found = await self._redis.do(lambda c: c.hmget(self._keys.meta, "schema", "partitions"))
        if found[0] != SCHEMA.encode():
            raise StoreRefused(
                f"the keys under {self._keys.prefix!r} have schema {found[0]!r}; this version reads {SCHEMA}"
            )
        self._partitions = int(found[1])

    async def close(self) -> None:
        """See the contract."""
        if self._listening is not None:
            await end([self._listening])
            self._listening = None
        await self._redis.close()

    async def now(self) -> Instant:
        """See the contract."""
        seconds, micros = await self._redis.do(lambda c: c.time())
        return int(seconds) * 1_000_000 + int(micros)

    # ---- ownership -----------------------------------------------------------------------------------------------

    async def acquire(self, partition: int, owner: str, term: Span) -> Lease | None:
        """See the contract."""
        nonce = secrets.token_hex(8)
        found = await self._redis.run(self._lease, [self._lease_key(partition)], "acquire", owner, nonce, term)
        return Lease(partition, int(found[0]), nonce, int(found[1])) if found else None

    async def renew(self, leases: Sequence[Lease], term: Span) -> Sequence[Lease | None]:
        """See the contract."""
        found = await asyncio.gather(
            *(
                self._redis.run(self._lease, [self._lease_key(x.partition)], "renew", x.epoch, x.nonce, term)
                for x in leases
            )
        )
        return [
            replace(x, expires_at=int(renewed[0])) if renewed else None
            for x, renewed in zip(leases, found, strict=True)
        ]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the contract."""
        for x in leases:
            await self._redis.run(self._lease, [self._lease_key(x.partition)], "release", x.epoch, x.nonce, 0)
            await self._tell("lease", x.partition)

    async def attend(self, owner: str, term: Span) -> Sequence[str]:
        """See the contract."""
        now, living = await self.now(), self._keys.living
        _, _, found = await self._redis.pipeline(
            [("ZREMRANGEBYSCORE", living, "-inf", now), ("ZADD", living, now + term, owner), ("ZRANGE", living, 0, -1)]
        )
        return sorted(o.decode() for o in found)

    async def leave(self, owner: str) -> None:
        """See the contract."""
        await self._redis.do(lambda c: c.zrem(self._keys.living, owner))

    # ---- the round -----------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """See the contract."""
        check_round(writes)
        verdicts: list[Verdict | None] = [None] * len(writes)
        for batch in self._batches(writes, leases):
            found = await self._apply([data for _, _, data in batch], batch[0][1], leaseless=False)
            for (i, _, _), verdict in zip(batch, found, strict=True):
                verdicts[i] = verdict
        return [v for v in verdicts if v is not None]

    async def create(self, write: Write) -> Verdict:
        """See the contract."""
        check_create(write)
        partition = partition_of(write.saga.id, self._partitions)
        (verdict,) = await self._apply([encode_write(write, partition, None)], partition, leaseless=True)
        await self._tell("due", partition)
        return verdict

    def _batches(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> list[list[tuple[int, int, bytes]]]:
        """The round as (index, partition, encoded write), cut into what one script takes."""
        queues: dict[int, list[list[tuple[int, int, bytes]]]] = defaultdict(lambda: [[]])
        sizes: dict[int, int] = defaultdict(int)
        for i, write in enumerate(writes):
            partition = partition_of(write.saga.id, self._partitions)
            queue = partition if self._redis.is_cluster else -1
            data = encode_write(write, partition, leases.get(partition))
            batch = queues[queue][-1]
            if batch and (len(batch) == ROUND_WRITES or sizes[queue] + len(data) > ROUND_BYTES):
                queues[queue].append(batch := [])
                sizes[queue] = 0
            batch.append((i, partition, data))
            sizes[queue] += len(data)
        return [batch for batches in queues.values() for batch in batches if batch]

    async def _apply(self, encoded: Sequence[bytes], partition: int, *, leaseless: bool) -> list[Verdict]:
        keys = [self._lease_key(partition)]
        arguments = (self._keys.prefix, ANSWERS_KEPT // 1000, FEED_LENGTH, int(leaseless), *encoded)
        if self._confirmation is None:
            found = await self._redis.run(self._round, keys, *arguments)
        else:
            confirm = self._confirmation
            found = await self._redis.run_confirmed(self._round, keys, arguments, confirm.command, confirm.wanted)
        if b"G" in found:
            raise ValueError("a write has events that do not continue the stored ones")
        return [_VERDICTS[v] for v in found]

    # ---- inbox ---------------------------------------------------------------------------------------------------

    async def post(self, entry: InboxEntry) -> None:
        """See the contract."""
        partition = partition_of(entry.saga_id, self._partitions)
        body = msgpack.packb((entry.saga_id, entry.body))
        p = self._keys.of(partition)
        await self._redis.run(self._post, [self._lease_key(partition)], p, entry.entry_id, body)
        await self._tell("inbox", partition)

    async def inbox(self, partition: int, limit: int) -> Sequence[InboxEntry]:
        """See the contract."""
        p = self._keys.of(partition)
        ids = await self._redis.do(lambda c: c.zrange(f"{p}inq", 0, limit - 1))
        if not ids:
            return []
        bodies = await self._redis.do(lambda c: c.hmget(f"{p}in", ids))
        entries = []
        for entry_id, body in zip(ids, bodies, strict=True):
            if body is not None:  # Consumed between the two reads.
                saga_id, letter = msgpack.unpackb(body)
                entries.append(InboxEntry(entry_id=entry_id.decode(), saga_id=saga_id, body=letter))
        return entries

    async def answer(self, entry: InboxEntry) -> bytes | None:
        """See the contract."""
        p = self._keys.of(partition_of(entry.saga_id, self._partitions))
        found: bytes | None = await self._redis.do(lambda c: c.get(f"{p}ans:{entry.entry_id}"))
        return found

    # ---- reading -------------------------------------------------------------------------------------------------

    async def load(self, saga_ids: Sequence[str]) -> Sequence[Saga | None]:
        """See the contract."""
        return [saga for saga, _ in await self._load(saga_ids)]

    async def _load(self, saga_ids: Sequence[str]) -> list[tuple[Saga | None, Instant]]:
        """Sagas with their due times."""
        rows = await self._redis.pipeline([("HGETALL", f"{self._of(i)}saga:{i}") for i in saga_ids])
        return [_read_saga(row) for row in rows]

    async def events(self, saga_id: str, after: int, limit: int) -> Sequence[SagaEvent]:
        """See the contract."""
        if limit <= 0:
            return []
        key = f"{self._of(saga_id)}ev:{saga_id}"
        found = await self._redis.do(lambda c: c.lrange(key, max(after, 0), max(after, 0) + limit - 1))
        return [codec.unpack_event(data) for data in found]

    async def due(self, partition: int, until: Instant, limit: int) -> Sequence[Due]:
        """See the contract."""
        key = f"{self._keys.of(partition)}due"
        command = ("ZRANGEBYSCORE", key, "-inf", until, "WITHSCORES", "LIMIT", 0, limit)
        return [Due(i, at) for i, at in listing.scored(await self._redis.pipeline([command]))]

    async def in_flight(self, partition: int, after: str, limit: int) -> Sequence[str]:
        """See the contract."""
        key = f"{self._keys.of(partition)}fly"
        low = b"(" + after.encode() if after else b"-"
        found = await self._redis.do(lambda c: c.zrangebylex(key, low, b"+", start=0, num=limit))
        return [i.decode() for i in found]

    async def feed(self, partition: int, after: int, limit: int) -> Sequence[FeedItem]:
        """See the contract."""
        p = self._keys.of(partition)
        found = await self._redis.do(lambda c: c.xrange(f"{p}feed", min=f"({after}-0", count=limit))
        if not found:
            return []
        entries = [(int(at.split(b"-")[0]), f[b"i"].decode(), int(f[b"n"]), int(f[b"q"])) for at, f in found]
        if entries[0][0] - entries[0][2] > after:
            oldest = entries[0][0] - entries[0][2]
            raise CursorOutOfRange(f"the feed of partition {partition} begins after {oldest}", oldest=oldest)
        commands = [("LRANGE", f"{p}ev:{i}", q - n, q - 1) for _, i, n, q in entries]
        items = [
            FeedItem(last - n + k, saga_id, codec.unpack_event(data))
            for (last, saga_id, n, _), events in zip(entries, await self._redis.pipeline(commands), strict=True)
            for k, data in enumerate(events, 1)
        ]
        return [item for item in items if item.position > after][:limit]

    async def feed_end(self, partition: int) -> int:
        """See the contract."""
        return int(await self._redis.do(lambda c: c.get(f"{self._keys.of(partition)}pos")) or 0)

    async def list_sagas(self, wanted: SagaFilter, order: SagaOrder, page_size: int, page_token: str) -> SagaPage:
        """See the contract. Sorted by creation it reads an index; by change, it looks through what changed."""
        key = [replace(wanted, overdue_at=int(wanted.overdue_at > 0)), order.value]
        after = read_token(key, page_token, int, str)
        walk = listing.Walk(self._redis, self._keys, range(self._partitions), wanted, order, after)
        page: list[tuple[int, Saga]] = []
        while len(page) <= page_size and (ids := await walk.next(page_size + 1)):
            for (score, _), (saga, due) in zip(ids, await self._load([i for _, i in ids]), strict=True):
                if saga is not None and listing.matches(saga, due, wanted):
                    page.append((score, saga))
        token = ""
        if len(page) > page_size:
            score, saga = page[page_size - 1]
            token = make_token(key, [score, saga.id])
        return SagaPage(tuple(saga for _, saga in page[:page_size]), token)

    async def count(self) -> Mapping[SagaState, int]:
        """See the contract."""
        which = [(p, s) for p in range(self._partitions) for s in SagaState]
        found = await self._redis.pipeline([("ZCARD", f"{self._keys.of(p)}st:{s}") for p, s in which])
        counts: dict[SagaState, int] = defaultdict(int)
        for (_, state), number in zip(which, found, strict=True):
            if number:
                counts[state] += number
        return dict(counts)

    async def delete(self, saga_id: str, lease: Lease) -> bool:
        """See the contract."""
        if partition_of(saga_id, self._partitions) != lease.partition:
            return False
        removed = await self._redis.run(
            self._delete,
            [self._lease_key(lease.partition)],
            self._keys.of(lease.partition),
            saga_id,
            lease.epoch,
            lease.nonce,
            *sorted(TERMINAL_STATES),
        )
        return bool(removed)

    async def expired(self, partition: int, older_than: Instant, limit: int) -> Sequence[str]:
        """See the contract."""
        key = f"{self._keys.of(partition)}exp"
        found = await self._redis.do(lambda c: c.zrangebyscore(key, "-inf", f"({older_than}", start=0, num=limit))
        return [i.decode() for i in found]

    # ---- definitions ---------------------------------------------------------------------------------------------

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """See the contract."""
        keys = [self._keys.definition(definition.id), self._keys.definition_ids]
        record = msgpack.packb((digest, at, codec.pack_definition(definition)))
        version, found, disabled, created = await self._redis.run(self._register, keys, definition.id, digest, record)
        return _read_definition(int(version), found, disabled), bool(created)

    async def definition(self, definition_id: str, version: int, digest: str) -> StoredDefinition | None:
        """See the contract."""
        key = self._keys.definition(definition_id)
        if not version and digest:
            return await self._inline(digest)
        if version:
            return await self._version(key, version)
        # Every start that names no version asks: one round trip, if the newest is the one it was.
        guess = self._newest.get(definition_id, 1)
        fields = ("max", f"v{guess}", f"x{guess}")
        number, record, disabled = await self._redis.do(lambda c: c.hmget(key, *fields))
        newest = self._newest[definition_id] = int(number or 0)
        if newest == guess and record:
            guessed = _read_definition(guess, record, disabled)
            if not guessed.disabled:
                return guessed
        for candidate in range(newest, 0, -1):
            found = await self._version(key, candidate)
            if found is not None and not found.disabled:
                return found
        return None

    async def _inline(self, digest: str) -> StoredDefinition | None:
        """It stands in every partition that has a saga which came with it; here none is named."""
        keys = [f"{self._keys.of(p)}inl:{digest}" for p in range(self._partitions)]
        for record in await self._redis.pipeline([("GET", key) for key in keys]):
            if record is not None:
                return _read_definition(0, record, b"0")
        return None

    async def _version(self, key: str, version: int) -> StoredDefinition | None:
        record, disabled = await self._redis.do(lambda c: c.hmget(key, f"v{version}", f"x{version}"))
        return _read_definition(version, record, disabled) if record else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> tuple[Sequence[StoredDefinition], str]:
        """See the contract."""
        token_key = ["definitions", definition_id, include_disabled]
        last_id, last_version = read_token(token_key, page_token, str, int) or ["", 0]
        found: list[StoredDefinition] = []
        if definition_id:
            key = self._keys.definition(definition_id)
            newest = int(await self._redis.do(lambda c: c.hget(key, "max")) or 0)
            for version in range(last_version + 1, newest + 1):
                one = await self._version(key, version)
                if one is not None and (include_disabled or not one.disabled):
                    found.append(one)
                if len(found) > page_size:
                    break
        else:
            while len(found) <= page_size:
                low = b"(" + last_id.encode() if last_id else b"-"
                command = ("ZRANGEBYLEX", self._keys.definition_ids, low, b"+", "LIMIT", 0, page_size + 1)
                (ids,) = await self._redis.pipeline([command])
                for raw in ids:
                    one = await self._latest(raw.decode(), include_disabled=include_disabled)
                    if one is not None:
                        found.append(one)
                if len(ids) <= page_size:
                    break
                last_id = ids[-1].decode()
        page = found[:page_size]
        more = len(found) > page_size
        return page, make_token(token_key, [page[-1].definition.id, page[-1].version]) if more else ""

    async def _latest(self, definition_id: str, *, include_disabled: bool) -> StoredDefinition | None:
        if not include_disabled:
            return await self.definition(definition_id, 0, "")
        key = self._keys.definition(definition_id)
        newest = int(await self._redis.do(lambda c: c.hget(key, "max")) or 0)
        return await self._version(key, newest) if newest else None

    async def disable_definition(self, definition_id: str, version: int, disabled: bool) -> StoredDefinition | None:
        """See the contract."""
        key = self._keys.definition(definition_id)
        if version < 1 or await self._version(key, version) is None:
            return None
        await self._redis.do(lambda c: c.hset(key, f"x{version}", int(disabled)))
        return await self._version(key, version)

    # ---- hints ---------------------------------------------------------------------------------------------------

    def listen(self, heard: Callable[[Hint], None]) -> Callable[[], None]:
        """See the contract."""
        self._listeners.append(heard)

        def stop() -> None:
            with suppress(ValueError):
                self._listeners.remove(heard)

        return stop

    async def _tell(self, kind: str, partition: int) -> None:
        """Best-effort: without it, the others find out a little later."""
        with suppress(StoreUnavailable):
            await self._redis.do(lambda c: c.publish(self._keys.hints, f"{kind}:{partition}"))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.messages(self._keys.hints) as messages:
                    async for message in messages:
                        kind, _, partition = message.decode(errors="replace").partition(":")
                        # Others publish, too: a coordinator that starts tries whether it may.
                        if partition.isdecimal():
                            for heard in list(self._listeners):
                                heard(Hint(kind, int(partition)))
            except StoreUnavailable as lost:
                log.info("hints_lost", error=str(lost))
            except Exception:
                # Without hints all goes on, only later; nobody would see why.
                log.exception("hints_lost")
            await asyncio.sleep(LISTEN_AGAIN_S)

    # ---- within --------------------------------------------------------------------------------------------------

    def _of(self, saga_id: str) -> str:
        return self._keys.of(partition_of(saga_id, self._partitions))

    def _lease_key(self, partition: int) -> str:
        return f"{self._keys.of(partition)}lease"


def _read_saga(row: Any) -> tuple[Saga | None, Instant]:
    fields: Mapping[bytes, bytes] = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
    if not fields:
        return None, 0
    progress, due_at, number = read_mutable(fields[b"m"])
    steps = tuple(codec.unpack_step(fields[b"s%d" % i]) for i in range(number))
    return codec.unpack_saga(fields[b"h"], progress, steps), due_at


def _read_definition(version: int, record: bytes, disabled: bytes | None) -> StoredDefinition:
    digest, at, definition = _unpack_definition(record)
    return StoredDefinition(
        definition=definition, version=version, digest=digest, registered_at=at, disabled=disabled == b"1"
    )


@lru_cache(DEFINITIONS_KEPT)
def _unpack_definition(record: bytes) -> tuple[str, Instant, Definition]:
    digest, at, data = msgpack.unpackb(record)
    return digest, at, codec.unpack_definition(data)
