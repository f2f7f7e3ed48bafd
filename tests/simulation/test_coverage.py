"""Counting what was tested."""

from collections import Counter

from tests.support.simulation.coverage import SITUATIONS, WANTED, counted, missing
from tests.support.simulation.history_builder import HistoryBuilder
from tests.support.simulation.observed import Fault


def test_a_history_is_counted():
    built = HistoryBuilder()
    built.compensated()
    built.receive(0)
    built.remain()
    built.refuse(built.ask("cancel"), "SAGA_ALREADY_FINISHED")
    built.see(Fault, kind="crash", on="c0")
    counts = counted(built.seen)
    assert counts["outcomes"] == Counter({"compensated": 1})
    assert counts["verdicts"] == Counter({"create applied": 1, "applied": 4})
    assert counts["answers"] == Counter({"answered": 1, "SAGA_ALREADY_FINISHED": 1})
    assert counts["faults"] == Counter({"crash": 1})
    assert counts["situations"] == Counter({"step rejected for certain": 1, "execute after its step was undone": 1})


def test_what_was_never_seen_is_missing():
    nothing = missing({})
    assert len(nothing) == sum(len(names) for names in WANTED.values())
    assert "faults: crash (0)" in nothing


def test_what_was_seen_too_seldom_is_missing():
    counts = {kind: Counter(dict.fromkeys(names, 3)) for kind, names in WANTED.items()}
    assert missing(counts, 3) == []
    counts["situations"][SITUATIONS[0]] = 2
    assert missing(counts, 3) == [f"situations: {SITUATIONS[0]} (2)"]
