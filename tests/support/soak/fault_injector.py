"""Faults, dealt from a shuffled deck, so that every kind meets every pair as often as every other."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from examples.order_saga.processes import Process
from tests.support.link import Link
from tests.support.soak.testbed import LEASE_S, Testbed

LINK_FAULTS = ("cut", "delayed", "dropped", "refused")
PAUSE_S = (0.1, 0.7)
LASTS_S = (0.2, 2.5)


@dataclass(frozen=True, slots=True)
class Card:
    """One fault for one victim."""

    victim: str
    fault: str
    play: Callable[[], Awaitable[None]]


class FaultInjector:
    """Plays faults until it is told to stop; then everything is whole again.

    Attributes:
        played: How often, by (victim, fault).
    """

    def __init__(self, testbed: Testbed, chance: random.Random) -> None:
        self._testbed = testbed
        self._chance = chance
        self.played: Counter[tuple[str, str]] = Counter()
        self._at_work: set[str] = set()

    async def run(self, seconds: float) -> None:
        """Several faults at a time, never two on one victim. Returns when all is whole again."""
        until = asyncio.get_running_loop().time() + seconds
        deck: list[Card] = []
        async with asyncio.TaskGroup() as group:
            while asyncio.get_running_loop().time() < until:
                if not deck:
                    deck = self._deck()
                    self._chance.shuffle(deck)
                free = next((i for i, card in enumerate(deck) if card.victim not in self._at_work), None)
                if free is not None:
                    card = deck.pop(free)
                    self._at_work.add(card.victim)
                    group.create_task(self._play(card))
                await asyncio.sleep(self._chance.uniform(*PAUSE_S))
        for link in self._testbed.links.values():
            link.heal()

    async def _play(self, card: Card) -> None:
        self.played[card.victim, card.fault] += 1
        try:
            await card.play()
        finally:
            self._at_work.discard(card.victim)

    def _deck(self) -> list[Card]:
        cards = [
            Card(name, fault, lambda link=link, fault=fault: self._hurt(link, fault))  # type: ignore[misc]
            for name, link in self._testbed.links.items()
            for fault in LINK_FAULTS
        ]
        for process in self._testbed.processes:
            cards.append(Card(process.name, "killed", lambda p=process: self._kill(p)))  # type: ignore[misc]
        for process in self._testbed.coordinators:
            cards.append(Card(process.name, "stalled", lambda p=process: self._stall(p)))  # type: ignore[misc]
        cards.append(Card("redis", "killed", self._kill_redis))
        return cards

    def _moment(self) -> Awaitable[None]:
        return asyncio.sleep(self._chance.uniform(*LASTS_S))

    async def _hurt(self, link: Link, fault: str) -> None:
        match fault:
            case "delayed":
                link.delay_s = self._chance.uniform(0.05, 1.5)
            case "dropped":
                link.dropping = True
            case "refused":
                # New connections are only made if the old ones are gone.
                link.refusing = True
                link.cut()
            case "cut":
                link.cut()
        await self._moment()
        link.heal()

    async def _kill(self, process: Process) -> None:
        await process.kill()
        await self._moment()
        while True:
            try:
                await process.start()
                return
            except RuntimeError:  # As a supervisor does: Redis, or the way to it, may be away just now.
                self.played[process.name, "started in vain"] += 1
                await asyncio.sleep(0.2)

    async def _kill_redis(self) -> None:
        await asyncio.to_thread(self._testbed.redis.kill)
        await self._moment()
        await asyncio.to_thread(self._testbed.redis.start)

    async def _stall(self, process: Process) -> None:
        process.tell(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S * self._chance.uniform(0.5, 1.5))
        process.tell(signal.SIGCONT)
