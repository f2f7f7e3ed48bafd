"""Where options come from: the file as it is read, the shape every source must have, and which goes before which."""

import os
import select
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from swit_saga_server.config import names
from swit_saga_server.config.section import ConfigError
from swit_saga_server.yaml_file import YamlError, load_yaml

MAX_FILE_BYTES = 1 << 20
PATIENCE_S = 30.0
"""How long the next piece of a pipe is waited for."""


def read_file(path: str | Path, patience_s: float = PATIENCE_S) -> Any:
    """What a YAML file, or what comes out of a pipe, says; nothing in it is no option set.

    Args:
        path: Of the file.
        patience_s: How long the next piece of a pipe is waited for.

    Raises:
        ConfigError: It cannot be read, is larger than ``MAX_FILE_BYTES``, or is no YAML.
    """
    problem = ""
    try:
        content = _content_of(path, patience_s)
        if len(content) > MAX_FILE_BYTES:
            problem = f"is larger than {MAX_FILE_BYTES} bytes"
        else:
            return load_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as wrong:
        problem = f"is not UTF-8 (byte {wrong.start + 1})"
    except YamlError as wrong:
        problem = str(wrong)
    except TimeoutError:
        problem = f"nothing comes out of it, for {patience_s:g} s; it is a pipe that nobody writes to"
    except (OSError, ValueError) as unreadable:
        problem = getattr(unreadable, "strerror", None) or "cannot be read"
    # Outside of the handlers: what they caught may hold parts of the file.
    raise ConfigError(f"{path}: {problem}")


def _content_of(path: str | Path, patience_s: float) -> bytes:
    """As much as may be in it, and one byte. A pipe without a writer is waited for, and not for ever."""
    # Without O_NONBLOCK the mere opening of such a pipe would wait for somebody to write to it.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        ready = select.poll()
        ready.register(fd, select.POLLIN)
        until = time.monotonic() + patience_s
        while len(content) <= MAX_FILE_BYTES:
            if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError
            try:
                piece = os.read(fd, MAX_FILE_BYTES + 1 - len(content))
            except BlockingIOError:
                continue
            if not piece:
                break
            content += piece
            until = time.monotonic() + patience_s
        return content
    finally:
        os.close(fd)


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
