"""A write as the round script takes it (see ``round.lua``)."""

from typing import Any

import msgpack

from swit_saga_server.core.states import SagaState
from swit_saga_server.store.codec import Writer
from swit_saga_server.store.contract import Lease, Write

_packer = msgpack.Packer(use_bin_type=False)
"""Lua knows one kind of string. Kept, for making one costs more than packing; of the event loop's thread alone."""


def encode_write(write: Write, partition: int, lease: Lease | None, writer: Writer) -> bytes:
    """The write, ready to be sent, in the order that ``round.lua`` unpacks; with no lease it is fenced, or a create."""
    saga = write.saga
    steps: list[Any] = []
    for i in write.changed_steps:
        steps += (f"s{i}", writer.pack_step(saga.steps[i]))
    answers: list[Any] = []
    for a in write.answers:
        answers += (a.entry_id, a.answer)
    # A failed saga is exempt from cleanup until it is resolved (invariant 16).
    ended = saga.state.is_terminal and saga.state is not SagaState.FAILED
    packed: bytes = _packer.pack(
        (
            partition,
            str(lease.epoch) if lease else "0",
            lease.nonce if lease else "",
            saga.id,
            write.base_version,
            write.commit_id,
            saga.last_sequence,
            [writer.pack_event(event) for event in write.events],
            _mutable(write, writer),
            steps,
            str(write.due_at),
            int(write.in_flight),
            saga.state.value,
            str(saga.created_at),
            str(saga.updated_at),
            str(saga.completed_at) if ended else "0",
            int(saga.quarantined > 0),
            answers,
            _origin(write, writer) if write.changed_origin else (),
        )
    )
    return packed


def _mutable(write: Write, writer: Writer) -> bytes:
    """The field that every transition writes: a line of words that scripts compare, and the progress. See ``keys``.

    Scripts and coordinators of other versions read the words, too: new ones are only ever appended to the line.
    """
    saga = write.saga
    words = (
        f"{saga.version} {write.commit_id} {saga.last_sequence} {saga.state.value} {write.due_at}"
        f" {write.in_flight:d} {saga.quarantined > 0:d} {len(saga.steps)}\n"
    )
    return words.encode() + writer.pack_progress(saga)


def _origin(write: Write, writer: Writer) -> tuple[bytes | str, ...]:
    saga = write.saga
    labels: bytes = _packer.pack([label(k, v) for k, v in saga.labels.items()])
    return writer.pack_origin(saga), labels, saga.definition_id, _definition(write, writer), saga.definition_digest


def _definition(write: Write, writer: Writer) -> bytes:
    if write.definition is None:
        return b""
    saga, data = write.saga, writer.pack_definition(write.definition)
    return bytes(msgpack.packb((saga.definition_digest, saga.created_at, data)))


def label(key: str, value: str) -> str:
    """The name of a label's index. The length keeps ``a=b`` + ``c`` and ``a`` + ``b=c`` apart."""
    return f"{len(key)}:{key}={value}"
