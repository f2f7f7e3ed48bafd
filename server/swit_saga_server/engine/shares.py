"""Who takes which partitions: a fair share each; and in a fleet of several versions, what only newer ones can read.

A coordinator that meets something newer than it reads *declines* the partition: while a newer one lives it gives that
partition up and does not take it again. So it is free and stays free, for the others have their fair shares. The
newest therefore look, now and then, for what is *left over*, and take that beyond their shares. ADR 21 has the reasons.
"""

from collections.abc import Collection, Iterator, Sequence

from swit_saga_server.core.units import NO_TIME, Span
from swit_saga_server.store.contract import Peer

KEPT_TERMS = 10
"""Lease terms for which what was left over is kept beyond a fair share; then it is offered to the others again."""


class Shares:
    """Says which partitions to give up and which to try to take. It does neither."""

    def __init__(self, owner: str, level: int, lease_term: Span) -> None:
        """Of the coordinator of that name, which reads that level."""
        self._owner = owner
        self._level = level
        self._term = lease_term
        self._partitions = self._share = self._first = 0
        self._newer_lives = self._is_newest_of_several = False
        self._newer_in: set[int] = set()
        """Partitions in which something newer was met."""
        self._left_over: dict[int, Span] = {}
        """What was taken beyond the share, and until when it is kept."""
        self._look_at = NO_TIME

    def met(self, peers: Sequence[Peer], partitions: int, held: Collection[int], now: Span) -> None:
        """Learn who lives: everything below rests on it.

        Args:
            peers: All that live, this one among them, sorted by owner.
            partitions: How many there are.
            held: Those held here.
            now: Plain time.
        """
        rank = [peer.owner for peer in peers].index(self._owner)
        levels = [peer.level for peer in peers]
        self._partitions = partitions
        self._share = partitions // len(peers) + (rank < partitions % len(peers))
        # Newcomers begin to look in different places, so as not to ask for the same ones.
        self._first = rank * partitions // len(peers)
        self._newer_lives = max(levels) > self._level
        if not self._newer_lives:
            self._newer_in.intersection_update(held)
        was, self._is_newest_of_several = self._is_newest_of_several, min(levels) < max(levels) == self._level
        if self._is_newest_of_several and not was:
            self._look_at = now + self._term // 4
        kept = self._left_over.items() if self._is_newest_of_several else ()
        self._left_over = {p: until for p, until in kept if p in held and until > now}

    def met_newer(self, partition: int) -> None:
        """Something in it is newer than this coordinator reads."""
        self._newer_in.add(partition)

    def taken(self, partition: int, held: int, now: Span) -> None:
        """It is held from now on, one of so many."""
        self._newer_in.discard(partition)
        if held > self._share:
            self._left_over[partition] = now + KEPT_TERMS * self._term

    def to_give_up(self, held: Sequence[int], now: Span) -> list[int]:
        """What is declined, and what goes beyond the share and was not left over by others."""
        declined = [p for p in held if self._is_declined(p)]
        spare = [p for p in held if p not in self._left_over and not self._is_declined(p)]
        excess = max(len(held) - len(declined) - self._share, 0)
        if given := declined + spare[max(len(spare) - excess, 0) :]:
            self._look_at = now + self._term // 2  # Others first, once it is free.
        return given

    def to_take(self, held: Collection[int]) -> Iterator[int]:
        """What to try next, one after the other, for as long as less than the share is held."""
        for partition in self._all():
            if len(held) >= self._share:
                return
            if partition not in held and not self._is_declined(partition):
                yield partition

    def left_over(self, held: Collection[int], now: Span) -> Iterator[int]:
        """What to try beyond the share: seldom, so that those who have less than theirs come first."""
        if not self._is_newest_of_several or now < self._look_at:
            return
        self._look_at = now + self._term // 4
        for partition in self._all():
            if partition not in held:
                yield partition

    def _is_declined(self, partition: int) -> bool:
        return self._newer_lives and partition in self._newer_in

    def _all(self) -> Iterator[int]:
        for i in range(self._partitions):
            yield (self._first + i) % self._partitions
