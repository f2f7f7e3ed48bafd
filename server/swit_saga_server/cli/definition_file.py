"""Definitions as people write them in YAML: the protobuf's field names, durations such as ``30s``, lower-case enums."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError

from swit_saga.durations import parse_duration
from swit_saga.trees import tree
from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga_server.wire.door import violations
from swit_saga_server.yaml_file import YamlError, load_yaml


def read_definitions(text: str, name: str) -> list[SagaDefinition]:
    """One definition, or those listed under ``definitions``.

    Args:
        text: The YAML.
        name: The file's, for messages.

    Raises:
        ValueError: With file and field.
    """
    try:
        document = load_yaml(text)
    except YamlError as error:
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{name}: must be a mapping, either one definition or a list under 'definitions'")
    items = document["definitions"] if set(document) == {"definitions"} else [document]
    if not isinstance(items, list):
        raise ValueError(f"{name}: 'definitions' must be a list")
    if len(items) == 1:
        return [_read(items[0], name, ": ")]
    return [_read(item, f"{name}: definitions[{i}]", ".") for i, item in enumerate(items)]


def _read(item: Any, where: str, joint: str) -> SagaDefinition:
    try:
        read = ParseDict(_convert(item, SagaDefinition.DESCRIPTOR, where, joint), SagaDefinition())
    except ParseError as error:
        raise ValueError(f"{where}: {error}") from error
    wrong = [f"{where}{joint}{v.field}: {v.description}" for v in violations(read)]
    if wrong:
        raise ValueError("\n".join(wrong))
    return read


def _convert(value: Any, message: Descriptor, where: str, joint: str = ".") -> Any:
    """YAML's values as protobuf's JSON has them; ``joint`` stands between ``where`` and a field's name in messages."""
    if message.full_name == "google.protobuf.Struct":
        try:
            tree(value, where)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return value
    if message.full_name == "google.protobuf.Duration":
        try:
            return f"{parse_duration(value).total_seconds():.6f}s"
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: must be a mapping")
    made = {}
    for key, item in value.items():
        field = message.fields_by_name.get(str(key))
        if field is None:
            known = ", ".join(f.name for f in message.fields)
            raise ValueError(f"{where}: there is no {key!r}; known are {known}")
        at = f"{where}{joint}{key}"
        if field.is_repeated and isinstance(item, list):
            made[key] = [_field(one, field, f"{at}[{i}]") for i, one in enumerate(item)]
        else:
            made[key] = _field(item, field, at)
    return made


def _field(value: Any, field: FieldDescriptor, where: str) -> Any:
    if field.message_type is not None:
        return _convert(value, field.message_type, where)
    if field.enum_type is not None and isinstance(value, str):
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        name = prefix + value.upper()
        if name not in field.enum_type.values_by_name:
            known = ", ".join(v.name.removeprefix(prefix).lower() for v in field.enum_type.values[1:])
            raise ValueError(f"{where}: {value!r} is not one of {known}")
        return name
    return value
