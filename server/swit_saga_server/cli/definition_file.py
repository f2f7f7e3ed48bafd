"""Files of definitions: one, or several in a list, each named in messages by its place and its id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga_server.cli.definition_values import converted
from swit_saga_server.core.errors import Portable
from swit_saga_server.wire.door import violations
from swit_saga_server.yaml_file import YamlError, load_yaml


class BadDefinitions(Portable, ValueError):
    """A file's definitions cannot be read.

    Attributes:
        lines: Everything wrong, each line naming file, definition and field.
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Found:
    """A definition of a file.

    Attributes:
        where: The file, its place in there and its id, for messages.
        definition: What is to be registered.
    """

    where: str
    definition: SagaDefinition


def read_definitions(text: str, name: str) -> list[Found]:
    """One definition, or those listed under ``definitions``.

    Args:
        text: The YAML.
        name: The file's, for messages.

    Raises:
        BadDefinitions: With everything wrong.
    """
    try:
        document = load_yaml(text)
    except YamlError as error:
        raise BadDefinitions([f"{name}: {error}"]) from error
    if not isinstance(document, dict):
        raise BadDefinitions([f"{name}: must be a mapping, either one definition or a list under 'definitions'"])
    listed = "definitions" in document and set(document) <= {"definitions"}
    items = document["definitions"] if listed else [document]
    if not isinstance(items, list) or not items:
        raise BadDefinitions([f"{name}: 'definitions' must be a list of at least one"])
    found: list[Found] = []
    wrong: list[str] = []
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        where = _where(name, index if listed else None, item)
        try:
            definition = _read(item)
            if first.setdefault(definition.id, index) != index:
                raise ValueError(f"the id is that of definitions[{first[definition.id]}], too")
            wrong += [f"{where}: {v.field}: {v.description}" for v in violations(definition)]
            found.append(Found(where, definition))
        except ValueError as error:
            wrong.append(f"{where}: {error}")
    if wrong:
        raise BadDefinitions(wrong)
    return found


def _where(name: str, index: int | None, item: Any) -> str:
    at = "" if index is None else f" definitions[{index}]"
    known = item.get("id") if isinstance(item, Mapping) else None
    return f"{name}:{at} {known!r}" if isinstance(known, str) else f"{name}:{at or ' the definition'}"


def _read(item: Any) -> SagaDefinition:
    values = converted(item, SagaDefinition.DESCRIPTOR, "")
    try:
        return ParseDict(values, SagaDefinition())
    except (ParseError, ValueError, TypeError) as error:
        raise ValueError(f"cannot be read: {error}") from error
