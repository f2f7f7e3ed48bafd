"""The model as bytes: msgpack of positional arrays (``layouts``) behind a format number, the same in every store.

Evolution: see ``levels``. ``tests/unit/store/test_codec.py`` holds bytes written by the first level and fails when they
read differently.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import msgpack

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import NewerRecord, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import PROGRESS, Saga, StepState
from swit_saga_server.store.layouts import Layout, Layouts
from swit_saga_server.store.levels import LEVEL, SINCE

FORMAT = 2
"""Of the envelope. It stays; what changes within it is the level."""

ORIGIN = tuple(f.name for f in fields(Saga) if f.name not in (*PROGRESS, "steps"))
"""What a saga was started with. Kept apart from its steps and its progress, so that a transition writes only those."""

T = TypeVar("T")


class UnknownFormat(ValueError):
    """The record is none of this software's, or of before its first release."""


class Writer:
    """Makes records at one level.

    Each function may raise:
        NeedsNewerLevel: The value has something that the level does not.
        TypeError: It holds, where any JSON-like value may stand, another.

    Attributes:
        level: Which.
        pack_origin: A saga without its steps and its progress.
        pack_progress: What transitions change of a saga, its steps apart: far less than all of it.
        pack_step, pack_event, pack_definition, pack_error: One of these. A definition's bytes are not canonical: its
            content is compared by ``digest``.
        pack_events: The events of one transition, together.
    """

    __slots__ = (
        "_layouts", "level", "pack_definition", "pack_error", "pack_event", "pack_events", "pack_origin",
        "pack_progress", "pack_step",
    )  # fmt: skip

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self.level = layouts.level
        self.pack_origin: Callable[[Saga], bytes] = _packer(Layout(Saga, ORIGIN, layouts).flat)
        self.pack_progress: Callable[[Saga], bytes] = _packer(Layout(Saga, PROGRESS, layouts).flat)
        self.pack_step: Callable[[StepState], bytes] = _packer(layouts.of(StepState).flat)
        self.pack_definition: Callable[[Definition], bytes] = _packer(layouts.of(Definition).flat)
        self.pack_error: Callable[[SagaError], bytes] = _packer(layouts.of(SagaError).flat)
        event = layouts.of(SagaEvent).flat
        self.pack_event: Callable[[SagaEvent], bytes] = _packer(event)
        self.pack_events: Callable[[Sequence[SagaEvent]], bytes] = _packer(lambda events: [event(e) for e in events])

    def pack_record(self, value: Any) -> bytes:
        """A value of any dataclass of the model."""
        return pack((FORMAT, self._layouts.of(type(value)).flat(value)))


class Codec:
    """Reads what a version of one level reads, and makes the writers of this level and those below.

    Each ``unpack`` function may raise:
        NewerRecord: A newer version wrote it: leave it to others.
        UnknownFormat: It is no record.

    Attributes:
        level: Which.
    """

    def __init__(self, level: int = LEVEL, since: Mapping[str, int] = SINCE) -> None:
        """Of this version, unless a test asks for another."""
        self.level = level
        self._since = since
        self._layouts = layouts = Layouts(level, since)
        self._origin = Layout(Saga, ORIGIN, layouts).fields_of
        self._progress = Layout(Saga, PROGRESS, layouts).fields_of
        self._step = layouts.of(StepState).read
        self._event = layouts.of(SagaEvent).read
        self._writers: dict[int, Writer] = {}

    def at(self, fleet_level: int) -> Writer:
        """The writer of the highest level that this version and all that live read."""
        level = min(fleet_level, self.level)
        found = self._writers.get(level)
        if found is None:
            found = self._writers[level] = Writer(Layouts(level, self._since))
        return found

    def unpack_saga(self, origin: bytes, progress: bytes, steps: tuple[StepState, ...]) -> Saga:
        """A saga from its origin, its progress and its steps in order."""
        return Saga(steps=steps, **self._origin(_items(origin)), **self._progress(_items(progress)))

    def unpack_step(self, data: bytes) -> StepState:
        """The reverse of ``pack_step``."""
        step: StepState = self._step(_items(data))
        return step

    def unpack_event(self, data: bytes) -> SagaEvent:
        """The reverse of ``pack_event``."""
        event: SagaEvent = self._event(_items(data))
        return event

    def unpack_events(self, data: bytes) -> list[SagaEvent]:
        """The reverse of ``pack_events``."""
        read = self._event
        return [read(items) for items in _items(data)]

    def unpack_definition(self, data: bytes) -> Definition:
        """The reverse of ``pack_definition``."""
        return self.unpack_record(Definition, data)

    def unpack_error(self, data: bytes) -> SagaError:
        """The reverse of ``pack_error``."""
        return self.unpack_record(SagaError, data)

    def unpack_record(self, kind: type[T], data: bytes) -> T:
        """The reverse of ``pack_record``."""
        value: T = self._layouts.of(kind).read(_items(data))
        return value


PRESENT = Codec()
"""This version's."""


def pack_definition(definition: Definition) -> bytes:
    """A definition as this version writes it."""
    return PRESENT.at(LEVEL).pack_definition(definition)


def pack(value: Any) -> bytes:
    """Plain values as bytes."""
    packed: bytes = _local.pack(value)
    return packed


class _Local(threading.local):
    """A packer for each thread, kept: making one costs as much as packing a step."""

    def __init__(self) -> None:
        self.pack: Callable[[Any], bytes] = msgpack.Packer(default=_plain).pack


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be stored; use JSON-like values")


_local = _Local()


def _packer(flat: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    local = _local

    def pack_one(value: Any) -> bytes:
        packed: bytes = local.pack((FORMAT, flat(value)))
        return packed

    return pack_one


def _items(data: bytes) -> list[Any]:
    version, items = msgpack.unpackb(data, strict_map_key=False)
    if version != FORMAT:
        if isinstance(version, int) and version > FORMAT:
            raise NewerRecord(f"a newer version wrote a record of format {version}; this one reads {FORMAT}")
        raise UnknownFormat(f"record format {version}; this version reads {FORMAT}")
    found: list[Any] = items
    return found
