"""What follows outside from a durable change: commands to participants, derived by comparing before and after.

Because commands are a *difference of states*, a command superseded within one round is never sent, and a restart
(``before=None``) yields exactly the commands that are out.
"""

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


def effects(before: Saga | None, after: Saga) -> list[Command | Withdraw]:
    """The commands to send and to withdraw once ``after`` is durable and ``before`` was.

    Args:
        before: The state last applied by this process; None if it applied none.
        after: The state just applied.
    """
    found: list[Command | Withdraw] = []
    for i, step in enumerate(after.steps):
        old = before.steps[i] if before is not None else None
        if old is step:
            continue
        _add_effects(found, Kind.EXECUTE, i, old.call if old else None, step.call)
        if step.compensation is not None:
            was = old.compensation.call if old and old.compensation else None
            _add_effects(found, Kind.COMPENSATE, i, was, step.compensation.call)
    return found


def _add_effects(found: list[Command | Withdraw], kind: Kind, index: int, old: Call | None, new: Call) -> None:
    if old is not None and old.in_flight:
        if old.attempts != new.attempts:
            found.append(Withdraw(kind, index, old.attempts))
        elif not new.in_flight:
            found.append(Withdraw(kind, index, new.attempts))
        elif old.resends == new.resends:
            return  # It is out already.
    if new.in_flight:
        found.append(Command(kind, index, new.attempts, new.resends))
