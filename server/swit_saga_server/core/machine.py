"""The saga machine: what follows when something happens. Pure and total; this page is its theory.

``decide(saga, definition, input, now)`` first takes the input in (an answer, a cancel, a takeover), then *advances*:
it does whatever the agenda calls for by now, until nothing more can be done without waiting. So the same few rules
drive a fresh start, a retry, a restart and a fired timer, and a lost or repeated wake-up does no harm.

Forward (``forward``): a step whose dependencies are passed is intended; its success intends the next in the same
transition; success of the last completes the saga. One that was done and returned what cannot be used fails for good,
its effect ``done``: it is undone like one that went well. An attempt without a certain answer is *in doubt* and is
retried under the same key (``attempts``).

Backward (``backward``): the first cause to stop (a step's failure, a cancel, the deadline: ``stopping``) fixes the
outcome. No step is intended any more; what is open is waited for, until it is answered or cannot start any longer; then
every step whose effect is done or in doubt is compensated, in the order that ``undo`` says.

The effect of a step is ``maybe`` from the moment its first attempt is intended. Only the participant's own rejection
sets it back to ``none``, and only if no other send of the step is in doubt: an earlier attempt may have taken the
last item and its reply been lost, and then the later OUT_OF_STOCK is its echo (``executing``).

What is waited for, until when, and what happens then is one list (``agenda``); what may not be intended although its
turn has come, the ``gate`` says. An input that is illegal in a state raises and changes nothing. A move that ``table``
forbids raises ``IllegalTransition``; the engine then sets that saga alone aside (``quarantine``).
"""

from typing import assert_never

from swit_saga_server.core import attempts, backward, compensating, executing, forward
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.draft import Decision, Draft
from swit_saga_server.core.errors import ErrorType, IllegalInput, SagaAlreadyFinished
from swit_saga_server.core.gate import OPEN, Gate
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Cancel, Input, TakenOver, Wake
from swit_saga_server.core.model import Saga
from swit_saga_server.core.stopping import cancel, check_deadline
from swit_saga_server.core.table import RECEPTION, Reception
from swit_saga_server.core.units import Instant


def decide(
    saga: Saga, definition: Definition, given: Input, now: Instant, chance: float, gate: Gate = OPEN
) -> Decision:
    """What follows when ``given`` happens to ``saga``.

    Args:
        saga: The saga as it is; never changed.
        definition: The very version the saga is pinned to.
        given: What happened.
        now: The time, by the store's clock; not before ``saga.updated_at``.
        chance: A uniform random number in [0, 1), for jitter.
        gate: What may be intended now. What it holds back waits, overdue; the saga's deadline runs on, the attempt's
            own times have not begun. Resends of what is open are not asked for.

    Returns:
        The saga after, its version one higher if anything changed; the events; and what the gate held back.

    Raises:
        SagaAlreadyFinished: A cancel came after another outcome.
        IllegalInput: The state does not take this input.
    """
    match RECEPTION[saga.state][type(given)]:
        case Reception.IGNORED:
            return Decision(saga)
        case Reception.ILLEGAL if saga.state.is_terminal:
            raise SagaAlreadyFinished(f"saga {saga.id!r} is already {saga.state}", saga_id=saga.id, state=saga.state)
        case Reception.ILLEGAL:
            raise IllegalInput(f"saga {saga.id!r} cannot take this while {saga.state}", saga_id=saga.id)
        case Reception.TAKEN:
            pass
    if saga.quarantined and isinstance(given, Wake) and now < saga.quarantined_until:
        return Decision(saga)
    draft = Draft(saga, definition, max(now, saga.updated_at), chance, gate)
    match given:
        case Wake():
            pass
        case TakenOver():
            _take_over(draft)
        case Cancel():
            cancel(draft, given)
        case Answered():
            take = executing.take if given.kind is Kind.EXECUTE else compensating.take
            take(draft, given)
        case _:
            assert_never(given)
    _advance(draft)
    return draft.decision()


def _advance(draft: Draft) -> None:
    """Do whatever is due, until nothing more can be done without waiting."""
    if draft.state.is_terminal:
        return
    check_deadline(draft)
    if draft.stop_cause is None:
        forward.go(draft)
    if draft.stop_cause is not None:
        backward.go(draft)


def _take_over(draft: Draft) -> None:
    """A former driver may have sent what is in flight: send it again, same attempt, and remember the doubt.

    A stopped saga's steps are not sent again: that could only make happen what would then have to be undone.
    """
    check_deadline(draft)
    for step in list(draft.steps):
        if step.call.in_flight and draft.stop_cause is None:
            attempts.resend(draft, step.index, Kind.EXECUTE)
        elif step.call.in_flight:
            text = "the coordinator restarted before the answer"
            executing.unanswered(draft, step.index, draft.made_up("ANSWER_LOST", text, ErrorType.SYSTEM))
        if step.compensation is not None and step.compensation.call.in_flight:
            attempts.resend(draft, step.index, Kind.COMPENSATE)
    if draft.before.quarantined:
        draft.release()
