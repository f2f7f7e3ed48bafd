"""Rounds in SQLite: encoded on the caller's thread, applied in one transaction on the writer's."""

from collections.abc import Callable, Mapping, Sequence

from swit_saga_server.core.units import Instant
from swit_saga_server.store.codec import Writer
from swit_saga_server.store.contract import InboxAnswer, Lease, Verdict, Write
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.round import UNENCODABLE, check_create, check_reply, check_round, unstorable
from swit_saga_server.store.sqlite.encode import EncodedWrite, Reply
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.hints import SqliteHints
from swit_saga_server.store.sqlite.position import FeedPosition
from swit_saga_server.store.sqlite.writer import RoundWriter


class SqliteRounds:
    """``Rounds`` in one file."""

    def __init__(
        self, file: SqliteFile, position: FeedPosition, hints: SqliteHints, fleet: Fleet, clock: Callable[[], Instant]
    ) -> None:
        self._file = file
        self._writer = RoundWriter(file, position)
        self._hints = hints
        self._fleet = fleet
        self._clock = clock

    async def commit(self, writes: Sequence[Write], leases: Mapping[int, Lease]) -> Sequence[Verdict]:
        """See the contract."""
        check_round(writes)
        writer = self._fleet.writer
        # Encoded here, not in the writer's thread, which is busy with the round before.
        encoded = [_encoded(write, writer) for write in writes]
        return await self._file.write(lambda db: self._writer.commit(db, encoded, leases, self._clock()))

    async def create(self, write: Write) -> Verdict:
        """See the contract."""
        check_create(write)
        encoded = _encoded(write, self._fleet.writer)
        verdict = await self._file.write(lambda db: self._writer.create(db, encoded, self._clock()))
        self._hints.give("due", self._file.partition_of(write.saga.id))
        return verdict

    async def reply(
        self, saga_id: str, base_version: int | None, answers: Sequence[InboxAnswer], lease: Lease
    ) -> Verdict:
        """See the contract."""
        check_reply(saga_id, answers)
        part, now = self._file.partition_of(saga_id), self._clock()
        reply = Reply(saga_id, base_version, answers)
        return await self._file.write(lambda db: self._writer.reply(db, reply, part, lease, now))


def _encoded(write: Write, writer: Writer) -> EncodedWrite:
    try:
        return EncodedWrite(write, writer)
    except UNENCODABLE as error:
        raise unstorable(f"saga {write.saga.id!r}", error) from error
