"""Definitions in YAML: every kind of field takes what it is for, and refuses the rest by its path."""

import re
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga_server.cli.definition_file import BadDefinitions, read_definitions

STEP = "id: x\nsteps: [{id: a, participant: p, %s}]"


def lines_of(text: str) -> list[str]:
    with pytest.raises(BadDefinitions) as bad:
        read_definitions(text, "f.yaml")
    return bad.value.lines


def test_what_is_right_is_read():
    (found,) = read_definitions(
        "id: x\ntimeout: 36525d\ndescription:\nmetadata: {n: 1, b: [true, null, 1.5]}\n"
        "retry_policy: {backoff: FIXED, initial_delay: 1500us, multiplier: 2, max_attempts: 3}\n"
        "steps: [{id: a, participant: p, rejected_status_codes: [NOT_FOUND], compensation: {disabled: true}}]",
        "f.yaml",
    )
    assert found.where == "f.yaml: 'x'"
    assert found.definition.timeout.ToSeconds() == 36_525 * 86_400
    assert found.definition.retry_policy.initial_delay.ToMicroseconds() == 1_500
    assert MessageToDict(found.definition.metadata) == {"n": 1.0, "b": [True, None, 1.5]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id: 3", r"f\.yaml: the definition: id: must be text, not 3; put it in quotes"),
        ("id: [a]", r".*: id: must be text, not a list.*"),
        ("id: {a: b}", r".*: id: must be text, not a mapping.*"),
        ("id: x\nsteps: {}", r"f\.yaml: 'x': steps: must be a list, not a mapping"),
        ("id: x\nsteps: [3]", r".*: steps\[0\]: must be a mapping, not 3"),
        ("id: x\nsteps:", r".*: steps: must be a list, not nothing"),
        ("id: x\ntimeout: 3000000d", r".*: timeout: '3000000d' is too long; the longest is 36525d, 100 years"),
        ("id: x\ntimeout: 99999999999999d", r".*: timeout: .* is too long.*"),
        ("id: x\ntimeout: .inf", r".*: timeout: '\.inf' is not a duration.*"),
        ("id: x\nretry_policy: {multiplier: 1.0e999}", r".*multiplier: inf is too large a number"),
        ("id: x\nretry_policy: {multiplier: .nan}", r".*multiplier: must be a number, not '\.nan'"),
        ("id: x\nretry_policy: {multiplier: true}", r".*multiplier: must be a number, not true"),
        ("id: x\nretry_policy: {max_attempts: -1}", r".*max_attempts: must be a whole number from 0 to 4294967295, .*"),
        ("id: x\nretry_policy: {max_attempts: 1.5}", r".*must be a whole number.*not 1\.5"),
        ("id: x\nretry_policy: {backoff: unspecified}", r".*'unspecified' is not one of none, fixed.*"),
        ("id: x\nmetadata: [1]", r".*: metadata: must be a mapping, not a list"),
        ("id: x\nmetadata: {1: a}", r".*: metadata: the key 1 is not text; put it in quotes"),
        ("id: x\nmetadata: {a: 1.0e999}", r".*: metadata\.a: inf is too large a number"),
        ("id: x\nmetadata: {a: [9007199254740993]}", r".*: metadata\.a\[0\]: .* is too large to be kept exactly.*"),
        (f"id: x\nmetadata: {{a: {'[' * 40}{']' * 40}}}", r".*lies too deeply within itself; 32 levels are the most"),
        (STEP % "compensation: {disabled: maybe}", r".*compensation\.disabled: must be true or false, not 'maybe'"),
        (STEP % "dance: 1", r".*: steps\[0\]: there is no 'dance'; known are id, .*"),
        (f"id: {'9' * 5000}", r"f\.yaml: a number of .* digits.* \(line 1, column 5\)"),
        ("[" * 1_500, r"f\.yaml: lists \w+ mappings lie too deep.*"),
        ("id: [", r"f\.yaml: expected the node content.* \(line 1, column 6\)"),
        ("id: x\0", r"f\.yaml: .* character .* not allowed .*"),
        ("a: b\n---\nc: d", r"f\.yaml: .*document.*"),
        ("definitions: []", r"f\.yaml: 'definitions' must be a list of at least one"),
        ("", r"f\.yaml: must be a mapping.*"),
    ],
    ids=lambda v: v[:30],
)
def test_what_is_wrong_is_named_by_its_path(text, line):
    (found,) = lines_of(text)
    assert re.fullmatch(line, found), found
    assert "\n" not in found
    assert len(found) < 500


def test_everything_wrong_in_a_file_is_named_by_place_and_id():
    steps = "steps: [{id: s, participant: p}]"
    assert lines_of(f"definitions: [{{id: a, {steps}}}, {{id: b, timeout: 3}}, 7, {{id: a, name: again}}]") == [
        "f.yaml: definitions[1] 'b': timeout: 3 is not a duration; write for example '30s', '1m30s' or '500ms'",
        "f.yaml: definitions[2]: must be a mapping, not 7",
        "f.yaml: definitions[3] 'a': the id is that of definitions[0], too",
    ]


def fields(message: Any, seen: frozenset[str] = frozenset()) -> Any:
    for field in message.fields:
        yield field
        kind = field.message_type
        if kind is not None and kind.full_name.startswith("swit_saga.") and kind.full_name not in seen:
            yield from fields(kind, seen | {kind.full_name})


def test_no_field_is_of_a_kind_that_is_not_read():
    """Maps and bytes would need words of their own."""
    for field in fields(SagaDefinition.DESCRIPTOR):
        assert field.type != field.TYPE_BYTES
        assert not (field.message_type is not None and field.message_type.GetOptions().map_entry), field.full_name
