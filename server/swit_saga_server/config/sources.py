"""Where options come from: the file as it is read, the shape every source must have, and which goes before which."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from swit_saga_server.config import names
from swit_saga_server.config.section import ConfigError
from swit_saga_server.yaml_file import YamlError, load_yaml

MAX_FILE_BYTES = 1 << 20


def read_file(path: str | Path) -> Any:
    """What a YAML file says; nothing in it is no option set.

    Raises:
        ConfigError: It cannot be read, is larger than ``MAX_FILE_BYTES``, or is no YAML.
    """
    problem = ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            problem = f"is larger than {MAX_FILE_BYTES} bytes"
        else:
            return load_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as wrong:
        problem = f"is not UTF-8 (byte {wrong.start + 1})"
    except OSError as unreadable:
        problem = unreadable.strerror or type(unreadable).__name__
    except YamlError as wrong:
        problem = str(wrong)
    # Outside of the handlers: what they caught may hold parts of the file.
    raise ConfigError(f"{path}: {problem}")


def shaped(values: Any, root: type[BaseModel], source: str) -> tuple[dict[str, Any], list[str]]:
    """A source's options with all that is a section a mapping, and what is wrong with the others and with keys.

    Each source is looked at by itself: what goes before it must not hide what is wrong with it.
    """
    problems: list[str] = []
    if values is not None and not isinstance(values, Mapping):
        return {}, [f"{source}: must be a mapping of sections"]

    def section(values: Mapping[Any, Any], path: names.Path) -> dict[str, Any]:
        model = names.section_at(root, path)
        kept: dict[str, Any] = {}
        for key, value in values.items():
            inner = (*path, str(key))
            if not isinstance(key, str):
                problems.append(f"{source}: {names.dotted(inner)}: a key must be text; put it in quotes if it is")
            elif model is not None and key not in model.model_fields:
                problems.append(f"{source}: {names.dotted(inner)}: {names.unknown_key(key, model)}")
            elif inner != (names.PARTICIPANTS,) and names.section_at(root, inner) is None:
                kept[key] = value
            elif value is None or isinstance(value, Mapping | BaseModel):
                # A section whose options are all left out is as good as none.
                kept[key] = value if isinstance(value, BaseModel) else section(value or {}, inner)
            else:
                problems.append(f"{source}: {names.dotted(inner)}: must be a mapping of {_content(inner)}")
        return kept

    return section(values or {}, ()), problems


def merged(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """All sources as one, option by option; a later one goes before an earlier one."""
    made: dict[str, Any] = {}
    for source in sources:
        for key, value in source.items():
            before = made.get(key)
            both = isinstance(before, Mapping) and isinstance(value, Mapping)
            made[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return made


def _content(path: names.Path) -> str:
    return "participants, each by its name" if path == (names.PARTICIPANTS,) else "options"
