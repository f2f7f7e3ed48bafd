"""Definitions in Redis: a hash per id for registered versions; inline ones stand where their sagas do."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgpack
from cachetools import LRUCache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import pack_definition
from swit_saga_server.store.contract import DefinitionPage, StoredDefinition
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.paging import make_tokens, read_token
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts
from swit_saga_server.store.round import UNENCODABLE, unstorable

DEFINITIONS_KEPT = 1_000


class RedisDefinitions:
    """``Definitions`` in Redis."""

    def __init__(self, redis: RedisConnection, keys: Keys, scripts: Scripts, fleet: Fleet) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._fleet = fleet
        self._newest: LRUCache[str, int] = LRUCache(DEFINITIONS_KEPT)
        """Versions that were the newest of their ids; only guesses of what to read."""
        self._unpacked: LRUCache[bytes, tuple[str, Instant, Definition]] = LRUCache(DEFINITIONS_KEPT)

    async def register(self, definition: Definition, digest: str, at: Instant) -> tuple[StoredDefinition, bool]:
        """See the contract."""
        keys = [self._keys.definition(definition.id), self._keys.definition_ids]
        try:
            record = msgpack.packb((digest, at, self._fleet.writer.pack_definition(definition)))
        except UNENCODABLE as error:
            raise unstorable(f"definition {definition.id!r}", error) from error
        version, found, disabled, created = await self._scripts.run_with_values(
            "register", keys, definition.id, digest, record
        )
        return self._stored(int(version), found, disabled), bool(created)

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
            guessed = self._stored(guess, record, disabled)
            if not guessed.disabled:
                return guessed
        for candidate in range(newest, 0, -1):
            found = await self._version(key, candidate)
            if found is not None and not found.disabled:
                return found
        return None

    async def _inline(self, digest: str) -> StoredDefinition | None:
        """It stands in every partition that has a saga which came with it; here none is named."""
        keys = [f"{self._keys.of(p)}inl:{digest}" for p in range(self._keys.partitions)]
        for record in await self._redis.pipeline([("GET", key) for key in keys]):
            if record is not None:
                return self._stored(0, record, b"0")
        return None

    async def _version(self, key: str, version: int) -> StoredDefinition | None:
        record, disabled = await self._redis.do(lambda c: c.hmget(key, f"v{version}", f"x{version}"))
        return self._stored(version, record, disabled) if record else None

    async def list_definitions(
        self, definition_id: str, include_disabled: bool, page_size: int, page_token: str
    ) -> DefinitionPage:
        """See the contract."""
        listing = ["definitions", definition_id, include_disabled]
        last_id, last_version = read_token(listing, page_token, str, int) or ["", 0]
        candidates = (
            self._versions_of(definition_id, last_version)
            if definition_id
            else self._latest_of_each(last_id, page_size + 1, include_disabled=include_disabled)
        )
        page: list[StoredDefinition] = []
        size, more = 0, False
        async with aclosing(candidates):
            async for one in candidates:
                if one.disabled and not include_disabled:
                    continue
                if more := len(page) == page_size or size >= PAGE_BYTES:
                    break
                page.append(one)
                size += len(pack_definition(one.definition))
        tokens = make_tokens(listing, [[d.definition.id, d.version] for d in page])
        return DefinitionPage(tuple(page), tokens[-1] if more else "", tokens)

    async def _versions_of(self, definition_id: str, after: int) -> AsyncGenerator[StoredDefinition]:
        key = self._keys.definition(definition_id)
        newest = int(await self._redis.do(lambda c: c.hget(key, "max")) or 0)
        for version in range(after + 1, newest + 1):
            if (one := await self._version(key, version)) is not None:
                yield one

    async def _latest_of_each(
        self, after: str, number: int, *, include_disabled: bool
    ) -> AsyncGenerator[StoredDefinition]:
        while True:
            low = b"(" + after.encode() if after else b"-"
            command = ("ZRANGEBYLEX", self._keys.definition_ids, low, b"+", "LIMIT", 0, number)
            (ids,) = await self._redis.pipeline([command])
            for raw in ids:
                if (one := await self._latest(raw.decode(), include_disabled=include_disabled)) is not None:
                    yield one
            if len(ids) < number:
                return
            after = ids[-1].decode()

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

    def _stored(self, version: int, record: bytes, disabled: bytes | None) -> StoredDefinition:
        found = self._unpacked.get(record)
        if found is None:
            digest, at, data, *_ = msgpack.unpackb(record)
            found = self._unpacked[record] = digest, at, self._fleet.codec.unpack_definition(data)
        digest, at, definition = found
        return StoredDefinition(
            definition=definition, version=version, digest=digest, registered_at=at, disabled=disabled == b"1"
        )
