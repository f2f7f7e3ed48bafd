"""Dataclasses, named tuples and typed dicts, read from JSON field by field."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_origin

from swit_saga.errors import CodecError
from swit_saga.given import article
from swit_saga.typed.kinds import Unclear, fields_of, type_name
from swit_saga.typed.numbers import without_exact

Reader: TypeAlias = Callable[[Any], Any]
MakeReader: TypeAlias = Callable[[Any], Reader]
_NEVER_SET = object()


def record_reader(kind: Any, reader: MakeReader) -> Reader:
    """What reads a dataclass."""
    return _Record(kind, reader).read


class _Record:
    def __init__(self, kind: Any, reader: MakeReader) -> None:
        self._kind = kind
        self._origin: Any = get_origin(kind) or kind
        self._reader = reader

    @functools.cached_property
    def _fields(self) -> tuple[Mapping[str, Reader], Mapping[str, Reader]]:
        """Those given to the class, and those it sets itself; made when needed, for a class may name itself."""
        kinds = fields_of(self._kind)
        given: dict[str, Reader] = {}
        made: dict[str, Reader] = {}
        for f in dataclasses.fields(self._origin):
            (given if f.init else made)[f.name] = self._reader(kinds[f.name]) if f.name in kinds else without_exact
        return given, made

    def read(self, value: Any) -> Any:
        if type(value) is not dict:
            raise CodecError(f"expected {type_name(self._kind)}, got {type(value).__name__}")
        given_by, made_by = self._fields
        # Fields the reader does not know are left out, so that writers can add some first.
        try:
            given = {name: given_by[name](item) for name, item in value.items() if name in given_by}
        except CodecError as wrong:
            raise self._located(value, wrong) from None
        found = self._made(given)
        if any(getattr(found, name) != item for name, item in given.items()):
            self._refuse_unsettled(found, given)
        for name in made_by.keys() & value.keys():
            item = made_by[name](value[name])
            if getattr(found, name, _NEVER_SET) != item:
                object.__setattr__(found, name, item)
        return found

    def _located(self, value: Mapping[str, Any], wrong: CodecError) -> CodecError:
        """The same, with the field's name. Fields are gone through again rather than watched while all is well."""
        for name, item in value.items():
            try:
                self._fields[0].get(name, without_exact)(item)
            except CodecError:
                return CodecError(f"{name}: {wrong}") if type(wrong) is CodecError else wrong
        return wrong

    def _made(self, given: Mapping[str, Any]) -> Any:
        try:
            return self._origin(**given)
        except CodecError:
            raise
        except Exception as invalid:  # A field is missing, or its __post_init__ refuses, in whatever way.
            missing = [f.name for f in dataclasses.fields(self._origin) if _is_needed(f) and f.name not in given]
            why = f"{', '.join(missing)} missing" if missing else str(invalid)
            raise CodecError(f"not {article(type_name(self._kind))}: {why}") from invalid

    def _refuse_unsettled(self, found: Any, given: Mapping[str, Any]) -> None:
        """A class may put its fields right; but one that changes them whenever it is made cannot be read back."""
        again = self._made({name: getattr(found, name) for name in given})
        if any(getattr(again, name) != getattr(found, name) for name in given):
            raise Unclear(f"{type_name(self._kind)} changes its fields each time it is made: it cannot be read back")


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def named_tuple_reader(kind: Any, reader: MakeReader) -> Reader:
    """What reads a ``NamedTuple``, from a list."""
    origin: Any = get_origin(kind) or kind
    made: list[Reader] = []

    def read(value: Any) -> Any:
        if type(value) is not list:
            raise CodecError(f"expected {type_name(kind)}, got {type(value).__name__}")
        if not made:
            kinds = fields_of(kind)
            made.extend(reader(kinds[name]) if name in kinds else without_exact for name in origin._fields)
        if len(value) > len(made):
            raise CodecError(f"not {article(type_name(kind))}: expected {len(made)} items, got {len(value)}")
        items = [read_item(item) for read_item, item in zip(made, value, strict=False)]
        try:
            return origin(*items)
        except Exception as invalid:
            raise CodecError(f"not {article(type_name(kind))}: {invalid}") from invalid

    return read


def typed_dict_reader(kind: Any, reader: MakeReader) -> Reader:
    """What reads a ``TypedDict``. Keys it does not name are kept: it is a plain dict."""
    origin: Any = get_origin(kind) or kind
    kinds: dict[str, Reader] = {}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise CodecError(f"expected {type_name(kind)}, got {type(value).__name__}")
        if not kinds:
            kinds.update({name: reader(each) for name, each in fields_of(kind).items()})
        missing = origin.__required_keys__ - value.keys()
        if missing:
            raise CodecError(f"not {article(type_name(kind))}: {', '.join(sorted(missing))} missing")
        return {name: kinds.get(name, without_exact)(item) for name, item in value.items()}

    return read
