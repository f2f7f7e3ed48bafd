"""Sagas from rows. Rows are read in the reader's thread and decoded in the caller's."""

from typing import Any, TypeAlias

import apsw

from swit_saga_server.core.errors import NewerRecord
from swit_saga_server.core.model import Saga
from swit_saga_server.store.codec import Codec

SagaRow: TypeAlias = tuple[bytes, bytes, list[bytes]]
"""A saga's origin, progress and steps."""


def read_saga(db: apsw.Connection, where: str, key: Any) -> SagaRow | None:
    """The rows of the one saga that fits ``where``; None if none does."""
    row = db.execute(f"select n, origin, progress from saga where {where}", (key,)).fetchone()
    if row is None:
        return None
    steps = [data for (data,) in db.execute("select data from step where saga = ? order by i", (row[0],))]
    return row[1], row[2], steps


def decode_saga(codec: Codec, saga_id: str, row: SagaRow) -> Saga:
    """The saga.

    Raises:
        NewerRecord: A newer version wrote it.
    """
    origin, progress, steps = row
    try:
        return codec.unpack_saga(origin, progress, tuple([codec.unpack_step(data) for data in steps]))
    except NewerRecord as newer:
        raise NewerRecord(f"saga {saga_id!r}: {newer}", saga_id=saga_id) from newer
