"""A participant's own database, and the two rules that make its steps safe to repeat.

Every effect stands in one transaction with a row under the step's idempotency key. So a repeated Execute finds the row
and answers as before; a Compensate undoes what the row says; and a Compensate that comes first leaves a row that turns
a late Execute away.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from swit_saga import Reject

SCHEMA = "create table if not exists step (key text primary key, answer blob, undone integer not null default 0)"


class Database:
    """One SQLite file; a connection per transaction, so that any thread may use it."""

    def __init__(self, path: str | Path, schema: str) -> None:
        """Create what is missing."""
        self._path = str(path)
        with self.transaction() as db:
            db.execute(SCHEMA)
            db.execute(schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable at the end."""
        db = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        try:
            db.execute("begin immediate")
            yield db
            db.execute("commit")
        finally:
            db.close()  # An open transaction is rolled back.

    def once(self, key: str, effect: Callable[[sqlite3.Connection], bytes]) -> bytes:
        """Do ``effect`` unless ``key`` was done; its answer, or the first one's.

        Raises:
            Reject: The step was undone before it came.
        """
        with self.transaction() as db:
            row = db.execute("select answer, undone from step where key = ?", (key,)).fetchone()
            if row is None:
                answer = effect(db)
                db.execute("insert into step (key, answer) values (?, ?)", (key, answer))
                return answer
            if row[1]:
                raise Reject("ALREADY_COMPENSATED", "the step was undone before this attempt came")
            return bytes(row[0])

    def undo(self, key: str, effect: Callable[[sqlite3.Connection], object]) -> None:
        """Do ``effect`` if ``key`` was done and is not undone; then, or if it never was, turn late attempts away."""
        with self.transaction() as db:
            row = db.execute("select undone from step where key = ?", (key,)).fetchone()
            if row is not None and not row[0]:
                effect(db)
            db.execute(
                "insert into step (key, undone) values (?, 1) on conflict (key) do update set undone = 1", (key,)
            )
