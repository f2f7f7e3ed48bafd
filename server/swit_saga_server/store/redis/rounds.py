"""Rounds in Redis: one script for many writes; of a Cluster, one for each partition's."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from swit_saga_server.core.units import MINUTE, Span
from swit_saga_server.store.codec import Writer
from swit_saga_server.store.contract import InboxAnswer, Lease, Verdict, Write
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.redis.encode import encode_write
from swit_saga_server.store.redis.hints import RedisHints
from swit_saga_server.store.redis.keys import Keys
from swit_saga_server.store.redis.scripts import Scripts
from swit_saga_server.store.round import UNENCODABLE, check_create, check_reply, check_round, unstorable

ANSWERS_KEPT: Span = 20 * MINUTE
"""Twice what the contract asks for."""
FEED_LENGTH = 10_000
ROUND_WRITES, ROUND_BYTES = 256, 1 << 20
"""A script runs alone: longer rounds are split, so that nobody else waits long."""

_VERDICTS = {b"A": Verdict.APPLIED, b"S": Verdict.ALREADY_APPLIED, b"F": Verdict.FENCED, b"C": Verdict.CONFLICT}


class RedisRounds:
    """``Rounds`` in Redis."""

    def __init__(self, keys: Keys, scripts: Scripts, hints: RedisHints, fleet: Fleet, *, is_cluster: bool) -> None:
        self._keys = keys
        self._scripts = scripts
        self._hints = hints
        self._fleet = fleet
        self._is_cluster = is_cluster

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
        partition = self._keys.partition_of(write.saga.id)
        encoded = _encoded(write, partition, None, self._fleet.writer)
        (verdict,) = await self._apply([encoded], partition, leaseless=True)
        await self._hints.give("due", partition)
        return verdict

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        """See the contract."""
        check_reply(saga_id, answers)
        partition = self._keys.partition_of(saga_id)
        if lease.partition != partition:
            return Verdict.FENCED
        base = "" if base_version is None else base_version
        arguments = [self._keys.of(partition), ANSWERS_KEPT // 1000, saga_id, base, lease.epoch, lease.nonce]
        for a in answers:
            arguments += (a.entry_id, a.answer)
        return _VERDICTS[await self._scripts.run_durably("reply", [self._keys.lease(partition)], *arguments)]

    def _batches(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> list[list[tuple[int, int, bytes]]]:
        """The round as (index, partition, encoded write), cut into what one script takes."""
        writer = self._fleet.writer
        queues: dict[int, list[list[tuple[int, int, bytes]]]] = defaultdict(lambda: [[]])
        sizes: dict[int, int] = defaultdict(int)
        for i, write in enumerate(writes):
            partition = self._keys.partition_of(write.saga.id)
            queue = partition if self._is_cluster else -1
            data = _encoded(write, partition, leases.get(partition), writer)
            batch = queues[queue][-1]
            if batch and (len(batch) == ROUND_WRITES or sizes[queue] + len(data) > ROUND_BYTES):
                queues[queue].append(batch := [])
                sizes[queue] = 0
            batch.append((i, partition, data))
            sizes[queue] += len(data)
        return [batch for batches in queues.values() for batch in batches if batch]

    async def _apply(self, encoded: Sequence[bytes], partition: int, *, leaseless: bool) -> list[Verdict]:
        keys = [self._keys.lease(partition)]
        arguments = (self._keys.prefix, ANSWERS_KEPT // 1000, FEED_LENGTH, int(leaseless), *encoded)
        found = await self._scripts.run_durably("round", keys, *arguments)
        if b"G" in found:
            raise ValueError("a write has events that do not continue the stored ones")
        return [_VERDICTS[v] for v in found]


def _encoded(write: Write, partition: int, lease: Lease | None, writer: Writer) -> bytes:
    try:
        return encode_write(write, partition, lease, writer)
    except UNENCODABLE as error:
        raise unstorable(f"saga {write.saga.id!r}", error) from error
