"""What is wrong with a store now: said once when it begins, and once when it is over; and known to whoever asks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.logs import get_logger
from swit_saga_server.tasks import end

log = get_logger(__name__)

EVERY_S, TROUBLED_EVERY_S = 5.0, 1.0
"""How often the store is tried by itself: while all is well, and while something is wrong."""
FAULT_EVERY_S = 60.0
"""A fault is said again after so long, if it still happens."""
SUSPECTED_S = 1.0
"""A store from which nothing came for so long is said to be away, even if the try at it has no end yet."""
QUIET_S = 1.5
"""After the last failure nothing may have failed for so long, before it is said that all is well again."""


class Troubles:
    """One store's. Whoever calls the store notes what failed; a task of its own finds out whether it still would.

    A coordinator without work would never hear that its store takes writes again, nor that it no longer does.
    """

    def __init__(self, where: str, every_s: float | None = None) -> None:
        """Nothing is wrong yet.

        Args:
            where: Names the store in what is logged.
            every_s: How often it is tried while all is well, ``EVERY_S`` by default.
        """
        self._where = where
        self._every_s = every_s
        self._known: dict[str, str] = {}
        self._began_at = 0.0
        self._last_at = 0.0
        self._suspected_at = 0.0
        self._look = asyncio.Event()
        self._faults: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def current(self) -> str:
        """What was wrong last, in words; empty if nothing is."""
        return next(reversed(self._known.values())) if self._known else ""

    def note(self, what: str, text: str, *, is_sure: bool = True) -> None:
        """Something failed.

        Args:
            what: The kind of failure: each is said once, however often it happens.
            text: For a person, with what to do about it.
            is_sure: The store said so itself. A connection that is lost may be the only one: that is tried first.
        """
        self._last_at = time.monotonic()
        if not is_sure and not self._known and not self._suspected_at:
            self._suspected_at = self._last_at
            self._look.set()
        if is_sure or self._known or self._last_at - self._suspected_at > SUSPECTED_S:
            self._say(what, text)

    def _say(self, what: str, text: str) -> None:
        if not self._known:
            self._began_at = self._last_at
        if what not in self._known:
            log.error("store_unavailable", store=self._where, error=text)
        else:
            self._known.pop(what)  # The latest stands last.
        self._known[what] = text

    def fault(self, what: str, text: str) -> None:
        """Something that should not be, and says nothing of all else: it is only said, and not over and over."""
        now = time.monotonic()
        if now - self._faults.get(what, -FAULT_EVERY_S) >= FAULT_EVERY_S:
            self._faults[what] = now
            log.error("store_fault", store=self._where, error=text)

    def watch(self, probe: Callable[[], Awaitable[None]]) -> None:
        """Try the store every now and then, until ``close``. ``probe`` notes what fails, and raises it."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(probe))

    async def close(self) -> None:
        """Watch no more, and know of nothing. Safe to call twice, and before ``watch``."""
        if self._watching is not None:
            await end([self._watching])
            self._watching = None
        self._known.clear()

    async def _watch(self, probe: Callable[[], Awaitable[None]]) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TROUBLED_EVERY_S if self._known else self._every_s or EVERY_S):
                    await self._look.wait()
            self._look.clear()
            began_at = time.monotonic()
            try:
                await probe()
            except StoreUnavailable as unavailable:
                if not self._known and time.monotonic() - self._suspected_at < SUSPECTED_S:
                    await asyncio.sleep(SUSPECTED_S / 10)  # It may be one of several connections that were cut.
                    self._look.set()
                elif not self._known:  # Noted where it was raised, but not believed.
                    self.note("unreachable", str(unavailable))
                continue
            except Exception:
                log.exception("store_not_tried", store=self._where)
                continue
            self._suspected_at = 0.0
            if self._known and self._last_at < began_at and time.monotonic() - self._last_at > QUIET_S:
                self._known.clear()
                log.warning(
                    "store_available_again", store=self._where, after_s=round(time.monotonic() - self._began_at, 1)
                )
