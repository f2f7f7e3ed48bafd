"""Which partitions to look into next: those that a hint named, at once; all that are held, every now and then."""

import asyncio
from collections.abc import Iterable


class PollSchedule:
    """For one who looks into partitions, one after the other, for ever."""

    def __init__(self) -> None:
        self._named: dict[int, None] = {}
        self._all_named = True
        self._some = asyncio.Event()
        self._looked_at = 0.0

    def name(self, partition: int) -> None:
        """Something may be new in this one. Lost if it is not held when its turn comes: its holder hears, too."""
        self._named[partition] = None
        self._some.set()

    def name_all(self) -> None:
        """Something may be new in any."""
        self._all_named = True
        self._some.set()

    async def next(self, held: Iterable[int], every_s: float) -> tuple[list[int], bool]:
        """Wait until there is something to look into.

        Args:
            held: The partitions held, whenever it is asked.
            every_s: From one look into all of them to the next, at most.

        Returns:
            The partitions, and whether these are all.
        """
        loop = asyncio.get_running_loop()
        all_at = self._looked_at + every_s
        while True:
            self._some.clear()
            if self._all_named or loop.time() >= all_at:
                self._all_named, self._looked_at = False, loop.time()
                self._named.clear()
                return list(held), True
            named, self._named = self._named, {}
            holding = set(held)
            if found := [partition for partition in named if partition in holding]:
                return found, False
            try:
                async with asyncio.timeout_at(all_at):
                    await self._some.wait()
            except TimeoutError:
                self._all_named = True
