"""The timeline, as a person reads it."""

from dataclasses import replace

from tests.support.simulation.checker import check
from tests.support.simulation.history_builder import HistoryBuilder
from tests.support.simulation.observed import Asked, Fault
from tests.support.simulation.timeline import timeline


def history() -> HistoryBuilder:
    built = HistoryBuilder()
    built.compensated()
    built.refuse(built.ask("cancel"), "SAGA_ALREADY_FINISHED")
    built.lose(built.ask("start", "b"))
    built.watch(1)
    built.watched()
    built.post("e1")
    built.see(Fault, kind="crash", on="c0.0")
    built.rewind(built.at - 2_000, built.saga, len(built.events))
    built.remain()
    return built


def test_every_observation_is_a_line():
    built = history()
    lines = timeline(built.seen).splitlines()
    assert len(lines) == len(built.seen)
    assert {line.split()[1] for line in lines} == {"client", "store", "plain", "barrier", "fault", "the"}
    assert len({line.index(line.split()[1]) for line in lines}) == 1


def test_a_line_says_who_saw_what():
    text = timeline(history().seen)
    for part in (
        "store        -         partition 0 -> c0 (epoch 1)",
        "client       s0        call 1: start a -> c0",
        "client       s0        call 1: version 1 pending [t0=pending/none t1=pending/none], created",
        "plain        s0        execute t0, attempt 1 (epoch 1)",
        "plain        s0        t0: +1",
        "barrier      s0        execute 1, attempt 1: rejected",
        "4 -> version 5 compensated by failure",
        "compensation.step.completed t0, compensation.completed",
        "client       s0        call 2: refused, SAGA_ALREADY_FINISHED",
        "client       s0        call 3: no answer",
        "client       s0        watcher 1: 1 saga.started",
        "client       s0        watcher 1: over",
        "store        s0        inbox: e1",
        "fault        -         crash on c0.0",
        "store        -         went back by 0.003000 s",
        "the end      s0        version 5 compensated by failure",
    ):
        assert part in text


def test_only_the_sagas_asked_for():
    built = history()
    (asked, *_) = (seen for seen in built.seen if isinstance(seen, Asked))
    other = replace(asked, saga_id="s9")
    lines = timeline([*built.seen, other], only=["s9"]).splitlines()
    assert [line.split()[2] for line in lines if line.split()[2] != "-"] == ["s9"]
    assert any("crash" in line for line in lines)


def test_what_is_wrong_stands_where_it_showed():
    built = HistoryBuilder()
    built.begin()
    built.receive(0, attempt=2)
    built.execute(0)
    built.on_to_second()
    built.remain()
    lines = timeline(built.seen, check(built.seen, built.expected)).splitlines()
    (at,) = (n for n, line in enumerate(lines) if "invariant 6" in line)
    assert "attempt 2" in lines[at - 1]
    assert lines[at].split()[1] == "WRONG"
    assert "invariant 14: it never ended" in lines[-1]
