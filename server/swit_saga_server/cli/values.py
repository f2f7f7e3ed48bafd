"""Values of a saga as people read them, and what was left out of an answer that could not have all of them."""

import shlex

from swit_saga import Payload
from swit_saga.views import SagaView
from swit_saga_server.cli.screen import say, shown

LONGEST = 2_000
"""Characters of a value that are shown; a program takes ``--json``."""


def say_values(saga: SagaView) -> None:
    """What the steps that are shown were given and returned."""
    for step in saga.proto.step_states:
        say()
        say(shown(step.id))
        given = step.input_data if step.HasField("input_data") else None
        returned = step.output_data if step.HasField("output_data") else None
        for name, value in (("input", given), ("output", returned)):
            say(f"  {name:7} {_value(saga.id, step.id, value)}")


def say_left_out(saga: SagaView) -> None:
    """How much of the saga did not fit into its message, and how it is read; nothing if all did."""
    sizes = [(step.id, step.output_data.omitted_bytes) for step in saga.proto.step_states]
    total = sum(size for _, size in sizes) + saga.initial_data.omitted_bytes
    if not total:
        return
    first = next((step_id for step_id, size in sizes if size), saga.proto.step_states[0].id if sizes else "…")
    say()
    say(f"{_size(total)} of values left out, for they do not fit into one message; {_command(saga.id, first)}")


def _value(saga_id: str, step_id: str, value: Payload | None) -> str:
    if value is None:
        return "(none)"
    if value.omitted_bytes:
        return f"({_size(value.omitted_bytes)} left out; {_command(saga_id, step_id)})"
    if value.WhichOneof("data") != "text":
        return f"({_size(len(value.binary))} of {shown(value.content_type)})"
    if len(value.text) <= LONGEST:
        return shown(value.text)
    return f"{shown(value.text[:LONGEST])}… ({_size(len(value.text.encode()))} in all; --json has it)"


def _command(saga_id: str, step_id: str) -> str:
    return f"swit-saga get {shlex.quote(shown(saga_id))} --step {shlex.quote(shown(step_id))}"


def _size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
