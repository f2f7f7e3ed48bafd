"""Sagas, events and refused definitions as people and programs read them."""

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.views import ErrorView, EventView, SagaView, StepView
from swit_saga_server.cli.screen import moment, say, say_table, shown

HEADINGS = ("id", "definition", "state", "step", "created", "error")
FIRST_S, LAST_S = -62_135_596_800, 253_402_300_799
"""The first and the last second that JSON's times can be."""
LONGEST_S = 315_576_000_000
"""The longest that JSON's lengths of time can be, in seconds."""


def say_json(message: Message | dict[str, Any]) -> None:
    """An object as a line of JSON, for programs: a message under its fields' names."""
    say(json.dumps(as_json(message) if isinstance(message, Message) else message))


def as_json(message: Message) -> dict[str, Any]:
    """A message as JSON has it. What JSON cannot hold is shown as near as can be: the last time, a text "nan"."""
    try:
        return json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (ValueError, json_format.Error):
        # Written by versions that took anything.
        mended = type(message)()
        mended.CopyFrom(message)
        _mend(mended)
        return json_format.MessageToDict(mended, preserving_proto_field_name=True)


def say_saga(saga: SagaView, *, as_json: bool) -> None:
    """A saga with its steps."""
    if as_json:
        say_json(saga.proto)
        return
    _fact("saga", saga.id)
    _fact("definition", f"{saga.definition_id} version {saga.definition_version}")
    _fact("state", saga.state)
    _fact("created", moment(saga.created_at))
    if saga.due_at is not None:
        _fact("due", moment(saga.due_at))
    error, name = saga.error, "error"
    while error is not None:
        _fact(name, _error(error))
        error, name = error.cause, "because"
    rows = [("step", "state", "attempts", "error")]
    rows += [(s.id, s.state, f"{s.attempts}/{s.max_attempts}", _step_errors(s)) for s in saga.step_states]
    say_table(rows)


def saga_row(saga: SagaView) -> tuple[str, ...]:
    """A saga as a row under ``HEADINGS``."""
    step = f"{saga.current_step + 1}/{saga.total_steps}"
    error = saga.error.message if saga.error else ""
    return saga.id, saga.definition_id, saga.state, step, moment(saga.created_at), error


def say_event(event: EventView, *, as_json: bool) -> None:
    """An event, on a line."""
    if as_json:
        say_json(event.proto)
        return
    attempt = f" attempt {event.attempt}" if event.attempt > 1 else ""
    error = f"  {_error(event.error)}" if event.error else ""
    line = f"{event.sequence:4} {moment(event.at)} {event.type:32} {event.step_id}{attempt}{error}"
    say(shown(line.rstrip()))


def _fact(name: str, value: str) -> None:
    say(f"{name:10} {shown(value)}".rstrip())


def _error(error: ErrorView) -> str:
    return f"{error.code}: {error.message}"


def _step_errors(step: StepView) -> str:
    """The step's own error, and that of its undoing, which is said to be one."""
    parts: list[str] = []
    if step.error is not None:
        parts.append(_error(step.error))
    undoing = step.compensation_state
    if undoing is not None and undoing.error is not None:
        tried = f"{undoing.attempts}/{undoing.max_attempts}"
        parts.append(f"undoing it {undoing.state} ({tried}): {_error(undoing.error)}")
    return "; ".join(parts)


def _mend(message: Message) -> None:
    match message:
        case Timestamp():
            message.seconds = min(max(message.seconds, FIRST_S), LAST_S)
            message.nanos = min(max(message.nanos, 0), 999_999_999)
        case Duration():
            message.seconds = min(max(message.seconds, -LONGEST_S), LONGEST_S)
            low, high = (0, 999_999_999) if message.seconds > 0 else (-999_999_999, 0)
            low, high = (-999_999_999, 999_999_999) if message.seconds == 0 else (low, high)
            message.nanos = 0 if abs(message.seconds) == LONGEST_S else min(max(message.nanos, low), high)
        case Value() if message.WhichOneof("kind") == "number_value":
            if message.number_value - message.number_value != 0:  # NaN or infinite.
                message.string_value = str(message.number_value)
        case _:
            for field, value in message.ListFields():
                for part in _messages(field, value):
                    _mend(part)


def _messages(field: Any, value: Any) -> Iterable[Message]:
    if field.message_type is None:
        return ()
    if field.message_type.GetOptions().map_entry:
        return (v for v in value.values() if isinstance(v, Message))
    return value if field.is_repeated else (value,)
