"""A participant process that keeps books: effects once per key, undone for good, every call noted.

    python -m tests.support.soak.shop --name stock --books FILE --listen 127.0.0.1:PORT

What an order says to a step (``order[step_id]``): ``reject`` it, or have its undoing refused (``stuck``).
"""

import argparse
import asyncio
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

from swit_saga import Participant, Reject, StepContext
from tests.support.waiting import spend

STEPS = {"stock": ("reserve", "pack", "ship"), "bank": ("pay",)}
SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS undone (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ledger (saga TEXT, step TEXT, change INTEGER);
CREATE TABLE IF NOT EXISTS calls (saga TEXT, step TEXT, kind TEXT, attempt INTEGER, resend INTEGER);
CREATE TABLE IF NOT EXISTS rejections (saga TEXT, step TEXT, kind TEXT, attempt INTEGER);
"""


class Books:
    """One file; every method is one transaction, so that a kill leaves all of it or nothing."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # Outlives the process; the machine is not killed.
        self._db.executescript(SCHEMA)

    def note(self, table: str, step: StepContext, kind: str, *more: Any) -> None:
        values = (step.saga_id, step.step_id, kind, step.attempt, *more)
        self._db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)

    def take(self, step: StepContext) -> bool:
        """Take the effect, once; False if it was undone already, so that it never happens any more."""
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM undone WHERE key = ?", (step.key,)).fetchone():
                return False
            if db.execute("INSERT OR IGNORE INTO effects VALUES (?)", (step.key,)).rowcount:
                db.execute("INSERT INTO ledger VALUES (?, ?, 1)", (step.saga_id, step.step_id))
        return True

    def give_back(self, step: StepContext) -> None:
        """Undo the effect if it is there, and see that it never comes again."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO undone VALUES (?)", (step.execute_key,))
            if db.execute("DELETE FROM effects WHERE key = ?", (step.execute_key,)).rowcount:
                db.execute("INSERT INTO ledger VALUES (?, ?, -1)", (step.saga_id, step.step_id))

    def _transaction(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db  # Its context commits, or rolls back on an exception.


def make(name: str, books: Books) -> Participant:
    shop, chance = Participant(name), random.Random()

    async def execute(order: dict[str, Any], step: StepContext) -> dict[str, Any]:
        books.note("calls", step, "execute", step.resend)
        await spend(chance, 0.0, 0.05)
        if order.get(step.step_id) == "reject":
            books.note("rejections", step, "execute")
            raise Reject("REFUSED", "not this one")
        if not books.take(step):
            books.note("rejections", step, "execute")
            raise Reject("UNDONE", "it was undone before it began")
        await spend(chance, 0.0, 0.05)
        return order

    async def undo(order: dict[str, Any], output: Any, step: StepContext) -> None:
        books.note("calls", step, "compensate", step.resend)
        await spend(chance, 0.0, 0.05)
        if order.get(step.step_id) == "stuck":
            books.note("rejections", step, "compensate")
            raise Reject("STUCK", "cannot be given back")
        books.give_back(step)

    for step_id in STEPS[name]:
        shop.step(step_id)(execute).compensate(undo)
    return shop


async def serve(name: str, books: Path, listen: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with make(name, Books(books)).serve(listen) as server:
        print(f"port={server.port}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ("--name", "--books", "--listen"):
        parser.add_argument(option, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.name, Path(given.books), given.listen))
