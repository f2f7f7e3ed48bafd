"""The timeline, as a person reads it."""

from dataclasses import replace

from tests.support.simulation.checker import check
from tests.support.simulation.history_builder import Tale
from tests.support.simulation.observed import Asked, Fault
from tests.support.simulation.timeline import timeline


def told() -> Tale:
    tale = Tale()
    tale.compensated()
    tale.refuse(tale.ask("cancel"), "SAGA_ALREADY_FINISHED")
    tale.lose(tale.ask("start", "b"))
    tale.watch(1)
    tale.watched()
    tale.post("e1")
    tale.see(Fault, kind="crash", on="c0.0")
    tale.rewind(tale.at - 2_000, tale.saga, len(tale.events))
    tale.remain()
    return tale


def test_every_observation_is_a_line():
    tale = told()
    lines = timeline(tale.seen).splitlines()
    assert len(lines) == len(tale.seen)
    assert {line.split()[1] for line in lines} == {"client", "store", "plain", "barrier", "fault", "the"}
    assert len({line.index(line.split()[1]) for line in lines}) == 1


def test_a_line_says_who_saw_what():
    text = timeline(told().seen)
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
    tale = told()
    (asked, *_) = (seen for seen in tale.seen if isinstance(seen, Asked))
    other = replace(asked, saga_id="s9")
    lines = timeline([*tale.seen, other], only=["s9"]).splitlines()
    assert [line.split()[2] for line in lines if line.split()[2] != "-"] == ["s9"]
    assert any("crash" in line for line in lines)


def test_what_is_wrong_stands_where_it_showed():
    tale = Tale()
    tale.begin()
    tale.receive(0, attempt=2)
    tale.execute(0)
    tale.on_to_second()
    tale.remain()
    lines = timeline(tale.seen, check(tale.seen, tale.expected)).splitlines()
    (at,) = (n for n, line in enumerate(lines) if "invariant 6" in line)
    assert "attempt 2" in lines[at - 1]
    assert lines[at].split()[1] == "WRONG"
    assert "invariant 14: it never ended" in lines[-1]
