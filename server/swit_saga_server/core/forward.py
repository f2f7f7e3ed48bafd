"""Going forward: what the agenda calls for while nothing has stopped the saga."""

from swit_saga_server.core import attempts, executing
from swit_saga_server.core.agenda import Do, of_step
from swit_saga_server.core.draft import Draft
from swit_saga_server.core.events import EventType
from swit_saga_server.core.model import StepState
from swit_saga_server.core.states import SagaState, StepStatus
from swit_saga_server.core.stopping import finish


def go(draft: Draft) -> None:
    """Do whatever is due, until nothing more can be done without waiting, or the saga is stopped."""
    if draft.state is SagaState.PENDING:
        draft.begin()
    frontier = list(draft.graph.frontier(draft.steps))
    if not frontier:
        finish(draft, SagaState.COMPLETED)
        return
    under_way = False
    for step in frontier:
        _go_on(draft, step)
        if draft.stop_cause is not None:
            return
        under_way = under_way or draft.steps[step.index].status is StepStatus.RUNNING
    if draft.state is SagaState.RUNNING and not under_way:
        # The next step waits, and none is under way: the saga is between steps.
        draft.move(SagaState.STEP_COMPLETED, EventType.STATE_CHANGED)


def _go_on(draft: Draft, step: StepState) -> None:
    """Do what is due of one step whose turn has come."""
    at, do, index, kind = of_step(step)
    if do is Do.GIVE_UP:
        if draft.now < at:
            return
        executing.unanswered(draft, index, attempts.silence(draft, step.call))
        if draft.stop_cause is not None:
            return
        at = draft.steps[index].call.retry_at
    is_new = step.status is StepStatus.PENDING and not step.ready_at
    if is_new:
        at = draft.now + draft.definition.steps[index].delay
    if draft.now >= at and attempts.refusal(draft, index, kind) is None:
        if draft.state is SagaState.STEP_COMPLETED:
            draft.move(SagaState.RUNNING, EventType.STATE_CHANGED)
        attempts.intend(draft, index, kind)
    elif is_new:
        draft.set_step(index, ready_at=at)
