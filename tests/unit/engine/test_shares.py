"""Who takes which partitions, in fleets of one version and of several."""

from collections.abc import Mapping

from swit_saga_server.core.units import NO_TIME, SECOND, Span
from swit_saga_server.engine.shares import KEPT_TERMS, Shares
from swit_saga_server.store.contract import Peer

TERM = 8 * SECOND
PARTITIONS = 12


class Fleet:
    """Coordinators that take turns on one set of leases, as far as partitions go."""

    def __init__(self, levels: Mapping[str, int], partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.now = NO_TIME
        self.levels: dict[str, int] = {}
        self.shares: dict[str, Shares] = {}
        self.held: dict[str, list[int]] = {}
        self.newer: set[int] = set()
        """Partitions with something of the highest level in them."""
        self.moves = 0
        for owner, level in levels.items():
            self.join(owner, level)

    def join(self, owner: str, level: int) -> None:
        self.levels[owner] = level
        self.shares[owner] = Shares(owner, level, TERM)
        self.held[owner] = []

    def leave(self, owner: str) -> None:
        for kept in (self.levels, self.shares, self.held):
            kept.pop(owner)

    def turn(self, span: Span = TERM // 20) -> None:
        """Each looks once."""
        self.now += span
        peers = [Peer(owner, level) for owner, level in sorted(self.levels.items())]
        for owner, shares in self.shares.items():
            held = self.held[owner]
            shares.met(peers, self.partitions, held, self.now)
            for partition in shares.to_give_up(list(held), self.now):
                held.remove(partition)
            for tries in (shares.to_take(held), shares.left_over(held, self.now)):
                for partition in tries:
                    self._acquire(owner, partition)

    def _acquire(self, owner: str, partition: int) -> None:
        if any(partition in held for held in self.held.values()):
            return
        self.moves += 1
        self.held[owner].append(partition)
        self.shares[owner].taken(partition, len(self.held[owner]), self.now)
        if partition in self.newer and self.levels[owner] < 2:
            self.shares[owner].met_newer(partition)

    def run(self, terms: float = 2) -> "Fleet":
        for _ in range(int(20 * terms)):
            self.turn()
        return self

    @property
    def sizes(self) -> dict[str, int]:
        return {owner: len(held) for owner, held in self.held.items()}


def test_equals_share_evenly():
    fleet = Fleet({"a": 1, "b": 1, "c": 1}).run()
    assert fleet.sizes == {"a": 4, "b": 4, "c": 4}
    fleet.leave("b")
    assert fleet.run().sizes == {"a": 6, "c": 6}


def test_an_ordinary_upgrade_keeps_the_shares_even():
    """Nothing newer is written while an older one lives, so nobody is to have more than the others."""
    fleet = Fleet({"a": 1, "b": 1, "c": 1}).run()
    for owner in "abc":
        fleet.leave(owner)
        for _ in range(2):
            fleet.turn()
        assert sum(fleet.sizes.values()) == PARTITIONS
        fleet.join(owner, 2)
        fleet.run()
        assert set(fleet.sizes.values()) == {4}


def test_what_an_older_one_declines_is_taken_by_the_newest_beyond_their_shares():
    fleet = Fleet({"a": 1, "b": 2, "c": 1})
    fleet.newer = set(range(9))
    fleet.run(3)
    assert set(fleet.held["b"]) >= fleet.newer
    assert sum(fleet.sizes.values()) == PARTITIONS


def test_two_of_the_newest_share_it():
    fleet = Fleet({"a": 1, "b": 2, "c": 2})
    fleet.newer = set(range(PARTITIONS))
    fleet.run(2 * KEPT_TERMS)
    assert fleet.sizes["a"] == 0
    assert min(fleet.sizes["b"], fleet.sizes["c"]) >= 4


def test_an_older_one_keeps_what_it_cannot_read_while_no_newer_one_lives():
    fleet = Fleet({"a": 1})
    fleet.newer = {3}
    assert fleet.run().sizes == {"a": PARTITIONS}
    fleet.join("b", 2)
    fleet.run()
    assert 3 in fleet.held["b"]
    fleet.leave("b")
    assert fleet.run().sizes == {"a": PARTITIONS}


def test_nothing_moves_for_as_long_as_it_is_kept():
    """No flapping: what was declined moves once, and is offered again after many terms only."""
    fleet = Fleet({"a": 1, "b": 2})
    fleet.newer = set(range(PARTITIONS))
    fleet.run(2)
    assert fleet.sizes == {"a": 0, "b": PARTITIONS}
    moves = fleet.moves
    fleet.run(KEPT_TERMS - 3)
    assert fleet.moves == moves
    fleet.run(KEPT_TERMS)
    assert fleet.moves <= moves + PARTITIONS
    assert fleet.sizes == {"a": 0, "b": PARTITIONS}


def test_what_was_taken_too_soon_is_evened_out():
    """Those of one that died are free for a moment before it is known to be dead."""
    fleet = Fleet({"a": 1, "b": 2, "c": 1}).run()
    fleet.held["c"].clear()
    fleet.shares["c"] = Shares("c", 1, TERM)
    fleet.levels["c"] = 1
    free = PARTITIONS - sum(fleet.sizes.values())
    assert free == 4
    del fleet.shares["c"]  # It is said to live, and does nothing.
    fleet.run(1)
    assert fleet.sizes["b"] == 8
    fleet.shares["c"] = Shares("c", 1, TERM)
    fleet.run(KEPT_TERMS + 2)
    assert fleet.sizes == {"a": 4, "b": 4, "c": 4}


def test_three_levels():
    """One in the middle declines what only the highest reads; the highest takes what both declined."""
    fleet = Fleet({"a": 1, "b": 2, "c": 3})
    fleet.newer = {0, 1}
    fleet.run(3)
    assert not fleet.newer & set(fleet.held["a"])
    assert sum(fleet.sizes.values()) == PARTITIONS
