"""The embedded store: one SQLite file, one process. The default.

All writes go through one thread and are committed in one transaction per call, WAL with synchronous=FULL, so that what
was acknowledged survives a power cut. Reads have a connection and a thread of their own and do not wait for commits.
apsw is used because it brings its own SQLite: Debian's is older than the fix of the WAL-reset corruption.

``store`` puts it together. A file per port of the contract; beneath them ``file`` (the open file), ``encode`` and
``decode`` (values to rows and back), ``writer`` (one write inside a transaction), ``position`` (of the feed), ``query``
(the SQL of a listing).
"""

from swit_saga_server.store.sqlite.clock import system_clock
from swit_saga_server.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "system_clock"]
