"""The invariants (docs/invariants.md) on one saga: what customers saw, participants wrote down, and the store has.

Which invariant is judged where: 1, 2, 4, 5, 13, 15, 17 here, from the customers' records; 6, 11, 12, 18 here, from the
participants' books; 3, 7-10, 14, 16 by ``tests.support.invariants`` on the stored history, and 14 and 16 once more in
``judge_all``, on the store's indexes and lists.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState, StepStatus
from tests.support.invariants import check_history, require
from tests.support.soak.history import Life, Seen


@dataclass(frozen=True, slots=True)
class Books:
    """What the participants wrote down of one saga.

    Attributes:
        calls: (step, kind, attempt, resend), one for each call that arrived.
        rejections: (step, kind, attempt), one for each ``Reject``.
        ledger: Effects less undoings, by step.
    """

    calls: Sequence[tuple[str, str, int, int]] = ()
    rejections: Sequence[tuple[str, str, int]] = ()
    ledger: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of one saga at the end.

    Attributes:
        events: As stored.
        shown: The events as a watcher is shown them when all is calm: (sequence, type, content).
    """

    life: Life
    saga: Saga | None
    events: Sequence[SagaEvent]
    definition: Definition | None
    shown: Sequence[tuple[int, str, bytes]]
    books: Books


def judge(record: Record) -> None:
    """Raise ``Violated`` for the first invariant that does not hold."""
    life, saga, definition = record.life, record.saga, record.definition
    require(1, saga is not None or not life.acknowledged, f"{life.saga_id} was acknowledged and is lost")
    if saga is None:
        return
    require(17, definition is not None, f"{saga.id}: its definition is gone")
    assert definition is not None
    require(14, saga.state.is_terminal, f"{saga.id} is {saga.state}")
    check_history(saga, record.events, definition)
    _judge_customers(life, saga)
    _judge_watches(life, record.shown)
    _judge_books(saga, definition, record.books)
    _judge_outcome(life, saga, record.books)


def _judge_customers(life: Life, saga: Saga) -> None:
    require(13, life.created <= 1, f"{saga.id}: {life.created} starts were told that they had made it")
    require(13, "taken" not in life.impostors, f"{saga.id}: another order was taken for it")
    require(2, life.outcome in ("", saga.state), f"{saga.id}: {life.outcome} was reported, it is {saga.state}")
    by_version: dict[int, Seen] = {}
    for reader in life.reads:
        versions = [seen.version for seen in reader]
        require(4, versions == sorted(versions), f"{saga.id}: a reader saw its versions go {versions}")
        for seen in reader:
            known = by_version.setdefault(seen.version, seen)
            require(5, known.content == seen.content, f"{saga.id}: two states under version {seen.version}")
            require(4, seen.version <= saga.version, f"{saga.id}: version {seen.version} was seen and is gone")
            require(17, seen.definition_version == saga.definition_version, f"{saga.id}: changed its definition")
            over = SagaState(seen.state).is_terminal
            require(2, not over or seen.version == saga.version, f"{saga.id} was {seen.state}, and then went on")
    if "accepted" in life.cancels:
        require(2, saga.state is not SagaState.COMPLETED, f"{saga.id} was cancelled, and completed")


def _judge_watches(life: Life, shown: Sequence[tuple[int, str, bytes]]) -> None:
    for seen in life.watches:
        numbers = [sequence for sequence, _, _ in seen]
        require(15, numbers == list(range(1, len(seen) + 1)), f"{life.saga_id}: a watcher saw {numbers}")
        for one, stored in zip(seen, shown, strict=False):
            require(15, one == stored, f"{life.saga_id}: event {one[0]} was seen as {one[1]} and is {stored[1]}")
        require(15, len(seen) == len(shown), f"{life.saga_id}: a watch ended after {len(seen)} of {len(shown)}")


def _judge_books(saga: Saga, definition: Definition, books: Books) -> None:
    for step in saga.steps:
        for kind, call in (("execute", step.call), ("compensate", step.compensation and step.compensation.call)):
            came = [(a, r) for s, k, a, r in books.calls if (s, k) == (step.id, kind)]
            intended, resends = (call.attempts, call.resends) if call else (0, 0)
            where = f"{saga.id}/{step.id}: {kind}"
            require(6, all(a <= intended and r <= resends for a, r in came), f"{where} came as {came}, {call}")
            require(18, len(came) <= intended + resends, f"{where} came {len(came)} times, {call}")
        policy = definition.steps[step.index].retry_policy or saga.settings.retry_policy
        require(18, step.call.attempts <= policy.attempts_allowed, f"{saga.id}/{step.id}: {step.call}")
        net = books.ledger[step.id]
        require(12, net in (0, 1), f"{saga.id}/{step.id} was done {net} times")
        if step.status is StepStatus.FAILED and step.error is not None and step.error.code in ("REFUSED", "UNDONE"):
            said = any((s, k) == (step.id, "execute") for s, k, _ in books.rejections)
            require(11, said, f"{saga.id}/{step.id} counts as rejected, and nobody rejected it")


def _judge_outcome(life: Life, saga: Saga, books: Books) -> None:
    rejecting = {step for step, what in life.order.items() if what == "reject"}
    stuck = {s for s, kind, _ in books.rejections if kind == "compensate"}
    remains = {step.id for step in saga.steps if books.ledger[step.id]}
    match saga.state:
        case SagaState.COMPLETED:
            require(9, remains == {s.id for s in saga.steps}, f"{saga.id} is completed with {remains}")
            require(11, not rejecting & remains, f"{saga.id} is completed, and {rejecting} would reject")
        case SagaState.FAILED:
            require(16, stuck, f"{saga.id} is failed, and no undoing was refused")
            require(16, remains <= stuck | _before(saga, stuck), f"{saga.id}: {remains} remain, {stuck} was refused")
        case _:
            require(10, not remains, f"{saga.id} is {saga.state} with {remains} not undone")
            caused = saga.state is SagaState.CANCELLED or rejecting
            require(11, caused, f"{saga.id} is {saga.state} without a cause: {life.order}")
            require(2, saga.state is not SagaState.CANCELLED or life.cancels, f"{saga.id}: nobody cancelled it")


def _before(saga: Saga, stuck: set[str]) -> set[str]:
    """Steps whose undoing has to wait for that of one that is stuck."""
    last = max(s.index for s in saga.steps if s.id in stuck)
    return {s.id for s in saga.steps if s.index < last}
