"""The feed's position: counted in memory, since nobody else writes the file, and never used twice."""

import apsw

from swit_saga_server.store.sqlite.file import SqliteFile

LAST_POSITION = "select max(coalesce((select max(position) from event), 0), value) from meta where key = 'position'"
"""The greatest that was ever used, also by events that went with their sagas."""


class FeedPosition:
    """The greatest feed position ever used, over all partitions. Moved in the writer's thread only.

    Attributes:
        value: The position; right after ``open``.
    """

    def __init__(self) -> None:
        self.value = 0

    async def open(self, file: SqliteFile) -> None:
        """Start where the file is."""
        ((self.value,),) = await file.rows(LAST_POSITION, ())

    def keep(self, db: apsw.Connection) -> None:
        """Write it down: the latest event may go with its saga, and its position must not be used again."""
        db.execute("update meta set value = ? where key = 'position'", (self.value,))
