"""The store on one SQLite file, put together from its ports."""

from collections.abc import Callable
from pathlib import Path

from swit_saga_server.core.errors import StoreFault, StoreRefused
from swit_saga_server.core.units import Instant
from swit_saga_server.store.assembled import AssembledStore
from swit_saga_server.store.codec import PRESENT, Codec
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.sqlite.clock import system_clock
from swit_saga_server.store.sqlite.definitions import SqliteDefinitions
from swit_saga_server.store.sqlite.file import SqliteFile
from swit_saga_server.store.sqlite.hints import SqliteHints
from swit_saga_server.store.sqlite.inbox import SqliteInbox
from swit_saga_server.store.sqlite.leases import SqliteLeases
from swit_saga_server.store.sqlite.listing import SqliteListing
from swit_saga_server.store.sqlite.position import FeedPosition
from swit_saga_server.store.sqlite.reading import SqliteReading
from swit_saga_server.store.sqlite.retention import SqliteRetention
from swit_saga_server.store.sqlite.rounds import SqliteRounds


class SqliteStore(AssembledStore):
    """``StateStorage`` on one SQLite file. See ``contract`` for what its methods guarantee."""

    def __init__(
        self,
        path: str | Path,
        *,
        partitions: int = 1,
        clock: Callable[[], Instant] = system_clock,
        codec: Codec = PRESENT,
    ) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: The database file; its folder must exist. ``-wal``, ``-shm`` and ``-lock`` files stand beside it.
                ``:memory:`` keeps nothing.
            partitions: For a new file; an existing one keeps its own.
            clock: The store's clock.
            codec: What this version reads and writes; tests of upgrades hand in those of others.
        """
        self._file = file = SqliteFile(path, partitions)
        self._position = position = FeedPosition()
        hints, fleet = SqliteHints(), Fleet(codec)
        self._sqlite_leases = SqliteLeases(file, hints, fleet, clock)
        super().__init__(
            leases=self._sqlite_leases,
            rounds=SqliteRounds(file, position, hints, fleet, clock),
            inbox=SqliteInbox(file, hints),
            reading=SqliteReading(file, codec),
            listing=SqliteListing(file, codec),
            retention=SqliteRetention(file, position),
            definitions=SqliteDefinitions(file, fleet),
            hints=hints,
        )

    @property
    def partitions(self) -> int:
        """See the contract."""
        return self._file.partitions

    async def open(self) -> None:
        """See the contract."""
        if self._file.is_open:
            return
        await self._file.open()
        try:
            await self._position.open(self._file)
            await self._sqlite_leases.expire_all()
        except BaseException as error:
            damage = self._file.damage
            await self._file.close()
            if damage or isinstance(error, StoreFault):
                raise StoreRefused(damage or str(error)) from error
            raise
        self._file.begin_watch()

    async def close(self) -> None:
        """See the contract."""
        await self._file.close()

    @property
    def trouble(self) -> str:
        """See the contract."""
        return self._file.troubles.current
