"""YAML without its traps: duplicate keys and aliases are refused, ``on`` and ``1:30`` are plain text."""

from collections.abc import Hashable
from typing import Any

import yaml


class YamlError(ValueError):
    """The text is not YAML as this project takes it; the message names line and column."""


class _Loader(yaml.SafeLoader):
    """Booleans are true and false only, numbers are decimal, keys come once, aliases not at all."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise YamlError(f"aliases (*name) are not allowed{_at(self.current_event.start_mark)}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise YamlError(f"a key must be a plain value, not a list or a mapping{_at(key_node.start_mark)}")
            if key in seen:
                raise YamlError(f"the key {key!r} comes twice{_at(key_node.start_mark)}")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        """``010`` is ten, not octal."""
        text = self.construct_scalar(node)
        try:
            return int(text)
        except ValueError as error:  # More digits than Python reads.
            raise YamlError(f"a number of {len(text)} digits is too long{_at(node.start_mark)}") from error


def _resolvers() -> dict[str, list[tuple[str, Any]]]:
    """YAML 1.2's core schema: what looks like a date or a sexagesimal number stays text."""
    import re

    kept: dict[str, list[tuple[str, Any]]] = {}
    rules = [
        ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
        ("tag:yaml.org,2002:float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
        ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ]
    for tag, pattern, first in rules:
        for letter in first:
            kept.setdefault("" if letter == "\0" else letter, []).append((tag, re.compile(pattern)))
    return kept


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_yaml(text: str) -> Any:
    """One document, as plain values.

    Raises:
        YamlError: With line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(f"{error.problem or error.context}{_at(mark) if mark else ''}") from error
    except yaml.reader.ReaderError as error:
        raise YamlError(f"the character {chr(error.character)!r} is not allowed (at {error.position})") from error
    except yaml.YAMLError as error:
        raise YamlError(str(error)) from error
    except RecursionError as error:
        raise YamlError("lists or mappings lie too deeply within each other") from error


def _at(mark: Any) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})"
