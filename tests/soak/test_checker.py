"""The checker: sound records pass, and every forged one is caught under its invariant's number."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from swit_saga_server.core.states import Effect, SagaState
from tests.support.core.drive import Driven, chain, done, no
from tests.support.invariants import Violated
from tests.support.soak.checker import Books, Record, judge
from tests.support.soak.history import Life, Seen


def record(driven: Driven, order: dict[str, str], *, undone: bool = True) -> Record:
    """What an undisturbed life of this saga leaves behind."""
    saga = driven.saga
    shown = [(e.sequence, e.type, f"{e.type} {e.step_id}".encode()) for e in driven.events]
    final = Seen(saga.version, str(saga.state), saga.definition_version, b"final")
    life = Life(saga.id, dict(order), acknowledged=True, created=1, outcome=str(saga.state), impostors=["refused"])
    life.reads = [[Seen(1, "running", saga.definition_version, b"early"), final], [final]]
    life.watches = [list(shown)]
    calls, rejections, ledger = [], [], Counter[str]()
    for step in saga.steps:
        if step.call.attempts:
            calls.append((step.id, "execute", 1, 0))
            if order.get(step.id) == "reject":
                rejections.append((step.id, "execute", 1))
            else:
                ledger[step.id] += 1
        if step.compensation is not None and step.compensation.call.attempts:
            calls.append((step.id, "compensate", 1, 0))
            if order.get(step.id) == "stuck":
                rejections.append((step.id, "compensate", 1))
            else:
                ledger[step.id] -= 1
    return Record(life, saga, driven.events, driven.definition, shown, Books(calls, rejections, ledger))


def completed() -> Record:
    return record(Driven(chain("a", "b")).start().ran(0, done()).ran(1, done()), {})


def compensated() -> Record:
    driven = Driven(chain("a", "b")).start().ran(0, done()).ran(1, no("REFUSED")).undid(0)
    return record(driven, {"b": "reject"})


def cancelled() -> Record:
    made = record(Driven(chain("a", "b")).start().ran(0, done()).cancel().ran(1, done()).undid(1).undid(0), {})
    made.life.cancels = ["accepted"]
    return made


def failed() -> Record:
    driven = Driven(chain("a", "b")).start().ran(0, done()).ran(1, no("REFUSED")).undid(0, no("STUCK"))
    return record(driven, {"a": "stuck", "b": "reject"})


@pytest.mark.parametrize("make", [completed, compensated, cancelled, failed])
def test_sound_records_pass(make):
    judge(make())


def test_one_that_was_never_acknowledged_may_be_missing():
    judge(Record(Life("s", {}), None, [], None, [], Books()))


FORGERIES: list[tuple[int, str, Callable[[], Record], Callable[[Record], Record]]] = [
    (1, "acknowledged, and lost", completed, lambda r: replace(r, saga=None)),
    (2, "reported otherwise", completed, lambda r: edit(r, outcome="compensated")),
    (2, "went on after its end", completed, lambda r: edit(r, reads=[[Seen(1, "completed", 1, b"x")]])),
    (2, "cancelled, and completed", completed, lambda r: edit(r, cancels=["accepted"])),
    (2, "cancelled by nobody", cancelled, lambda r: edit(r, cancels=[])),
    (3, "another state than its events lead to", completed, lambda r: turn(r, state=SagaState.COMPENSATED)),
    (4, "versions go back", completed, lambda r: edit(r, reads=[r.life.reads[0][::-1]])),
    (4, "a version that is gone", completed, lambda r: edit(r, reads=[[Seen(99, "running", 1, b"x")]])),
    (5, "two states under one version", completed, lambda r: read(r, Seen(1, "running", 1, b"zombie"))),
    (6, "a call nobody intended", completed, lambda r: call(r, ("a", "execute", 2, 0))),
    (6, "an undoing nobody intended", completed, lambda r: call(r, ("a", "compensate", 1, 0))),
    (9, "completed with an effect missing", completed, lambda r: book(r, "a", -1)),
    (10, "compensated with an effect left", compensated, lambda r: book(r, "a", 1)),
    (10, "not undone, says the saga", compensated, lambda r: step(r, 1, effect=Effect.MAYBE)),
    (11, "rejected by nobody", compensated, lambda r: reject(r, [])),
    (11, "completed against the order", completed, lambda r: edit(r, order={"a": "reject"})),
    (11, "compensated without a cause", compensated, lambda r: edit(r, order={})),
    (12, "done twice", completed, lambda r: book(r, "a", 1)),
    (12, "undone twice", compensated, lambda r: book(r, "a", -1)),
    (13, "made twice", completed, lambda r: edit(r, created=2)),
    (13, "an impostor taken", completed, lambda r: edit(r, impostors=["refused", "taken"])),
    (14, "not over", completed, lambda r: turn(r, state=SagaState.RUNNING)),
    (15, "a watcher missed one", completed, lambda r: edit(r, watches=[[*r.shown[:1], *r.shown[2:]]])),
    (15, "a watcher saw one twice", completed, lambda r: edit(r, watches=[[*r.shown[:2], *r.shown[1:]]])),
    (15, "a watch ended early", completed, lambda r: edit(r, watches=[list(r.shown[:-1])])),
    (15, "a watcher saw what never was", completed, lambda r: edit(r, watches=[[(1, "ghost", b"")]])),
    (16, "failed without a cause", failed, lambda r: reject(r, [("b", "execute", 1)])),
    (16, "failed, and more remains than was stuck", failed, lambda r: book(r, "b", 1)),
    (17, "its definition is gone", completed, lambda r: replace(r, definition=None)),
    (17, "another definition", completed, lambda r: edit(r, reads=[[Seen(1, "running", 2, b"early")]])),
    (18, "called too often", completed, lambda r: call(r, ("a", "execute", 1, 0))),
]  # fmt: skip


def edit(r: Record, **changes: object) -> Record:
    return replace(r, life=replace(deepcopy(r.life), **changes))  # type: ignore[arg-type]


def turn(r: Record, **changes: object) -> Record:
    assert r.saga is not None
    return replace(r, saga=replace(r.saga, **changes))  # type: ignore[arg-type]


def step(r: Record, index: int, **changes: object) -> Record:
    assert r.saga is not None
    steps = list(r.saga.steps)
    steps[index] = replace(steps[index], **changes)  # type: ignore[arg-type]
    return turn(r, steps=tuple(steps))


def call(r: Record, made: tuple[str, str, int, int]) -> Record:
    return replace(r, books=Books([*r.books.calls, made], r.books.rejections, r.books.ledger))


def reject(r: Record, rejections: list[tuple[str, str, int]]) -> Record:
    return replace(r, books=Books(r.books.calls, rejections, r.books.ledger))


def read(r: Record, seen: Seen) -> Record:
    return edit(r, reads=[[seen], *r.life.reads])


def book(r: Record, step_id: str, change: int) -> Record:
    ledger = Counter(r.books.ledger)
    ledger[step_id] += change
    return replace(r, books=Books(r.books.calls, r.books.rejections, ledger))


@pytest.mark.parametrize(("number", "what", "make", "forge"), FORGERIES, ids=[f"{n}: {w}" for n, w, _, _ in FORGERIES])
def test_forged_records_are_caught(number, what, make, forge):
    with pytest.raises(Violated, match=f"^invariant {number}: "):
        judge(forge(make()))
