"""The walk over a message: compiled once for each kind of message, and one for all that there is to find."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from swit_saga_server.core import limits
from swit_saga_server.core.errors import InvalidDefinition, InvalidRequest, UnsupportedField, Violation
from swit_saga_server.wire.door.rules import Check, Fault
from swit_saga_server.wire.door.table import BETWEEN_FIELDS, between_fields, most_of, rule_of


def admit(message: Message, refusal: type[InvalidRequest] = InvalidRequest) -> None:
    """Return if every field of a message may be as it is, at any depth. What is output only is judged like the rest.

    Of many things wrong the first ``MAX_FAULTS`` are found.

    Raises:
        UnsupportedField: All that is wrong is not supported yet.
        InvalidDefinition: All of it lies within the request's definition.
        InvalidRequest: Or the class that ``refusal`` is: something is wrong. Each has a violation for everything.
    """
    faults = _plan(message.DESCRIPTOR).faults(message)
    if faults:
        if all(f.unsupported for f in faults):
            refusal = UnsupportedField
        elif all(f.path.startswith("definition.") for f in faults):
            refusal = InvalidDefinition
        raise refusal(tuple(Violation(f.path, f.description) for f in faults))


def violations(message: Message) -> Iterator[Violation]:
    """What is wrong with a message, as ``admit`` finds it, but for what is only not supported yet."""
    for fault in _plan(message.DESCRIPTOR).faults(message):
        if not fault.unsupported:
            yield Violation(fault.path, fault.description)


class _Plan:
    """The checks of one kind of message, by field."""

    def __init__(self, kind: Descriptor) -> None:
        self._checks: dict[FieldDescriptor, Check | None] = {}
        self._required: list[tuple[str, Check]] = []
        for field in kind.fields:
            rule = rule_of(field)
            self._checks[field] = check = _inner(field) if rule is None else rule.check
            if rule is not None and rule.required and check is not None:
                self._required.append((field.name, check))
        self._has_more = kind.name in BETWEEN_FIELDS

    def faults(self, message: Any) -> list[Fault]:
        found: list[Fault] = []
        most = limits.MAX_FAULTS
        checks = self._checks
        for field, value in message.ListFields():
            check = checks[field]
            if check is not None and (wrong := check(value)):
                found += islice(_of_field(field.name, wrong), most - len(found))
                if len(found) == most:
                    return found
        for name, check in self._required:
            if not (value := getattr(message, name)):
                found += _of_field(name, check(value) or ())
        if self._has_more:
            named = {fault.path for fault in found}
            found += [fault for fault in between_fields(message) if fault.path not in named]
        return found


@cache
def _plan(kind: Descriptor) -> _Plan:
    return _Plan(kind)


def _inner(field: FieldDescriptor) -> Check:
    """The check of a field that holds messages of this project."""
    assert field.message_type is not None
    kind, most = field.message_type, most_of(field)
    if not field.is_repeated:
        # Not made before it is needed: an error has a cause that is an error.
        return lambda value: _plan(kind).faults(value)

    def check_each(values: Any) -> Iterator[Fault]:
        if len(values) > most:
            yield Fault("", f"has {len(values)} items; at most {most}")
            return
        plan = _plan(kind)
        for i, value in enumerate(values):
            yield from _under(f"[{i}]", plan.faults(value))

    return check_each


def _of_field(name: str, wrong: str | Iterable[Fault]) -> Iterable[Fault]:
    return (Fault(name, wrong),) if isinstance(wrong, str) else _under(name, wrong)


def _under(name: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    for path, description, unsupported in faults:
        joint = "." if path and not path.startswith("[") else ""
        yield Fault(f"{name}{joint}{path}", description, unsupported)
