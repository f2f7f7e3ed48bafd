"""Definitions in YAML pass the same door as those that are sent: refused with the file's name and the field's path."""

import pytest

from swit_saga_server.cli.definition_file import BadDefinitions, read_definitions

ORDER = "id: order\nsteps: [{id: a, participant: shop}, {id: b, participant: shop, %s}]\n"


def of_step(text: str) -> str:
    return ORDER % text


def deep(levels: int) -> str:
    return "{k: " * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (of_step("timeout: 3000000d"), "steps[1].timeout", "too long; the longest is 36525d, 100 years"),
        (of_step("timeout: 0s"), "steps[1].timeout", "must be greater than 0"),
        (of_step("delay: 1e400s"), "steps[1].delay", "is not a duration"),
        (of_step("delay: nan"), "steps[1].delay", "is not a duration"),
        (of_step("delay: -1s"), "steps[1].delay", "is not a duration"),
        (of_step("retry_policy: {multiplier: .nan}"), "steps[1].retry_policy.multiplier", "a number"),
        (of_step("retry_policy: {multiplier: 1.0e+300}"), "steps[1].retry_policy.multiplier", "1 and 1000"),
        (of_step("retry_policy: {max_attempts: 1000001}"), "steps[1].retry_policy.max_attempts", "1 and 1000000"),
        (of_step("retry_policy: {max_delay: 10ms}"), "steps[1].retry_policy.max_delay", "initial_delay"),
        (of_step("compensation: {timeout: 0s}"), "steps[1].compensation.timeout", "must be greater than 0"),
        (of_step("retry_policy: {max_attempts: 0}"), "steps[1].retry_policy.max_attempts", "0 stands for the default"),
        (of_step("retry_policy: {multiplier: 0.0}"), "steps[1].retry_policy.multiplier", "0 stands for the default"),
        (of_step("retry_policy: {max_attempts: 2.5}"), "steps[1].retry_policy.max_attempts", "a whole number"),
        (of_step("retry_policy: {max_attempts: true}"), "steps[1].retry_policy.max_attempts", "a whole number"),
        (of_step("compensation: {disabled: 1}"), "steps[1].compensation.disabled", "true or false"),
        (of_step("action: 7"), "steps[1].action", "text, not 7; put it in quotes"),
        (of_step("retry_policy: {multiplier: much}"), "steps[1].retry_policy.multiplier", "a number"),
        (of_step("metadata: {a: 9007199254740993}"), "steps[1].metadata.a", "put it in quotes"),
        (of_step("metadata: {1: a}"), "steps[1].metadata", "the key 1 is not text"),
        (of_step(f"metadata: {deep(33)}"), "steps[1].metadata", "deep"),
        (of_step("rejected_status_codes: [UNAVAILABLE]"), "steps[1].rejected_status_codes[0]", "certain no"),
        (of_step('rejected_status_codes: ["not_found"]'), "steps[1].rejected_status_codes[0]", "certain no"),
        (of_step("action: a/b"), "steps[1].action", "without '/'"),
        (of_step("name: " + "x" * 201), "steps[1].name", "201 characters"),
        (of_step("description: " + "x" * 4_097), "steps[1].description", "4097 bytes"),
        ("id: order", "steps", "at least one step"),
        ("id: ''\nsteps: [{id: a, participant: p}]", "id", "must not be empty"),
        ("id: a\nsteps: [{id: a, participant: p}, {id: a, participant: p}]", "steps[1].id", "an earlier step"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_path(text, where, what):
    two = "definitions:\n  - " + text.strip().replace("\n", "\n    ") + "\n  - {id: x, steps: []}\n"
    for sent, at in ((text, "order.yaml: "), (two, "order.yaml: definitions[0] ")):
        with pytest.raises(BadDefinitions) as refused:
            read_definitions(sent, "order.yaml")
        found = [line for line in refused.value.lines if line.startswith(at) and f": {where}" in line]
        assert found, refused.value
        assert what in found[0]


def test_all_that_is_wrong_in_a_definition_is_named_at_once():
    with pytest.raises(BadDefinitions) as refused:
        read_definitions(of_step("delay: 1d, timeout: 0s, action: a/b"), "f")
    assert [line.split(": ")[2] for line in refused.value.lines] == ["steps[1].action", "steps[1].timeout"]
