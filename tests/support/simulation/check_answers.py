"""What may be told to whoever asks for a saga, or waits for it (invariants 1, 2 and 13)."""

from collections.abc import Iterator

from swit_saga_server.core.model import Saga
from tests.support.simulation.case import Case
from tests.support.simulation.observed import Asked, Waited


def check_shown(asked: Asked, shown: Saga, case: Case) -> Iterator[tuple[int, str]]:
    """Nobody is shown what never was durable."""
    if shown.id != case.saga_id:
        yield 1, f"{asked.what}: was shown {shown.id!r}"
    elif not case.was_durable(shown):
        yield 1, f"{asked.what}: was shown version {shown.version} ({shown.state}), which was never durable"


def check_wait(asked: Asked, seen: Waited, case: Case) -> Iterator[tuple[int, str]]:
    """A wait says the truth about what it shows, and takes its time; an outcome that it tells is the only one."""
    state, waited = seen.saga.state, seen.at - asked.at
    wanted = " or ".join(asked.states) or "any outcome"
    is_there = state in asked.states if asked.states else state.is_terminal
    if seen.done and not is_there:
        yield 13, f"a wait for {wanted} was told that it is there, and was shown {state}"
    if is_there and not seen.done:
        yield 13, f"a wait for {wanted} was told that it is not there, and was shown {state}"
    if not state.is_terminal:
        if not seen.done and waited < asked.patience:
            yield 13, f"a wait for {wanted} ended after {waited} us; it had {asked.patience}"
        return
    if case.outcome not in (None, state) and not case.touched:
        yield 2, f"one wait was told that the saga is {case.outcome}, and another one that it is {state}"
    # After a rewind a memory may tell what was taken away: only what stands can be held to it.
    if case.stored is not None and case.stored.saga.state is state:
        case.outcome = state
    elif not case.touched:
        yield 2, f"a wait was told that the saga is {state}, and that is not stored"
