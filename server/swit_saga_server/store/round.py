"""What every backend checks of a round before it writes any of it: the rules of ``Write`` that need no look at the
store. A backend checks one more: that the events continue the stored ones.
"""

from collections.abc import Sequence

from swit_saga_server.core.errors import UnstorableValue
from swit_saga_server.core.states import SagaState
from swit_saga_server.store.contract import InboxAnswer, Write

UNENCODABLE = (OverflowError, ValueError, TypeError, RecursionError)
"""What packing a value raises that no store can hold: too large a number, half a character, an object, too deep."""


def unstorable(what: str, error: Exception) -> UnstorableValue:
    """What to raise of a value that cannot be packed; ``what`` names whose it is."""
    return UnstorableValue(message=f"{what} has a value that cannot be stored: {type(error).__name__}: {error}")


def check_round(writes: Sequence[Write]) -> None:
    """Refuse a round that breaks the contract.

    Raises:
        ValueError: With the saga and the rule. It is a bug of the caller; nothing may be written.
    """
    seen = set()
    for write in writes:
        _check(write)
        if write.saga.id in seen:
            raise _broken(write, "stands in the round twice")
        seen.add(write.saga.id)


def check_create(write: Write) -> None:
    """Refuse anything but the creation of a pending saga, which alone may be written without a lease.

    Raises:
        ValueError: With the saga and the rule.
    """
    _check(write)
    if write.base_version != 0:
        raise _broken(write, f"builds on version {write.base_version}; a create builds on 0")
    if write.saga.state is not SagaState.PENDING:
        raise _broken(write, f"is {write.saga.state}; only a pending saga is created without a lease")
    if write.answers:
        raise _broken(write, "consumes inbox entries without a lease")


def check_reply(saga_id: str, answers: Sequence[InboxAnswer]) -> None:
    """Refuse a reply that answers nothing.

    Raises:
        ValueError: It is a bug of the caller.
    """
    if not saga_id or not answers:
        raise ValueError(f"the reply for saga {saga_id!r} answers nothing")


def _check(write: Write) -> None:
    saga = write.saga
    if not saga.id or len(write.commit_id.split()) != 1 or write.commit_id != write.commit_id.strip():
        raise _broken(write, "has no saga id, or no commit id without blanks")
    if saga.version <= write.base_version or write.base_version < 0:
        raise _broken(write, f"goes from version {write.base_version} to {saga.version}")
    if write.definition is not None and (write.base_version or saga.definition_version):
        raise _broken(write, "brings a definition, but does not create a saga that came with one")
    every = range(len(saga.steps))
    if write.base_version == 0 and sorted(write.changed_steps) != list(every):
        raise _broken(write, f"creates the saga, but lists steps {write.changed_steps} of {len(every)}")
    if write.base_version == 0 and not write.changed_origin:
        raise _broken(write, "creates the saga without its origin")
    for i in write.changed_steps:
        if i not in every:
            raise _broken(write, f"lists steps {write.changed_steps}, but has {len(every)}")
    for sequence, event in enumerate(write.events, saga.last_sequence - len(write.events) + 1):
        if event.sequence != sequence:
            raise _broken(write, f"has events that do not end, without a gap, at {saga.last_sequence}")


def _broken(write: Write, rule: str) -> ValueError:
    return ValueError(f"the write of saga {write.saga.id!r} {rule}")
