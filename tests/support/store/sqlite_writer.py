"""A process that writes to a SQLite store until it is killed, and says what was acknowledged.

Run as ``python -m tests.support.store.sqlite_writer FILE SAGAS``. Prints ``open``, then ``SAGA VERSION`` for each
write acknowledged, at once. Sagas found in the file are gone on with.
"""

import asyncio
import os
import sys

from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import MINUTE
from swit_saga_server.store.conformance.samples import change, start, step
from swit_saga_server.store.contract import Lease, Verdict, Write
from swit_saga_server.store.sqlite import SqliteStore


def next_write(before: Saga | None, saga_id: str) -> Write:
    """What follows: version 1, then one more with one event each, the version told in the second step."""
    if before is None:
        return start(saga_id)
    return change(before, steps={1: step(1, max_attempts=before.version + 1)})


async def run(path: str, sagas: int) -> None:
    """Write all sagas at the same time, for ever."""
    store = SqliteStore(path)
    await store.open()
    lease = await store.acquire(0, f"process-{os.getpid()}", MINUTE)
    assert lease is not None, "whoever held the file is gone, and its lease with it"
    say("open")
    await asyncio.gather(*(go_on(store, lease, f"saga-{n}") for n in range(sagas)))


async def go_on(store: SqliteStore, lease: Lease, saga_id: str) -> None:
    """One saga's writes, each built on the one before."""
    (saga,) = await store.load([saga_id])
    while True:
        write = next_write(saga, saga_id)
        assert await store.commit([write], {0: lease}) == [Verdict.APPLIED]
        saga = write.saga
        say(f"{saga_id} {saga.version}")


def say(line: str) -> None:
    """One write to the pipe: either all of the line arrives or nothing, however the process ends."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
