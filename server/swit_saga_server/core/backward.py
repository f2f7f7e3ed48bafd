"""Going back: what the agenda calls for once the saga was stopped."""

from swit_saga_server.core import attempts, compensating, executing
from swit_saga_server.core.agenda import Do, Item, backward
from swit_saga_server.core.draft import Draft
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.model import CompensationState
from swit_saga_server.core.states import CompensationStatus
from swit_saga_server.core.stopping import OUTCOME_OF, fail, finish


def go(draft: Draft) -> None:
    """Do whatever is due, until nothing more can be done without waiting."""
    held_back: set[int] = set()
    while not draft.state.is_terminal:
        items = [item for item in backward(draft.steps) if item[2] not in held_back]
        due = next((item for item in items if item[0] <= draft.now or _is_needless(draft, item)), None)
        if due is None:
            return
        if not _do(draft, due):
            held_back.add(due[2])


def _is_needless(draft: Draft, item: Item) -> bool:
    """Whether it is the compensation of a step that has none: nothing is sent, so nothing need be waited for."""
    _, do, index, kind = item
    return do is Do.ATTEMPT and kind is Kind.COMPENSATE and draft.definition.steps[index].compensation.disabled


def _do(draft: Draft, item: Item) -> bool:
    """Do one thing; False if the gate does not let it."""
    _, do, index, kind = item
    match do:
        case Do.GIVE_UP:
            silence = attempts.silence(draft, attempts.call_of(draft.steps[index], kind))
            unanswered = executing.unanswered if kind is Kind.EXECUTE else compensating.unanswered
            unanswered(draft, index, silence)
        case Do.ATTEMPT if _is_needless(draft, item):
            skipped = CompensationState(status=CompensationStatus.SKIPPED, completed_at=draft.now)
            draft.set_step(index, compensation=skipped)
        case Do.ATTEMPT:
            if attempts.refusal(draft, index, kind) is not None:
                return False
            attempts.intend(draft, index, kind)
        case Do.FAIL:
            fail(draft, index)
        case Do.FINISH:
            assert draft.stop_cause is not None
            finish(draft, OUTCOME_OF[draft.stop_cause])
        case _:
            raise AssertionError(f"{item} has no place on the way back")
    return True
