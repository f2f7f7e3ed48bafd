"""The table of limits as the documentation has it, made from the rules themselves."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from swit_saga_server.wire.door import rules
from swit_saga_server.wire.door.table import most_of, rule_of
from swit_saga_server.wire.unsupported import OUTPUT_ONLY

Bounded = tuple[FieldDescriptor, str]
"""A field, and what it may hold."""


def table(requests: Iterable[Descriptor]) -> str:
    """Markdown: which fields of ``requests``, at any depth, may hold what. Not those that may hold anything."""
    found = list(_bounded(requests))
    bounds_of: dict[str, set[str]] = {}
    for field, bound in found:
        bounds_of.setdefault(field.name, set()).add(bound)
    by_bound: dict[str, list[str]] = {}
    for field, bound in found:
        shown = f"`{field.name}`" if len(bounds_of[field.name]) == 1 else f"`{_in_full(field)}`"
        if shown not in by_bound.setdefault(bound, []):
            by_bound[bound].append(shown)
    lines = ["| fields | may hold |", "|---|---|"]
    lines += [
        f"| {', '.join(sorted(fields))} | {bound} |" for bound, fields in sorted(by_bound.items(), key=_by_fields)
    ]
    return "\n".join(lines) + "\n"


def reachable(requests: Iterable[Descriptor]) -> list[FieldDescriptor]:
    """Every field of these messages and of those within them, once."""
    seen: list[Descriptor] = []
    left = list(requests)
    while left:
        kind = left.pop(0)
        if kind in seen:
            continue
        seen.append(kind)
        left += [f.message_type for f in kind.fields if f.message_type is not None and rule_of(f) is None]
    return [field for kind in seen for field in kind.fields]


def _bounded(requests: Iterable[Descriptor]) -> Iterator[Bounded]:
    for field in reachable(requests):
        assert field.containing_type is not None
        if field.name in OUTPUT_ONLY.get(field.containing_type.name, ()):
            continue
        rule = rule_of(field)
        if rule is None:
            if field.is_repeated:
                yield field, f"at most {most_of(field)}"
        elif rule not in (rules.ANY, rules.UNSUPPORTED):
            yield field, rule.says


def _in_full(field: FieldDescriptor) -> str:
    assert field.containing_type is not None
    return f"{field.containing_type.full_name.removeprefix('swit_saga.v1.')}.{field.name}"


def _by_fields(row: tuple[str, list[str]]) -> str:
    return min(row[1])
