"""Writing a round: each write encoded beforehand, then applied inside the one transaction of its round."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import apsw

from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import MINUTE, Instant, Span
from swit_saga_server.store import codec
from swit_saga_server.store.contract import Lease, Verdict, Write, partition_of

ANSWERS_KEPT: Span = 20 * MINUTE
"""Twice what the contract asks for."""

Row: TypeAlias = tuple[Any, ...]

_ALWAYS = ("version", "commit_id", "last_seq", "updated", "progress")
_IF_CHANGED = ("state", "expires", "due", "in_flight", "stuck")
"""Written only when they differ: an index is touched for every column named, not for every column changed."""
_ORIGIN = ("definition", "created", "labels", "metadata", "header")
"""Written only when the origin is said to have changed."""

_FIND = f"select n, version, commit_id, last_seq, {', '.join(_IF_CHANGED)} from saga where id = ?"
_INSERT = (
    f"insert into saga (id, part, {', '.join(_ALWAYS + _IF_CHANGED + _ORIGIN)})"
    f" values (?, ?{', ?' * len(_ALWAYS + _IF_CHANGED + _ORIGIN)}) returning n"
)
INSERT_DEFINITION = "insert or ignore into definition (id, version, digest, registered, data) values (?, ?, ?, ?, ?)"


@cache
def _update_sql(changed: tuple[int, ...], origin: bool) -> str:
    names = [*_ALWAYS, *(_IF_CHANGED[i] for i in changed), *(_ORIGIN if origin else ())]
    return f"update saga set {', '.join(f'{name} = ?' for name in names)} where n = ?"


class EncodedWrite:
    """A write as columns and blobs; made on the caller's thread, since the writer's is busy with the round before."""

    __slots__ = ("always", "data", "definition", "if_changed", "origin", "steps", "write")

    def __init__(self, write: Write) -> None:
        saga = write.saga
        self.write = write
        self.steps = [(i, codec.pack_step(saga.steps[i])) for i in write.changed_steps]
        self.data = codec.pack_events(write.events)
        self.definition = codec.pack_definition(write.definition) if write.definition is not None else None
        progress = codec.pack_progress(saga)
        self.always: Row = (saga.version, write.commit_id, saga.last_sequence, saga.updated_at, progress)
        self.if_changed: Row = (
            saga.state.value,
            _expires(saga),
            write.due_at,
            int(write.in_flight),
            int(saga.quarantined > 0),
        )
        self.origin = _origin(saga) if write.changed_origin else ()


def _origin(saga: Saga) -> Row:
    labels, metadata = _json(saga.labels), _json(saga.metadata)
    return saga.definition_id, saga.created_at, labels, metadata, codec.pack_header(saga)


def _expires(saga: Saga) -> Instant:
    # A failed saga is exempt from cleanup until it is resolved (invariant 16).
    return saga.completed_at if saga.state.is_terminal and saga.state is not SagaState.FAILED else 0


def _json(values: Mapping[str, Any]) -> str | None:
    return json.dumps(dict(values), sort_keys=True) if values else None


class RoundWriter:
    """Applies writes. Lives in the writer's thread; keeps the feed's position, which no one else moves."""

    def __init__(self, partitions: int, position: int) -> None:
        """Start where the file is.

        Args:
            partitions: Of the store.
            position: The greatest feed position ever used.
        """
        self._partitions = partitions
        self._position = position

    def commit(
        self, db: apsw.Connection, writes: Sequence[EncodedWrite], leases: Mapping[int, Lease], now: Instant
    ) -> Sequence[Verdict]:
        """Apply a round; see ``StateStorage.commit``."""
        current = {part: (epoch, nonce) for part, epoch, nonce in db.execute("select part, epoch, nonce from lease")}
        verdicts = []
        for write in writes:
            part = partition_of(write.write.saga.id, self._partitions)
            lease = leases.get(part)
            fenced = lease is None or current.get(part) != (lease.epoch, lease.nonce)
            verdicts.append(self._apply(db, write, part, now, fenced=fenced))
        return verdicts

    def create(self, db: apsw.Connection, write: EncodedWrite, now: Instant) -> Verdict:
        """Create a saga; see ``StateStorage.create``."""
        return self._apply(db, write, partition_of(write.write.saga.id, self._partitions), now, fenced=False)

    def delete(self, db: apsw.Connection, n: int) -> None:
        """Remove a saga with all that belongs to it."""
        _unlabel(db, n)
        for table, column in (("event", "saga"), ("step", "saga"), ("saga", "n")):
            db.execute(f"delete from {table} where {column} = ?", (n,))
        # The feed's latest position may have gone with the saga; it must not be used again after a restart.
        db.execute("update meta set value = ? where key = 'position'", (self._position,))

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
        if saga.version == version:
            # Nothing but inbox entries; the commit id still marks the resubmission.
            db.execute("update saga set commit_id = ? where n = ?", (write.commit_id, n))
        else:
            if last_seq + len(write.events) != saga.last_sequence:
                raise ValueError(f"the write of saga {saga.id!r} has events that do not continue after {last_seq}")
            if found:
                self._update(db, n, found[4:], encoded)
            else:
                n = self._insert(db, part, encoded)
            if encoded.steps:
                db.executemany(
                    "insert or replace into step (saga, i, data) values (?, ?, ?)",
                    [(n, *step) for step in encoded.steps],
                )
            if write.events:
                self._position += len(write.events)
                db.execute(
                    "insert into event (position, saga, seq, data) values (?, ?, ?, ?)",
                    (self._position, n, saga.last_sequence, encoded.data),
                )
        if write.answers:
            self._answer(db, write, now)
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
            _unlabel(db, n)
            _label(db, n, encoded.write.saga.labels)
        sql = _update_sql(tuple(changed), bool(encoded.origin))
        db.execute(sql, (*encoded.always, *values, *encoded.origin, n))

    def _answer(self, db: apsw.Connection, write: Write, now: Instant) -> None:
        db.executemany(
            "update inbox set answer = ?, answered = ? where entry_id = ? and answer is null",
            [(a.answer, now, a.entry_id) for a in write.answers],
        )
        db.execute("delete from inbox where answer is not null and answered < ?", (now - ANSWERS_KEPT,))


def _label(db: apsw.Connection, n: int, labels: Mapping[str, str]) -> None:
    if labels:
        db.executemany("insert into label (key, value, saga) values (?, ?, ?)", [(k, v, n) for k, v in labels.items()])


def _unlabel(db: apsw.Connection, n: int) -> None:
    row: Any = db.execute("select labels from saga where n = ?", (n,)).fetchone()
    if row[0] is not None:
        rows = [(k, v, n) for k, v in json.loads(row[0]).items()]
        db.executemany("delete from label where key = ? and value = ? and saga = ?", rows)
