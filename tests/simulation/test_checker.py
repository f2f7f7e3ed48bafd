"""The checker itself: for every invariant, histories that must pass and histories that must be caught."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import CompensationState
from swit_saga_server.core.states import CompensationStatus, Effect, SagaState, StepStatus, StopCause
from swit_saga_server.core.units import SECOND
from swit_saga_server.store.contract import Verdict
from tests.support.simulation.checker import check
from tests.support.simulation.history_builder import DEFINITION, ERROR, WITHOUT_UNDO, HistoryBuilder

History = Callable[[HistoryBuilder], None]
FINE: list[tuple[int, History]] = []
CAUGHT: list[tuple[int, History]] = []


def fine(*invariants: int) -> Callable[[History], History]:
    """This history breaks nothing, and touches these."""

    def add(history: History) -> History:
        FINE.extend((n, history) for n in invariants)
        return history

    return add


def caught(invariant: int) -> Callable[[History], History]:
    """This history breaks this one (perhaps others with it)."""

    def add(history: History) -> History:
        CAUGHT.append((invariant, history))
        return history

    return add


def named(cases: list[tuple[int, History]]) -> list[object]:
    return [pytest.param(n, history, id=f"{n}-{history.__name__}") for n, history in cases]


def build(history: History) -> HistoryBuilder:
    built = HistoryBuilder(WITHOUT_UNDO if history is nothing_to_undo_without_undo else DEFINITION)
    history(built)
    return built


# ---- 1: an acknowledged start is readable ----------------------------------------------------------------------------


@fine(1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 17, 18)
def goes_well(t: HistoryBuilder) -> None:
    t.completed()
    t.answer(t.ask("get"))
    t.remain()


@fine(1)
def lost_by_a_rewind(t: HistoryBuilder) -> None:
    before = t.at
    t.start()
    t.rewind(before, None)
    t.refuse(t.ask("get"), "SAGA_NOT_FOUND")


@fine(1)
def answered_by_memory_after_a_rewind(t: HistoryBuilder) -> None:
    before = t.at
    t.start()
    created = t.saga
    t.rewind(before, None)
    t.answer(t.ask("start", "a"), saga=created)


@caught(1)
def gone(t: HistoryBuilder) -> None:
    t.completed()


@caught(1)
def not_found(t: HistoryBuilder) -> None:
    t.completed()
    t.refuse(t.ask("get"), "SAGA_NOT_FOUND")
    t.remain()


@caught(1)
def rewind_that_took_nothing_away_excuses_nothing(t: HistoryBuilder) -> None:
    t.completed()
    t.rewind(t.at, t.saga, len(t.events))


@caught(1)
def shown_before_it_was_durable(t: HistoryBuilder) -> None:
    t.first_done()
    t.answer(t.ask("get"), saga=replace(t.now, version=t.now.version + 1, state=SagaState.COMPLETED))
    t.execute(1)
    t.complete()
    t.remain()


@caught(1)
def wait_shown_what_was_never_durable(t: HistoryBuilder) -> None:
    t.first_done()
    t.wait(
        SagaState.COMPENSATING, saga=replace(t.now, version=t.now.version + 1, state=SagaState.COMPENSATING), done=True
    )


@caught(1)
def wait_shown_another_saga(t: HistoryBuilder) -> None:
    t.first_done()
    t.wait(done=False, saga=replace(t.now, id="s9"))


# ---- 2: the outcome is unique ----------------------------------------------------------------------------------------


@caught(2)
def outcome_left(t: HistoryBuilder) -> None:
    t.completed()
    t.write(("saga.cancelled", {"to": "cancelled"}), state=SagaState.CANCELLED, stop_cause=StopCause.CANCEL)


@caught(2)
def touched_after_its_outcome(t: HistoryBuilder) -> None:
    t.completed()
    t.write()


@caught(2)
def ended_for_another_cause(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.compensate(0)
    t.end_compensated(stop_cause=StopCause.CANCEL)


@caught(2)
def last_event_of_another_outcome(t: HistoryBuilder) -> None:
    t.start()
    t.write(("saga.timed_out", {"to": "cancelled"}), state=SagaState.CANCELLED, stop_cause=StopCause.CANCEL)


@fine(2)
def another_outcome_after_a_rewind(t: HistoryBuilder) -> None:
    t.start()
    then, created = t.at, t.saga
    t.cancel_pending()
    t.rewind(then, created)
    t.lease()
    t.cancel_pending(state=SagaState.CANCELLED)
    t.remain()


@fine(2, 13)
def waited_for(t: HistoryBuilder) -> None:
    t.begin()
    t.wait(SagaState.RUNNING, patience=SECOND)
    t.execute(0)
    t.on_to_second()
    t.wait()
    t.execute(1)
    t.complete()
    t.wait()
    t.wait(SagaState.COMPENSATED, patience=SECOND)
    t.remain()


@fine(2)
def waited_for_what_a_rewind_took_away(t: HistoryBuilder) -> None:
    t.first_done()
    before, first, events = t.at, t.saga, len(t.events)
    t.execute(1)
    t.complete()
    t.wait()
    completed = t.saga
    t.rewind(before, first, events)
    t.wait(saga=completed, done=True)  # A memory that has not heard of it.
    t.reject(1)
    t.fail_second()
    t.compensate(0)
    t.end_compensated()
    t.wait()
    t.remain()


@fine(2)
def waited_for_an_outcome_and_another_one_came_back(t: HistoryBuilder) -> None:
    """Two rewinds: what the second one brings back had been taken away by the first."""
    t.first_done()
    before, first, events = t.at, t.saga, len(t.events)
    t.execute(1)
    t.complete()
    then, completed, all_events = t.at, t.saga, t.events
    t.rewind(before, first, events)
    t.reject(1)
    t.fail_second()
    t.compensate(0)
    t.end_compensated()
    t.wait()
    t.rewind(then, completed)
    t.events = all_events
    t.remain()


@caught(2)
def waits_told_two_outcomes(t: HistoryBuilder) -> None:
    t.completed()
    t.wait()
    t.wait(saga=replace(t.now, state=SagaState.FAILED), done=True)
    t.remain()


@caught(2)
def wait_told_an_outcome_before_it_was_stored(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.wait(saga=replace(t.now, state=SagaState.COMPLETED), done=True)
    t.complete()
    t.remain()


@caught(2)
def wait_told_an_outcome_that_was_left(t: HistoryBuilder) -> None:
    t.completed()
    t.wait()
    t.write(("saga.failed", {"to": "failed"}), state=SagaState.FAILED)
    t.remain()


# ---- 3: along the table ----------------------------------------------------------------------------------------------


@caught(3)
def leaps_from_pending_to_completed(t: HistoryBuilder) -> None:
    t.start()
    t.write(("saga.completed", {"to": "completed"}), state=SagaState.COMPLETED)


@caught(3)
def changes_state_without_an_event(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(state=SagaState.STEP_COMPLETED)


@caught(3)
def event_from_another_state(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.write(
        ("saga.step.completed", {"step_id": "t1", "to": "completed"}),
        ("saga.completed", {"previous_state": "step_completed", "new_state": "completed"}),
        steps={1: t.done(1)},
        state=SagaState.COMPLETED,
    )


@caught(3)
def step_goes_back_to_pending(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(steps={1: {"status": StepStatus.PENDING}})


# ---- 4: version, events and due time are one write -------------------------------------------------------------------


@fine(4)
def several_transitions_in_one_write(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(version=t.now.version + 3)
    t.remain()


@caught(4)
def applied_on_another_version(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(version=9, wrote={"base_version": 8})


@caught(4)
def changed_in_silence(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.saga = replace(t.now, source="another")
    t.complete()
    t.remain()


@caught(4)
def changed_under_its_version(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(version=t.now.version, source="another", wrote={"answers": t.post()})


@caught(4)
def events_with_a_gap(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(last_sequence=t.now.last_sequence + 3)


@caught(4)
def changed_step_not_listed(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(wrote={"changed_steps": (0,)})


@caught(4)
def remains_otherwise_than_written(t: HistoryBuilder) -> None:
    t.completed()
    t.remain(saga=replace(t.now, source="another"))


@caught(4)
def refused_without_reason(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(judged={"verdict": Verdict.CONFLICT})


# ---- 5: fencing ------------------------------------------------------------------------------------------------------


@fine(5)
def stale_writes_change_nothing(t: HistoryBuilder) -> None:
    t.first_done()
    epoch, nonce = t.holder()
    t.lease(owner="c1")
    t.execute(1)
    t.complete(judged={"verdict": Verdict.FENCED, "epoch": epoch, "nonce": nonce})
    t.complete()
    t.remain()


@fine(5)
def sent_again_after_a_takeover(t: HistoryBuilder) -> None:
    t.completed()
    epoch, nonce = t.holder()
    write, before = t.seen[-1].write, t.now  # type: ignore[union-attr]
    t.lease(owner="c1")
    t.writes -= 1
    t._commit(write.saga, write.events, {"base_version": write.base_version, "changed_steps": (1,)}, {
        "verdict": Verdict.ALREADY_APPLIED, "epoch": epoch, "nonce": nonce, "before": before})  # fmt: skip
    t.remain()


@caught(5)
def zombie_writes(t: HistoryBuilder) -> None:
    t.first_done()
    epoch, nonce = t.holder()
    t.lease(owner="c1")
    t.execute(1)
    t.complete(judged={"epoch": epoch, "nonce": nonce})
    t.remain()


@caught(5)
def writes_under_a_nonce_that_is_not_its_own(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(judged={"nonce": "another"})
    t.remain()


@caught(5)
def taken_for_applied(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(judged={"verdict": Verdict.ALREADY_APPLIED})


@caught(5)
def epoch_that_comes_again(t: HistoryBuilder) -> None:
    t.completed()
    t.lease(epoch=1)
    t.remain()


@caught(5)
def written_under_a_lease_that_a_rewind_took_away(t: HistoryBuilder) -> None:
    t.first_done()
    then, saga, events = t.at, t.saga, len(t.events)
    t.lease(owner="c1")
    t.rewind(then, saga, events)
    t.execute(1)
    t.complete()
    t.remain()


# ---- 6: no command before its intent ---------------------------------------------------------------------------------


@fine(6)
def intended_once_and_rewound(t: HistoryBuilder) -> None:
    t.start()
    then, created = t.at, t.saga
    t.write(
        ("saga.started", {"to": "running"}), ("saga.step.started", {"step_id": "t0", "to": "running"}),
        steps={0: t.intended(0)}, state=SagaState.RUNNING,
    )  # fmt: skip
    intended = t.saga
    t.rewind(then, created)
    t.saga = intended
    t.receive(0)
    t.saga = created
    t.cancel_pending()
    t.remain()


@caught(6)
def received_before_its_intent(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(1, attempt=1)
    t.execute(0)
    t.on_to_second()
    t.execute(1)
    t.complete()
    t.remain()


@caught(6)
def attempt_never_intended(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, attempt=2)


@caught(6)
def resend_never_intended(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, resend=1)


@caught(6)
def compensate_never_intended(t: HistoryBuilder) -> None:
    t.first_done()
    t.receive(0, Kind.COMPENSATE, attempt=1)


@caught(6)
def longer_than_intended(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, not_after=t.at + 100 * SECOND)


@caught(6)
def sent_twice_under_one_number(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.receive(0)


@caught(6)
def epoch_nobody_held(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, epoch=77)


@caught(6)
def wrong_participant(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, participant="barrier")


# ---- 7: in their order -----------------------------------------------------------------------------------------------


@caught(7)
def second_step_before_the_first(t: HistoryBuilder) -> None:
    t.begin()
    t.write(("saga.step.started", {"step_id": "t1", "to": "running"}), steps={1: t.intended(1)})


@caught(7)
def tried_again_after_the_stop(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.write(("retry.attempted", {"step_id": "t1"}), steps={1: {"call": t.intended(1)["call"]}})


@caught(7)
def intended_in_the_very_write_that_stops(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.write(
        ("saga.step.completed", {"step_id": "t0", "to": "completed"}),
        ("compensation.started", {"to": "compensating"}),
        ("saga.step.started", {"step_id": "t1", "to": "running"}),
        steps={0: t.done(0), 1: t.intended(1)},
        state=SagaState.COMPENSATING, stop_cause=StopCause.CANCEL, error=ERROR,
    )  # fmt: skip


# ---- 8: no attempt after success -------------------------------------------------------------------------------------


@fine(8, 18)
def retried_and_then_done(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0)
    t.say(0, "failed")
    t.write(("saga.step.failed", {"step_id": "t0"}), steps={0: {"call": t.settled(0, doubt=True, retry_at=t.at)}})
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: t.intended(0)})
    t.execute(0, attempt=2)
    t.on_to_second()
    t.execute(1)
    t.complete()
    t.remain()


@caught(8)
def tried_again_after_success(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: {"call": t.intended(0)["call"]}})


@caught(8)
def tried_again_in_the_very_write_of_its_success(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.write(
        ("saga.step.completed", {"step_id": "t0", "to": "completed"}),
        ("retry.attempted", {"step_id": "t0"}),
        steps={0: t.done(0)},
    )


# ---- 9: completed is completed ---------------------------------------------------------------------------------------


@caught(9)
def completed_with_an_open_step(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(("saga.completed", {"to": "completed"}), state=SagaState.COMPLETED)


@caught(9)
def completed_and_undone(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(steps={1: t.done(1), 0: t.undoing(0)})


@caught(9)
def completed_without_an_effect(t: HistoryBuilder) -> None:
    t.first_done()
    t.receive(1)
    t.say(1, "completed")
    t.complete()
    t.remain()


# ---- 10: undone is undone --------------------------------------------------------------------------------------------


@fine(2, 3, 10, 11, 12)
def fails_and_is_undone(t: HistoryBuilder) -> None:
    t.compensated()
    t.remain()


@fine(10)
def nothing_to_undo_without_undo(t: HistoryBuilder) -> None:
    t.second_rejected()
    step = {"status": StepStatus.FAILED, "effect": Effect.NONE, "call": t.settled(1)}
    skipped = {"compensation": CompensationState(status=CompensationStatus.SKIPPED)}
    t.write(
        ("saga.step.failed", {"step_id": "t1", "to": "failed"}),
        ("compensation.started", {"to": "compensating"}),
        ("compensation.completed", {"previous_state": "compensating", "new_state": "compensated"}),
        steps={1: step, 0: skipped}, state=SagaState.COMPENSATED, stop_cause=StopCause.FAILURE, error=ERROR,
    )  # fmt: skip
    t.remain()


@caught(10)
def skipped_though_it_can_be_undone(t: HistoryBuilder) -> None:
    nothing_to_undo_without_undo(t)  # Here its definition does not disable the undoing.


@caught(10)
def forgotten_effect(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second(
        steps={1: {"status": StepStatus.FAILED, "effect": Effect.NONE, "call": t.settled(1)}},
    )
    t.write(("compensation.completed", {"to": "compensated"}), state=SagaState.COMPENSATED)
    t.remain()


@caught(10)
def undone_by_nobody(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.end_compensated()
    t.remain()


@caught(10)
def books_say_otherwise(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.receive(0, Kind.COMPENSATE)
    t.say(0, "completed", Kind.COMPENSATE)
    t.end_compensated()
    t.remain()


@fine(6)
def the_networks_copy_comes_first(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, copy=2)
    t.execute(0)
    t.on_to_second()
    t.execute(1)
    t.complete()
    t.remain()


@fine(10, 12)
def books_after_a_doubled_message_without_barrier(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.receive(0, copy=2)
    t.on_to_second()
    t.reject(1)
    t.fail_second()
    t.compensate(0)
    t.book(0, +1)
    t.end_compensated()
    t.remain()


def _both_done_and_cancelled(t: HistoryBuilder, first_undone: int) -> None:
    t.first_done()
    t.execute(1)
    t.write(
        ("saga.step.completed", {"step_id": "t1", "to": "completed"}),
        ("compensation.started", {"to": "compensating"}),
        ("compensation.step.started", {"step_id": f"t{first_undone}", "previous_state": "completed",
                                       "new_state": "compensating"}),
        steps={i: t.done(i) | (t.undoing(i) if i == first_undone else {}) for i in (0, 1)},
        state=SagaState.COMPENSATING, stop_cause=StopCause.CANCEL, error=ERROR,
    )  # fmt: skip


def _undo_both(t: HistoryBuilder, first: int, second: int) -> None:
    _both_done_and_cancelled(t, first)
    t.compensate(first)
    t.write(
        ("compensation.step.completed", {"step_id": f"t{first}", "to": "compensated"}),
        ("compensation.step.started", {"step_id": f"t{second}", "to": "compensating"}),
        steps={first: t.undone(first), second: t.undoing(second)},
    )
    t.compensate(second)
    t.write(
        ("compensation.step.completed", {"step_id": f"t{second}", "to": "compensated"}),
        ("compensation.completed", {}),
        ("saga.cancelled", {"to": "cancelled"}),
        steps={second: t.undone(second)},
        state=SagaState.CANCELLED,
    )
    t.remain()


@fine(10)
def undone_in_reverse(t: HistoryBuilder) -> None:
    _undo_both(t, 1, 0)


@caught(10)
def undone_in_the_order_of_doing(t: HistoryBuilder) -> None:
    _undo_both(t, 0, 1)


@caught(10)
def undone_while_an_attempt_may_still_begin(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0)
    step = {"status": StepStatus.COMPENSATING, "call": t.settled(0, doubt=True)}
    t.write(
        ("saga.step.failed", {"step_id": "t0", "to": "failed"}),
        ("compensation.started", {"to": "compensating"}),
        ("compensation.step.started", {"step_id": "t0", "previous_state": "failed", "new_state": "compensating"}),
        steps={0: t.undoing(0) | step}, state=SagaState.COMPENSATING, stop_cause=StopCause.FAILURE, error=ERROR,
    )  # fmt: skip


# ---- 11: only the participant's own word -----------------------------------------------------------------------------


@caught(11)
def success_nobody_reported(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0)
    t.on_to_second()


@caught(11)
def rejection_nobody_reported(t: HistoryBuilder) -> None:
    t.first_done()
    t.receive(1)
    t.fail_second()
    t.compensate(0)
    t.end_compensated()
    t.remain()


@caught(11)
def rejection_of_the_second_attempt_says_nothing_of_the_first(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0)
    t.write(("saga.step.failed", {"step_id": "t0"}), steps={0: {"call": t.settled(0, doubt=True, retry_at=t.at)}})
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: t.intended(0)})
    t.reject(0, attempt=2)
    t.say(0, "rejected", attempt=1)
    t.write(
        ("saga.step.failed", {"step_id": "t0", "to": "failed"}),
        ("compensation.started", {"to": "compensating"}),
        ("compensation.completed", {"previous_state": "compensating", "new_state": "compensated"}),
        steps={0: {"status": StepStatus.FAILED, "effect": Effect.NONE, "call": t.settled(0)}},
        state=SagaState.COMPENSATED, stop_cause=StopCause.FAILURE, error=ERROR,
    )  # fmt: skip
    t.remain()


@caught(11)
def no_effect_but_in_the_books(t: HistoryBuilder) -> None:
    t.first_done()
    t.receive(1)
    t.book(1, +1)
    t.say(1, "rejected")
    t.fail_second()
    t.compensate(0)
    t.end_compensated()
    t.remain()


@caught(11)
def success_forgotten(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(steps={0: {"effect": Effect.MAYBE}})


# ---- 12: the barrier -------------------------------------------------------------------------------------------------


@caught(12)
def twice(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.book(0, +1)


@caught(12)
def undone_without_having_been_done(t: HistoryBuilder) -> None:
    t.begin()
    t.book(0, -1)


@caught(12)
def late_execute_past_the_barrier(t: HistoryBuilder) -> None:
    t.first_done()
    t.receive(1)
    t.say(1, "completed")
    t.say(1, "completed", Kind.COMPENSATE)
    t.book(1, +1)


@caught(12)
def wrong_key(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0, key="s0/t0/1")


@caught(12)
def compensate_that_does_not_name_what_it_undoes(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.receive(0, Kind.COMPENSATE, execute_key="")


# ---- 13: a duplicate gets the first answer ---------------------------------------------------------------------------


@fine(13)
def duplicates(t: HistoryBuilder) -> None:
    t.start()
    t.answer(t.ask("start", "a"))
    t.refuse(t.ask("start", "b"), "SAGA_ALREADY_EXISTS")
    t.lose(t.ask("start", "b"))
    t.cancel_pending()
    t.answer(t.ask("cancel"))
    t.answer(t.ask("cancel"))
    t.remain()


@caught(13)
def wait_said_to_be_there_too_early(t: HistoryBuilder) -> None:
    t.first_done()
    t.wait(SagaState.COMPLETED, done=True)


@caught(13)
def wait_said_not_to_be_there(t: HistoryBuilder) -> None:
    t.completed()
    t.wait(done=False)


@caught(13)
def wait_ended_before_its_time(t: HistoryBuilder) -> None:
    t.first_done()
    t.wait(SagaState.COMPLETED, patience=SECOND, done=False)


@fine(13)
def cancel_after_the_outcome(t: HistoryBuilder) -> None:
    t.completed()
    t.refuse(t.ask("cancel"), "SAGA_ALREADY_FINISHED")
    t.remain()


@fine(13)
def cancel_taken_away_by_a_rewind(t: HistoryBuilder) -> None:
    t.start()
    then, created = t.at, t.saga
    t.cancel_pending()
    t.answer(t.ask("cancel"))
    t.rewind(then, created)
    t.write(
        ("saga.started", {"to": "running"}), ("saga.step.started", {"step_id": "t0", "to": "running"}),
        steps={0: t.intended(0)}, state=SagaState.RUNNING,
    )  # fmt: skip
    t.execute(0)
    t.on_to_second()
    t.execute(1)
    t.complete()
    t.remain()


@caught(13)
def cancel_acknowledged_and_ignored(t: HistoryBuilder) -> None:
    t.first_done()
    call = t.ask("cancel")
    t.answer(call)
    t.execute(1)
    t.complete()
    t.remain()


@caught(13)
def another_start_wins_too(t: HistoryBuilder) -> None:
    t.start()
    t.answer(t.ask("start", "b"))
    t.cancel_pending()
    t.remain()


@caught(13)
def created_twice(t: HistoryBuilder) -> None:
    t.start()
    t.answer(t.ask("start", "a"), created=True)
    t.cancel_pending()
    t.remain()


@caught(13)
def same_start_refused(t: HistoryBuilder) -> None:
    t.start()
    t.refuse(t.ask("start", "a"), "SAGA_ALREADY_EXISTS")
    t.cancel_pending()
    t.remain()


@caught(13)
def second_cancel_refused(t: HistoryBuilder) -> None:
    t.start()
    t.cancel_pending()
    t.answer(t.ask("cancel"))
    t.refuse(t.ask("cancel"), "SAGA_ALREADY_FINISHED")
    t.remain()


@caught(13)
def refused_for_no_reason_of_the_client(t: HistoryBuilder) -> None:
    t.start()
    t.refuse(t.ask("get"), "INTERNAL")
    t.cancel_pending()
    t.remain()


@fine(13)
def torn_by_a_rewind(t: HistoryBuilder) -> None:
    before = t.at
    t.start()
    call = t.ask("start", "a")
    t.rewind(before, None)
    t.refuse(call, "SAGA_QUARANTINED")


@caught(13)
def parked_for_no_reason(t: HistoryBuilder) -> None:
    t.start()
    t.refuse(t.ask("start", "a"), "SAGA_QUARANTINED")
    t.cancel_pending()
    t.remain()


# ---- 14: always something that moves it ------------------------------------------------------------------------------


@fine(14)
def inbox_answered(t: HistoryBuilder) -> None:
    t.start()
    t.cancel_pending(wrote={"answers": t.post()})
    t.remain()


@fine(14)
def inbox_entry_that_changed_nothing(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    t.reply("e1")
    t.remain()


@caught(14)
def inbox_entry_whose_answer_was_refused(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    t.reply("e1", verdict=Verdict.FENCED)
    t.remain()


@caught(5)
def answered_under_a_former_lease(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    former = t.holder()
    t.lease()
    t.reply("e1", epoch=former[0], nonce=former[1])


@caught(4)
def answered_on_another_version(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    t.reply("e1", base_version=t.now.version - 1)


@caught(4)
def answer_refused_that_rests_on_what_is_stored(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    t.reply("e1", verdict=Verdict.CONFLICT)


@caught(4)
def changed_without_a_new_version(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(version=t.now.version)


@caught(14)
def never_due(t: HistoryBuilder) -> None:
    t.first_done()
    t.write(wrote={"due_at": 0})


@caught(14)
def never_ended(t: HistoryBuilder) -> None:
    t.first_done()
    t.remain()


@caught(14)
def out_of_a_takeovers_sight(t: HistoryBuilder) -> None:
    t.begin()
    t.execute(0)
    t.on_to_second(wrote={"in_flight": False})


@caught(14)
def went_on_past_its_deadline(t: HistoryBuilder) -> None:
    t.begin()
    t.at += 31 * 60 * SECOND
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: t.intended(0, not_after=t.at)})


@caught(14)
def command_that_outlives_the_deadline(t: HistoryBuilder) -> None:
    t.begin()
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: t.intended(0, not_after=t.at + 3600 * SECOND)})


@caught(14)
def inbox_never_answered(t: HistoryBuilder) -> None:
    t.completed()
    t.post()
    t.remain()


# ---- 15: watching ----------------------------------------------------------------------------------------------------


@fine(15)
def watched_in_parts(t: HistoryBuilder) -> None:
    t.first_done()
    t.watch(1, 2)
    t.lose(t.ask("watch"))
    t.execute(1)
    t.complete()
    t.watch(3, 4, 5, 6)
    t.watched()
    t.watch(1, 2, 3, 4, 5, 6, watcher=2)
    t.watched(watcher=2)
    t.remain()


@caught(15)
def gap(t: HistoryBuilder) -> None:
    t.completed()
    t.watch(1, 3)
    t.remain()


@caught(15)
def began_late(t: HistoryBuilder) -> None:
    t.completed()
    t.watch(2)
    t.remain()


@caught(15)
def repeat_across_a_resume(t: HistoryBuilder) -> None:
    t.completed()
    t.watch(1, 2, 2)
    t.remain()


@caught(15)
def event_that_is_not_durable(t: HistoryBuilder) -> None:
    t.first_done()
    later = t.events
    t.events += (replace(later[-1], sequence=5, type="saga.completed"),)
    t.watch(1, 2, 3, 4, 5)


@caught(15)
def over_too_early(t: HistoryBuilder) -> None:
    t.completed()
    t.watch(1, 2, 3)
    t.watched()
    t.remain()


@caught(15)
def over_before_the_outcome(t: HistoryBuilder) -> None:
    t.first_done()
    t.watch(1, 2, 3, 4)
    t.watched()


@caught(15)
def could_not_resume(t: HistoryBuilder) -> None:
    t.first_done()
    t.refuse(t.ask("watch"), "CURSOR_OUT_OF_RANGE")


@caught(15)
def history_with_a_gap(t: HistoryBuilder) -> None:
    t.completed()
    t.remain(events=t.events[1:])


# ---- 16: a failed compensation stays in sight ------------------------------------------------------------------------


def _undo_fails(t: HistoryBuilder, said: str = "rejected", why: SagaError | None = ERROR, **other: Any) -> None:
    t.second_rejected()
    t.fail_second()
    t.receive(0, Kind.COMPENSATE)
    t.say(0, said, Kind.COMPENSATE)
    step = t.undone(0, status=CompensationStatus.FAILED, error=why) | {"status": StepStatus.FAILED}
    usual: dict[str, Any] = {"steps": {0: step}, "state": SagaState.FAILED}
    t.write(
        ("compensation.step.failed", {"step_id": "t0", "to": "failed"}),
        ("compensation.failed", {"step_id": "t0"}),
        ("saga.failed", {"to": "failed"}),
        **usual | other,
    )
    t.remain()


@fine(16)
def fails_in_plain_sight(t: HistoryBuilder) -> None:
    _undo_fails(t)


@caught(16)
def fails_without_an_error(t: HistoryBuilder) -> None:
    _undo_fails(t, error=None)


@caught(16)
def fails_without_the_steps_error(t: HistoryBuilder) -> None:
    _undo_fails(t, why=None)


@caught(16)
def gives_up_too_early(t: HistoryBuilder) -> None:
    _undo_fails(t, said="failed")


@caught(16)
def passes_for_compensated(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    t.receive(0, Kind.COMPENSATE)
    t.say(0, "rejected", Kind.COMPENSATE)
    t.end_compensated(
        steps={0: t.undone(0, status=CompensationStatus.FAILED, error=ERROR) | {"status": StepStatus.FAILED}}
    )


# ---- 17: pinned ------------------------------------------------------------------------------------------------------


@caught(17)
def another_version_of_its_definition(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(definition_version=2)


@caught(17)
def another_definition_inline(t: HistoryBuilder) -> None:
    t.first_done()
    t.execute(1)
    t.complete(definition_digest="y")


# ---- 18: so many attempts and no more --------------------------------------------------------------------------------


@fine(18)
def resent_after_a_takeover_is_not_charged(t: HistoryBuilder) -> None:
    t.begin()
    t.receive(0)
    t.lease(owner="c1")
    t.write(steps={0: {"call": replace(t.now.steps[0].call, sends=2, doubt=True)}})
    t.execute(0)
    t.on_to_second()
    t.execute(1)
    t.complete()
    t.remain()


@caught(18)
def one_attempt_too_many(t: HistoryBuilder) -> None:
    t.begin()
    t.write(("retry.attempted", {"step_id": "t0"}), steps={0: t.intended(0, attempts=3)})


@caught(18)
def attempts_forgotten(t: HistoryBuilder) -> None:
    t.begin()
    t.write(steps={0: t.intended(0)})
    t.write(steps={0: t.intended(0, attempts=1)})


@caught(18)
def tried_again_too_soon(t: HistoryBuilder) -> None:
    t.begin()
    t.write(steps={0: {"call": t.settled(0, doubt=True, retry_at=t.at + SECOND)}})
    t.write(steps={0: t.intended(0)})


@caught(18)
def compensation_tried_too_often(t: HistoryBuilder) -> None:
    t.second_rejected()
    t.fail_second()
    comp = t.now.steps[0].compensation
    assert comp is not None
    t.write(steps={0: {"compensation": replace(comp, call=replace(comp.call, attempts=3))}})


# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("invariant", "history"), named(FINE))
def test_a_good_history_passes(invariant, history):
    built = build(history)
    assert [str(v) for v in check(built.seen, built.expected)] == []


@pytest.mark.parametrize(("invariant", "history"), named(CAUGHT))
def test_a_bad_history_is_caught(invariant, history):
    built = build(history)
    found = check(built.seen, built.expected)
    assert invariant in {v.invariant for v in found}, found
    assert all(v.what for v in found)


@pytest.mark.parametrize("cases", [FINE, CAUGHT], ids=["fine", "caught"])
def test_every_invariant_is_tested_both_ways(cases):
    assert {n for n, _ in cases} == set(range(1, 19))


def test_a_violation_says_where_and_when():
    built = build(never_ended)
    (violation,) = check(built.seen, built.expected)
    assert str(violation).startswith("invariant 14: s0: ")
    assert violation.at == built.at
