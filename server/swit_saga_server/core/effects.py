"""What follows outside from a durable change: commands to participants, derived by comparing before and after.

Because commands are a *difference of states*, a command superseded within one round is never sent, and a restart
(``before=None``) yields exactly the commands that are out.
"""

from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.model import Call, Saga
from swit_saga_server.core.record import record


@record(frozen=True, slots=True)
class Command:
    """Ask the participant of step ``step_index`` to execute or compensate.

    ``engine.commands`` fills the rest from the saga and its definition.
    """

    kind: Kind
    step_index: int
    send_id: SendId


@record(frozen=True, slots=True)
class CancelCommand:
    """The answer to this command no longer matters: cancel the call, best-effort."""

    kind: Kind
    step_index: int
    send_id: SendId


def effects(before: Saga | None, after: Saga) -> list[Command | CancelCommand]:
    """The commands to send and to cancel once ``after`` is durable and ``before`` was.

    Args:
        before: The state last applied by this process; None if it applied none.
        after: The state just applied.
    """
    found: list[Command | CancelCommand] = []
    for i, step in enumerate(after.steps):
        old = before.steps[i] if before is not None else None
        if old is step:
            continue
        _add_effects(found, Kind.EXECUTE, i, old.call if old else None, step.call)
        if step.compensation is not None:
            was = old.compensation.call if old and old.compensation else None
            _add_effects(found, Kind.COMPENSATE, i, was, step.compensation.call)
    return found


def _add_effects(found: list[Command | CancelCommand], kind: Kind, index: int, old: Call | None, new: Call) -> None:
    if old is not None and old.in_flight:
        if old.attempts != new.attempts or not new.in_flight:
            found.append(CancelCommand(kind, index, old.send_id))
        elif old.sends == new.sends:
            return  # This send is out already.
    if new.in_flight:
        found.append(Command(kind, index, new.send_id))
