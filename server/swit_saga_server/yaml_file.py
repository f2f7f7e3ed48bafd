"""YAML without its traps: duplicate keys and aliases are refused, ``on`` and ``1:30`` are plain text."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

MAX_DIGITS = 400
"""Of a whole number."""
_PLAIN_KEY = re.compile(r"[\w.-]{1,200}")
"""What can be the name of something; anything else may be a value in the wrong place."""
_WRITTEN = re.compile(r"(['\"])(.+?)\1")
_TOKEN = re.compile(r"<[a-z ]+>|.")


class YamlError(ValueError):
    """The text is not YAML as this project takes it; the message names line and column.

    It repeats no value, for that may be a password, and is not chained to what PyYAML raises, which does.
    """


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
                named = f"the key {key!r}" if _PLAIN_KEY.fullmatch(str(key)) else "a key"
                raise YamlError(f"{named} comes twice{_at(key_node.start_mark)}")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        """``010`` is ten, not octal."""
        text = self.construct_scalar(node)
        if len(text) > MAX_DIGITS:
            raise YamlError(f"a number of more than {MAX_DIGITS} digits{_at(node.start_mark)}")
        return int(text)


def _resolvers() -> dict[str, list[tuple[str, Any]]]:
    """YAML 1.2's core schema: what looks like a date or a sexagesimal number stays text."""
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
    wrong = ""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.constructor.ConstructorError as error:
        wrong = f"there is a tag, '!' and a word; put a text that begins with '!' in quotes{_place(error)}"
    except yaml.MarkedYAMLError as error:
        # PyYAML puts names of tokens into <>, and into quotes what was written.
        problem = _WRITTEN.sub(lambda found: found[0] if _TOKEN.fullmatch(found[2]) else "…", str(error.problem))
        if r"'\t'" in str(error.problem):
            problem = "a tab cannot indent; write spaces"
        wrong = f"{problem}{_place(error)}"
    except yaml.reader.ReaderError as error:
        wrong = f"there is a character (number {error.position + 1}) that is not allowed in YAML"
    except yaml.YAMLError:
        wrong = "it is no YAML"
    except RecursionError:
        wrong = "lists and mappings lie too deep within each other"
    raise YamlError(wrong)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return _at(mark) if mark is not None else ""


def _at(mark: Any) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})"
