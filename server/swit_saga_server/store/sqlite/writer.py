"""Applying a round inside its one transaction."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import apsw

from swit_saga_server.core.units import MINUTE, Instant, Span
from swit_saga_server.store.contract import InboxAnswer, Lease, Verdict
from swit_saga_server.store.sqlite.encode import ALWAYS, IF_CHANGED, ORIGIN, EncodedWrite, Reply, Row
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.position import FeedPosition

ANSWERS_KEPT: Span = 20 * MINUTE
"""Twice what the contract asks for."""

_FIND = f"select n, version, commit_id, last_seq, {', '.join(IF_CHANGED)} from saga where id = ?"
_INSERT = (
    f"insert into saga (id, part, {', '.join(ALWAYS + IF_CHANGED + ORIGIN)})"
    f" values (?, ?{', ?' * len(ALWAYS + IF_CHANGED + ORIGIN)}) returning n"
)
INSERT_DEFINITION = "insert or ignore into definition (id, version, digest, registered, data) values (?, ?, ?, ?, ?)"


@cache
def _update_sql(changed: tuple[int, ...], origin: bool) -> str:
    names = [*ALWAYS, *(IF_CHANGED[i] for i in changed), *(ORIGIN if origin else ())]
    return f"update saga set {', '.join(f'{name} = ?' for name in names)} where n = ?"


class RoundWriter:
    """Applies encoded writes; called in the writer's thread only."""

    def __init__(self, file: SqliteFile, position: FeedPosition) -> None:
        self._file = file
        self._position = position

    def commit(
        self, db: apsw.Connection, writes: Sequence[EncodedWrite], leases: Mapping[int, Lease], now: Instant
    ) -> Sequence[Verdict]:
        """Apply a round; see ``StateStorage.commit``."""
        current = {part: (epoch, nonce) for part, epoch, nonce in db.execute("select part, epoch, nonce from lease")}
        verdicts = []
        for write in writes:
            part = self._file.partition_of(write.write.saga.id)
            lease = leases.get(part)
            fenced = lease is None or current.get(part) != (lease.epoch, lease.nonce)
            verdicts.append(self._apply(db, write, part, now, fenced=fenced))
        return verdicts

    def create(self, db: apsw.Connection, write: EncodedWrite, now: Instant) -> Verdict:
        """Create a saga; see ``StateStorage.create``."""
        return self._apply(db, write, self._file.partition_of(write.write.saga.id), now, fenced=False)

    def reply(self, db: apsw.Connection, reply: Reply, part: int, lease: Lease, now: Instant) -> Verdict:
        """Answer inbox entries alone; see ``StateStorage.reply``."""
        current = db.execute("select epoch, nonce from lease where part = ?", (part,)).fetchone()
        if lease.partition != part or current != (lease.epoch, lease.nonce):
            return Verdict.FENCED
        if reply.base_version is not None:
            found: Any = db.execute("select version from saga where id = ?", (reply.saga_id,)).fetchone()
            if (found[0] if found else 0) != reply.base_version:
                return Verdict.CONFLICT
        self._answer(db, reply.answers, now)
        return Verdict.APPLIED

    def _apply(self, db: apsw.Connection, encoded: EncodedWrite, part: int, now: Instant, *, fenced: bool) -> Verdict:
        write, saga = encoded.write, encoded.write.saga
        found = db.execute(_FIND, (saga.id,)).fetchone()
        n, version, commit_id, last_seq = found[:4] if found else (0, 0, "", 0)
        if found and commit_id == write.commit_id:
            return Verdict.ALREADY_APPLIED
        if fenced:
            return Verdict.FENCED
        if version != write.base_version:
            return Verdict.CONFLICT
        if last_seq + len(write.events) != saga.last_sequence:
            raise ValueError(f"the write of saga {saga.id!r} has events that do not continue after {last_seq}")
        if found:
            self._update(db, n, found[4:], encoded)
        else:
            n = self._insert(db, part, encoded)
        if encoded.steps:
            db.executemany(
                "insert or replace into step (saga, i, data) values (?, ?, ?)", [(n, *step) for step in encoded.steps]
            )
        if write.events:
            self._position.value += len(write.events)
            db.execute(
                "insert into event (position, saga, seq, data) values (?, ?, ?, ?)",
                (self._position.value, n, saga.last_sequence, encoded.data),
            )
        if write.answers:
            self._answer(db, write.answers, now)
        return Verdict.APPLIED

    def _insert(self, db: apsw.Connection, part: int, encoded: EncodedWrite) -> int:
        saga = encoded.write.saga
        found: Any = db.execute(
            _INSERT, (saga.id, part, *encoded.always, *encoded.if_changed, *encoded.origin)
        ).fetchone()
        n = int(found[0])
        _label(db, n, saga.labels)
        if encoded.definition is not None:
            row = (saga.definition_id, 0, saga.definition_digest, saga.created_at, encoded.definition)
            db.execute(INSERT_DEFINITION, row)
        return n

    def _update(self, db: apsw.Connection, n: int, before: Row, encoded: EncodedWrite) -> None:
        changed = [i for i, (old, new) in enumerate(zip(before, encoded.if_changed, strict=True)) if old != new]
        values = [encoded.if_changed[i] for i in changed]
        if encoded.origin:
            unlabel(db, n)
            _label(db, n, encoded.write.saga.labels)
        sql = _update_sql(tuple(changed), bool(encoded.origin))
        db.execute(sql, (*encoded.always, *values, *encoded.origin, n))

    def _answer(self, db: apsw.Connection, answers: Sequence[InboxAnswer], now: Instant) -> None:
        db.executemany(
            "update inbox set answer = ?, answered = ? where entry_id = ? and answer is null",
            [(a.answer, now, a.entry_id) for a in answers],
        )
        db.execute("delete from inbox where answer is not null and answered < ?", (now - ANSWERS_KEPT,))


def _label(db: apsw.Connection, n: int, labels: Mapping[str, str]) -> None:
    if labels:
        db.executemany("insert into label (key, value, saga) values (?, ?, ?)", [(k, v, n) for k, v in labels.items()])


def unlabel(db: apsw.Connection, n: int) -> None:
    """Take a saga off the index of its labels."""
    row: Any = db.execute("select labels from saga where n = ?", (n,)).fetchone()
    if row[0] is not None:
        rows = [(k, v, n) for k, v in json.loads(row[0]).items()]
        db.executemany("delete from label where key = ? and value = ? and saga = ?", rows)
