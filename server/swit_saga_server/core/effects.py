"""What follows outside from a durable change: commands to participants, derived by comparing before and after.

Because commands are a *difference of states*, a command superseded within one round is never sent, and a restart
(``before=None``) yields exactly the commands that are out.
"""

from collections.abc import Iterator

from swit_saga_server.core.inputs import Kind
from swit_saga_server.core.model import Call, Saga
from swit_saga_server.core.record import record


@record(frozen=True, slots=True)
class Command:
    """Ask the participant of step ``step_index`` to execute or compensate.

    ``engine.commands`` fills the rest from the saga and its definition.
    """

    kind: Kind
    step_index: int
    attempt: int
    resend: int


@record(frozen=True, slots=True)
class Withdraw:
    """The answer to this command no longer matters: cancel the call, best-effort."""

    kind: Kind
    step_index: int
    attempt: int


def effects(before: Saga | None, after: Saga) -> Iterator[Command | Withdraw]:
    """The commands to send and to withdraw once ``after`` is durable and ``before`` was.

    Args:
        before: The state last applied by this process; None if it applied none.
        after: The state just applied.
    """
    for i, step in enumerate(after.steps):
        old = before.steps[i] if before is not None else None
        if old is step:
            continue
        yield from _call_effects(Kind.EXECUTE, i, old.call if old else None, step.call)
        was = old.compensation.call if old and old.compensation else None
        if step.compensation is not None:
            yield from _call_effects(Kind.COMPENSATE, i, was, step.compensation.call)


def _call_effects(kind: Kind, index: int, old: Call | None, new: Call) -> Iterator[Command | Withdraw]:
    sent = old is not None and old.in_flight
    same = old is not None and (old.attempts, old.resends) == (new.attempts, new.resends)
    if sent and old is not None and old.attempts != new.attempts:
        yield Withdraw(kind, index, old.attempts)
    elif sent and not new.in_flight:
        yield Withdraw(kind, index, new.attempts)
    if new.in_flight and not (sent and same):
        yield Command(kind, index, new.attempts, new.resends)
