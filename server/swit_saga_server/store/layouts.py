"""How the model's classes become arrays and back, worked out once for each class from its fields.

A dataclass becomes an array of its fields in order, an enum the index of its member, a value of one of several classes
which of them it is and its fields; times and spans are integers. Empty values at an array's end (0, "", None, False, an
empty mapping) are left out where the field's default is the same, so that a record costs what it says. Other defaults
are written out, so that a later change of a default does not change what was stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from swit_saga_server.core.errors import NeedsNewerLevel, NewerRecord
from swit_saga_server.store.levels import LEVEL, LOWEST, SINCE

Convert = Callable[[Any], Any]

_NEVER = object()


class Layouts:
    """The layouts of one level: what it does not have is refused in writing, and is newer in reading.

    Attributes:
        level: Which.
    """

    def __init__(self, level: int = LEVEL, since: Mapping[str, int] = SINCE) -> None:
        """``since`` is ``levels.SINCE`` but in tests."""
        self.level = level
        self._since = since
        self._of: dict[Any, Layout] = {}

    def of(self, kind: Any) -> "Layout":
        """The layout of a dataclass."""
        found = self._of.get(kind)
        if found is None:
            found = self._of[kind] = Layout(kind, [f.name for f in fields(kind)], self)
        return found

    def since(self, *name: str) -> int:
        """The level that brought a field, a member or a class."""
        return self._since.get(".".join(name), LOWEST)

    def converters(self, hint: Any) -> tuple[Convert | None, Convert | None]:
        """How a field of this type is written and read; None where msgpack does it by itself."""
        if get_origin(hint) in (Union, UnionType):
            some = [a for a in get_args(hint) if a is not NoneType]
            if len(some) != 1:
                # str | bytes: msgpack keeps them apart.
                return self._one_of(some) if all(is_dataclass(kind) for kind in some) else (None, None)
            out, back = self.converters(some[0])
            return out and _unless_none(out), back and _unless_none(back)
        if get_origin(hint) is tuple:
            out, back = self.converters(get_args(hint)[0])
            return (
                (lambda values: [out(v) for v in values]) if out else None,
                (lambda items: tuple([back(i) for i in items])) if back else tuple,
            )
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self._enum(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            return self._nested(hint), (lambda items: self.of(hint).read(items))
        return None, None

    def needs(self, what: str, since: int) -> NeedsNewerLevel:
        """What to raise for a value that this level does not have."""
        return NeedsNewerLevel(
            f"{what} needs level {since}, and a coordinator that lives reads {self.level}: upgrade them all first",
            needs=since,
            level=self.level,
        )

    def newer(self, what: str) -> NewerRecord:
        """What to raise for a record of a level above this one."""
        return NewerRecord(f"a newer version wrote {what}; this one reads level {self.level}", level=self.level)

    def _one_of(self, kinds: Sequence[Any]) -> tuple[Convert, Convert]:
        """A value of one of several classes: which of them, and its fields."""
        known = [kind for kind in kinds if self.since(kind.__name__) <= self.level]
        _check_appended("a union", [self.since(kind.__name__) for kind in kinds])
        index = {kind: i for i, kind in enumerate(known)}

        def write(value: Any) -> Any:
            number = index.get(type(value))
            if number is None:
                name = type(value).__name__
                raise self.needs(name, self.since(name))
            return number, self.of(known[number]).flat(value)

        def read(items: list[Any]) -> Any:
            number, values = items
            if number >= len(known):
                raise self.newer(f"a class that is number {number} of {len(known)}")
            return self.of(known[number]).read(values)

        return write, read

    def _nested(self, kind: type) -> Convert:
        """Looked up late, because a class may contain itself, and once."""
        flat: Convert | None = None

        def convert(value: Any) -> Any:
            nonlocal flat
            if flat is None:
                flat = self.of(kind).flat
            return flat(value)

        return convert

    def _enum(self, kind: type[StrEnum]) -> tuple[Convert, Convert]:
        levels = [self.since(kind.__name__, member.name) for member in kind]
        _check_appended(kind.__name__, levels)
        members = [member for member, since in zip(kind, levels, strict=True) if since <= self.level]
        index = {member: i for i, member in enumerate(members)}

        def write(member: StrEnum) -> int:
            found = index.get(member)
            if found is None:
                name = f"{kind.__name__}.{member.name}"
                raise self.needs(name, self.since(name))
            return found

        def read(number: int) -> StrEnum:
            if number >= len(members):
                raise self.newer(f"a {kind.__name__} that is number {number} of {len(members)}")
            return members[number]

        return index.__getitem__ if len(members) == len(kind) else write, read


class Layout:
    """One dataclass's array, or that of some of its fields.

    Attributes:
        flat: Makes the array of a value.

            Raises:
                NeedsNewerLevel: Of ``flat``: the value has something that the level does not.
    """

    def __init__(self, kind: Any, names: Sequence[str], layouts: Layouts) -> None:
        """Of the fields of these names, in this order."""
        self.kind = kind
        self._layouts = layouts
        hints = get_type_hints(kind)
        by_name = {f.name: f for f in fields(kind)}
        levels = [layouts.since(kind.__name__, name) for name in names]
        _check_appended(kind.__name__, levels)
        empty = [_empty(by_name[name]) for name in names]
        later = {n: since for n, since in zip(names, levels, strict=True) if since > LOWEST}
        if wrong := [name for name, e in zip(names, empty, strict=True) if name in later and e is _NEVER]:
            raise TypeError(f"{kind.__name__}.{wrong[0]} came later, so that its default must be an empty one")
        count = sum(1 for since in levels if since <= layouts.level)
        self._names = names[:count]
        converters = [layouts.converters(hints[name]) for name in self._names]
        refused = [
            (name, default, partial(layouts.needs, f"{kind.__name__}.{name}", later[name]))
            for name, default in zip(names[count:], empty[count:], strict=True)
        ]
        self.flat = _writer(self._names, empty, [out for out, _ in converters], refused)
        self._in = [(i, back) for i, (_, back) in enumerate(converters) if back is not None]

    def fields_of(self, items: list[Any]) -> dict[str, Any]:
        """The fields that an array has, by name.

        Raises:
            NewerRecord: It was written at a newer level.
        """
        length = len(items)
        if length > len(self._names):
            raise self._layouts.newer(f"a {self.kind.__name__} of {length} fields, not {len(self._names)}")
        for i, convert in self._in:
            if i >= length:
                break
            items[i] = convert(items[i])
        return dict(zip(self._names, items, strict=False))

    def read(self, items: list[Any]) -> Any:
        """The value of an array; what it does not have takes its default.

        Raises:
            NewerRecord: It was written at a newer level.
        """
        return self.kind(**self.fields_of(items))


def _writer(
    names: Sequence[str],
    empty: Sequence[Any],
    converters: Sequence[Convert | None],
    refused: Sequence[tuple[str, Any, Callable[[], NeedsNewerLevel]]],
) -> Convert:
    """``flat``, written out field by field, as dataclasses makes ``__init__``: loops take twice as long.

    It reads, for fields a, b and c of which the last may be left out, and b is converted; and a field d that the level
    does not have::

        def flat(value):
            if value.d != empty_d: raise needs_d()
            if value.c != empty_c: return [value.a, convert_b(value.b), value.c]
            return [value.a, convert_b(value.b)]
    """
    scope: dict[str, Any] = {f"empty_{n}": default for n, default in zip(names, empty, strict=False)}
    scope |= {f"convert_{n}": convert for n, convert in zip(names, converters, strict=True)}
    lines = ["def flat(value):"]
    for name, default, needs in refused:
        scope |= {f"empty_{name}": default, f"needs_{name}": needs}
        lines.append(f"    if value.{name} != empty_{name}: raise needs_{name}()")
    items = [f"convert_{n}(value.{n})" if scope[f"convert_{n}"] else f"value.{n}" for n in names]
    while items and empty[len(items) - 1] is not _NEVER:
        name = names[len(items) - 1]
        lines.append(f"    if value.{name} != empty_{name}: return [{', '.join(items)}]")
        items.pop()
    lines.append(f"    return [{', '.join(items)}]")
    exec("\n".join(lines), scope)
    flat: Convert = scope["flat"]
    return flat


def _empty(field: "Field[Any]") -> Any:
    """What may be left out at the end: the default, if it is empty; else what equals nothing.

    (0, "" and False may stand for it, None only for None.) A required field is never left out.
    """
    if field.default_factory is not MISSING:
        return {}
    return _NEVER if field.default is MISSING or field.default else field.default


def _check_appended(what: str, levels: Sequence[int]) -> None:
    if list(levels) != sorted(levels):
        raise TypeError(f"{what}: what came later does not stand at the end")


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)
