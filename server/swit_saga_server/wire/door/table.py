"""Which rule a field has: by its type, unless its name or it alone has another.

So a field that is new is judged by its type from the first day.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from swit_saga_server.core import limits
from swit_saga_server.core.definition import low_cap, repeated_ids
from swit_saga_server.core.errors import Violation
from swit_saga_server.core.retry import DEFAULT_RETRY
from swit_saga_server.wire.basic import span
from swit_saga_server.wire.door import rules
from swit_saga_server.wire.door.rules import Fault, Rule
from swit_saga_server.wire.door.trees import SCALARS, TREE
from swit_saga_server.wire.unsupported import FIELDS

BY_NAME: dict[str, Rule] = {
    "saga_id": rules.ID,
    "saga_ids": rules.IDS,
    "step_id": rules.ID,
    "step_ids": rules.IDS,
    "definition_id": rules.ID,
    "definition_ids": rules.IDS,
    "participant": rules.ID,
    "action": rules.OPTIONAL_ID,
    "name": rules.WORD,
    "service": rules.WORD,
    "correlation_id": rules.WORD,
    "request_id": rules.WORD,
    "operator": rules.WORD,
    "types": rules.WORDS,
    "codes": rules.WORDS,
    "labels": rules.LABELS,
    "timeout": rules.POSITIVE,
    "total_timeout": rules.POSITIVE,
    "heartbeat_timeout": rules.POSITIVE,
    "heartbeat_interval": rules.HEARTBEAT,
    "overdue_by": rules.POSITIVE,
    "redelivery_delay": rules.POSITIVE,
    "content_type": rules.CONTENT_TYPE,
    "multiplier": rules.MULTIPLIER,
    "max_attempts": rules.ATTEMPTS,
    "page_size": rules.NOT_NEGATIVE,
    "traceparent": rules.IGNORED,
    "tracestate": rules.IGNORED,
}
"""Fields that mean the same wherever they are."""
BY_FIELD: dict[str, Rule] = {
    "StartSagaRequest.saga_id": rules.OPTIONAL_ID,
    "StartSagaRequest.definition_id": rules.OPTIONAL_ID,
    "ListDefinitionsRequest.definition_id": rules.OPTIONAL_ID,
    "SagaDefinition.id": rules.ID,
    "SagaDefinition.compensation_order": rules.IDS,
    "StepDefinition.id": rules.ID,
    "StepDefinition.depends_on": rules.IDS,
    "StepDefinition.rejected_status_codes": rules.STATUS_CODES,
    "SagaFilter.metadata": SCALARS,
    "WaitSagaRequest.timeout": rules.LENGTH,
    "DisableDefinitionRequest.version": rules.VERSION,
    "Payload.text": rules.CONTENT,
    "Payload.binary": rules.CONTENT,
    "Payload.omitted_bytes": rules.LEFT_OUT,
    "WaitSagasRequest.withdrawn": rules.WITHDRAWN,
}
"""Fields that are like no other."""
WELL_KNOWN: dict[str, Rule] = {
    "google.protobuf.Duration": rules.LENGTH,
    "google.protobuf.Timestamp": rules.MOMENT,
    "google.protobuf.Struct": TREE,
}
MOST: dict[str, int] = dict.fromkeys(("StartSagasRequest.items", "WaitSagasRequest.items"), limits.MAX_MESSAGE_ITEMS)
"""How many messages a repeated field may hold where that is not the ordinary number."""


def rule_of(field: FieldDescriptor) -> Rule | None:
    """The rule of a field; None of one that holds messages of this project, whose fields have theirs."""
    owner = _owner(field)
    if (refused := FIELDS.get(owner, {}).get(field.name)) is not None:
        return rules.one_of(field.enum_type, refused) if field.enum_type and refused else rules.UNSUPPORTED
    special = BY_FIELD.get(f"{owner}.{field.name}")
    if special is not None:
        return special
    if field.message_type is not None and not field.message_type.GetOptions().map_entry:
        if (known := WELL_KNOWN.get(field.message_type.full_name)) is None:
            return None
        return BY_NAME.get(field.name, known)
    if field.name in BY_NAME and field.enum_type is None:
        return BY_NAME[field.name]
    return _by_type(field)


def _owner(field: FieldDescriptor) -> str:
    """Its message, by the name that tells messages within each other apart."""
    assert field.containing_type is not None
    return field.containing_type.full_name.removeprefix("swit_saga.v1.")


def _by_type(field: FieldDescriptor) -> Rule:
    if field.enum_type is not None:
        return rules.every_one_of(field.enum_type) if field.is_repeated else rules.one_of(field.enum_type)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return rules.TEXTS if field.is_repeated else rules.TEXT
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return rules.NUMBER
    return rules.ANY


def most_of(field: FieldDescriptor) -> int:
    """How many messages a repeated field may hold."""
    return MOST.get(f"{_owner(field)}.{field.name}", limits.MAX_STEPS)


def _retry_policy(policy: Any) -> Iterable[Violation]:
    if not policy.HasField("max_delay"):
        return ()
    initial = span(policy.initial_delay) if policy.HasField("initial_delay") else DEFAULT_RETRY.initial_delay
    return low_cap(initial, span(policy.max_delay))


def _definition(definition: Any) -> Iterable[Violation]:
    if not definition.steps:
        return (Violation("steps", "must have at least one step"),)
    return repeated_ids(step.id for step in definition.steps)


BETWEEN_FIELDS: Mapping[str, Callable[[Any], Iterable[Violation]]] = {
    "RetryPolicy": _retry_policy,
    "SagaDefinition": _definition,
}
"""What the fields of a message must be to each other; the rules are the core's."""


def between_fields(message: Any) -> list[Fault]:
    """The faults of a message whose fields are each well by itself."""
    return [Fault(v.field, v.description) for v in BETWEEN_FIELDS[message.DESCRIPTOR.name](message)]
