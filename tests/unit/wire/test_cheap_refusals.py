"""What is refused must be cheap: of what is wrong, or too much, the door looks at no more than it may."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import definition_pb2, definition_service_pb2
from swit_saga_server.core import limits
from swit_saga_server.core.errors import InvalidRequest, Violation
from swit_saga_server.wire.door import admit

NAN = float("nan")


def many_empty(number: int) -> Struct:
    """A list with so many values that are not even null: two bytes each."""
    made = Struct()
    made.fields["list"].list_value.MergeFromString(b"\x0a\x00" * number)
    return made


def many_in_many(number: int) -> Struct:
    made = Struct()
    for _ in range(number // 1_000):
        made.fields["list"].list_value.values.add().list_value.MergeFromString(b"\x0a\x00" * 1_000)
    return made


def many_keys(number: int) -> Struct:
    made = Struct()
    for n in range(number):
        made.fields[f"{n}"].null_value = 0  # type: ignore[assignment] # there is but one null
    return made


def many_nans(number: int) -> Struct:
    made = Struct()
    for _ in range(number):
        made.fields["list"].list_value.values.add(number_value=NAN)
    return made


TREES: dict[str, Callable[[int], Struct]] = {
    "empty": many_empty,
    "lists in a list": many_in_many,
    "keys": many_keys,
    "not a number": many_nans,
}


def refusal(request: Any) -> tuple[Violation, ...]:
    with pytest.raises(InvalidRequest) as refused:
        admit(request)
    return refused.value.violations


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_tree_of_too_many_values_is_not_walked_to_its_end(tree):
    (wrong,) = refusal(pb.StartSagaRequest(definition_id="order", metadata=tree(4 * limits.MAX_TREE_VALUES)))
    assert wrong.field == "metadata"
    assert wrong.description.startswith(f"has more than {limits.MAX_TREE_VALUES} values")


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_filter_has_a_few_values(tree):
    """Each is looked for in every saga, and SQLite takes a thousand conditions at most."""
    request = pb.ListSagasRequest(filter=pb.SagaFilter(metadata=tree(limits.MAX_TREE_VALUES)))
    assert len(refusal(request)) <= limits.MAX_FAULTS


def test_a_filter_of_too_many_keys_is_refused_by_its_path():
    request = pb.ListSagasRequest()
    for n in range(limits.MAX_FILTER_VALUES):
        request.filter.metadata[f"k{n}"] = n
    admit(request)
    request.filter.metadata["one more"] = 1
    (wrong,) = refusal(request)
    assert wrong.field == "filter.metadata"


def test_as_many_values_as_there_is_room_for_are_taken():
    made = Struct()
    for _ in range(limits.MAX_TREE_BYTES // len('"",') - 10):
        made.fields["list"].list_value.values.add(string_value="")
    admit(pb.StartSagaRequest(definition_id="order", metadata=made))


def wrong_steps() -> definition_pb2.SagaDefinition:
    """Three hundred thousand things wrong with one definition."""
    made = definition_pb2.SagaDefinition(id="order")
    for _ in range(limits.MAX_STEPS):
        step = made.steps.add(kind=77)
        step.rejected_status_codes.extend(["x"] * 300)
    return made


def test_of_many_things_wrong_only_so_many_are_looked_for():
    wrong = refusal(definition_service_pb2.RegisterDefinitionRequest(definition=wrong_steps()))
    assert len(wrong) == limits.MAX_FAULTS
    assert {"definition.steps[0].id", "definition.steps[0].kind"} <= {v.field for v in wrong}
    assert len(refusal(pb.StartSagaRequest(definition_id="order", metadata=many_nans(1_000)))) == limits.MAX_FAULTS
