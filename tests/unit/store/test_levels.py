"""Rolling upgrades: what may be appended, what is refused to whom, and that nothing is appended unnoticed."""

from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import msgpack
import pytest

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import ErrorType, NeedsNewerLevel, NewerRecord, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.identity import Kind, SendId
from swit_saga_server.core.inputs import Answered, Completed, Input, Unknown
from swit_saga_server.core.model import PROGRESS, CompensationState, Saga, StepState
from swit_saga_server.core.record import record
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.messages import pack_input, read_input
from swit_saga_server.store.codec import FORMAT, ORIGIN, PRESENT, Codec
from swit_saga_server.store.conformance import levels
from swit_saga_server.store.conformance.levels import NEWER, OLDER
from swit_saga_server.store.conformance.samples import undone_step
from swit_saga_server.store.contract import Peer
from swit_saga_server.store.fleet import Fleet
from swit_saga_server.store.layouts import Layouts
from swit_saga_server.store.levels import LEVEL, LOWEST, SINCE
from tests.support.store import level_1


def names_of(*roots: Any) -> dict[str, list[str]]:
    """The fields and members of all that is stored of these classes."""
    found: dict[str, list[str]] = {}

    def look(hint: Any) -> None:
        for part in get_args(hint):
            look(part)
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            found[hint.__name__] = [member.name for member in hint]
        elif isinstance(hint, type) and is_dataclass(hint) and hint.__name__ not in found:
            found[hint.__name__] = [f.name for f in fields(hint)]
            for inner in get_type_hints(hint).values():
                look(inner)

    for root in roots:
        look(root)
    return found


STORED = names_of(Saga, SagaEvent, Definition, Input)


@pytest.mark.parametrize("kind", sorted(STORED))
def test_what_is_appended_is_named_with_its_level(kind: str) -> None:
    """See ``store.levels``: append at the end, add to ``LEVEL``, name it in ``SINCE``."""
    assert all(LOWEST < since <= LEVEL for since in SINCE.values())
    if kind not in level_1.NAMES:
        assert LEVEL > LOWEST, f"{kind} is new, and the level is that of the first release"
        return
    before = level_1.NAMES[kind].split()
    known, appended = STORED[kind][: len(before)], STORED[kind][len(before) :]
    assert known == before, f"{kind}: what is stored is only appended to"
    assert not [name for name in appended if f"{kind}.{name}" not in SINCE]


def test_progress_is_only_appended_to() -> None:
    before = level_1.PROGRESS.split()
    assert list(PROGRESS[: len(before)]) == before
    assert all(f"Saga.{name}" in SINCE for name in PROGRESS[len(before) :])


def test_since_names_what_there_is() -> None:
    """A name with a mistake in it would check nothing."""
    for name in SINCE:
        kind, _, part = name.partition(".")
        assert kind in STORED
        assert not part or part in STORED[kind]


def test_level_of_the_fleet_is_the_lowest_that_lives() -> None:
    """And never above one's own; before the first heartbeat it is that of the first release."""
    fleet = Fleet(NEWER)
    assert fleet.writer.level == LOWEST
    for living, expected in (((2,), 2), ((2, 1), 1), ((3, 2), 2), ((9,), 2)):
        fleet.met([Peer(f"c{n}", level) for n, level in enumerate(living)])
        assert fleet.writer.level == expected


def test_older_and_newer_write_the_same_until_what_is_new_is_used() -> None:
    plain, undone = replace(undone_step(1), compensation=None), undone_step(1)
    written = [w.pack_step(plain) for w in (OLDER.at(1), NEWER.at(1), NEWER.at(2), PRESENT.at(LEVEL))]
    assert len(set(written)) == 1
    assert NEWER.at(2).pack_step(undone) == PRESENT.at(LEVEL).pack_step(undone)
    for writer in (OLDER.at(1), OLDER.at(2), NEWER.at(1)):
        with pytest.raises(NeedsNewerLevel, match=r"StepState.compensation needs level 2") as refused:
            writer.pack_step(undone)
        assert refused.value.fields == {"needs": 2, "level": 1}
    assert OLDER.unpack_step(NEWER.at(2).pack_step(plain)) == plain
    with pytest.raises(NewerRecord, match="StepState"):
        OLDER.unpack_step(NEWER.at(2).pack_step(undone))


def test_nothing_is_checked_once_all_read_the_same() -> None:
    """The writer of one's own level is generated without any check: it may not cost anything."""

    def checks(layouts: Layouts) -> list[str]:
        return [name for name in layouts.of(StepState).flat.__code__.co_names if name.startswith("needs_")]

    assert checks(Layouts(1, levels.SINCE)) == ["needs_compensation"]
    assert not checks(Layouts(2, levels.SINCE))
    assert not checks(Layouts())


def test_members_that_came_later() -> None:
    """Within whatever holds them."""
    older, newer = (Codec(level, {"ErrorType.COMPENSATION": 2}) for level in (1, 2))
    error = SagaError(code="C", message="m", type=ErrorType.BUSINESS)
    late = replace(error, cause=replace(error, type=ErrorType.COMPENSATION))
    assert older.unpack_error(newer.at(2).pack_error(error)) == error
    with pytest.raises(NeedsNewerLevel, match=r"ErrorType.COMPENSATION needs level 2"):
        newer.at(1).pack_error(late)
    with pytest.raises(NewerRecord, match="ErrorType"):
        older.unpack_error(newer.at(2).pack_error(late))


def test_classes_that_came_later() -> None:
    """As of an answer that older coordinators do not know."""
    older, newer = (Codec(level, {"Unknown": 2}) for level in (1, 2))
    known = Answered(Kind.EXECUTE, 1, SendId(1, 1, 1), Completed())
    late = replace(known, answer=Unknown(SagaError(code="C", message="m", type=ErrorType.DATA)))
    assert older.unpack_record(Answered, newer.at(2).pack_record(known)) == known
    assert newer.unpack_record(Answered, newer.at(2).pack_record(late)) == late
    with pytest.raises(NeedsNewerLevel, match="Unknown needs level 2"):
        newer.at(1).pack_record(late)
    with pytest.raises(NewerRecord, match="class"):
        older.unpack_record(Answered, newer.at(2).pack_record(late))


def test_an_output_that_cannot_be_used_is_told_to_those_that_know_of_it() -> None:
    """Anybody else would take it for a success without an output; they ask again instead."""
    error = SagaError(code="OUTPUT_TOO_LARGE", message="m", type=ErrorType.DATA)
    told = Answered(Kind.EXECUTE, 1, SendId(1, 1, 1), Completed(error=error))
    assert read_input(pack_input(told, PRESENT.at(LEVEL)), PRESENT) == told
    with pytest.raises(NeedsNewerLevel, match=r"Completed.error needs level 2"):
        pack_input(told, PRESENT.at(1))


def test_progress_and_origin_that_came_later() -> None:
    saga = Saga(id="s", definition_id="d", steps=(), created_at=Instant(1), updated_at=Instant(1))
    since = {f"Saga.{PROGRESS[-1]}": 2, f"Saga.{ORIGIN[-1]}": 2}
    older, newer = (Codec(level, since) for level in (1, 2))
    for changes, pack in (({PROGRESS[-1]: 5}, "pack_progress"), ({ORIGIN[-1]: "ann"}, "pack_origin")):
        late = replace(saga, **changes)
        with pytest.raises(NeedsNewerLevel):
            getattr(newer.at(1), pack)(late)
        writer = newer.at(2)
        assert newer.unpack_saga(writer.pack_origin(late), writer.pack_progress(late), ()) == late
        with pytest.raises(NewerRecord):
            older.unpack_saga(writer.pack_origin(late), writer.pack_progress(late), ())


@record(frozen=True, slots=True)
class Thing:
    """Of a test."""

    a: int
    b: int = 7
    c: str = ""
    d: Mapping[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("since", "wrong"),
    [
        ({"Thing.b": 2, "Thing.c": 2, "Thing.d": 2}, "Thing.b came later, so that its default must be an empty one"),
        ({"Thing.c": 2}, "Thing: what came later does not stand at the end"),
        ({"Thing.c": 3, "Thing.d": 2}, "does not stand at the end"),
    ],
)
def test_what_cannot_be_appended(since: Mapping[str, int], wrong: str) -> None:
    """A mistake of whoever brings it is found before anything is written."""
    with pytest.raises(TypeError, match=wrong):
        Layouts(3, since).of(Thing)


def test_several_levels() -> None:
    """Each writes what it has."""
    since = {"Thing.c": 2, "Thing.d": 3}
    thing = Thing(1, 2, "c", {"d": 4})
    for level, value in ((1, Thing(1, 2)), (2, Thing(1, 2, "c")), (3, thing)):
        codec = Codec(level, since)
        for fleet in (level, level + 1):
            assert codec.unpack_record(Thing, codec.at(fleet).pack_record(value)) == value
        if level < 3:
            with pytest.raises(NeedsNewerLevel, match=f"needs level {level + 1}"):
                codec.at(9).pack_record(thing)


def test_member_that_came_later_must_stand_at_the_end() -> None:
    with pytest.raises(TypeError, match="SagaState: what came later"):
        Codec(1, {"SagaState.PENDING": 2})


def test_a_record_of_a_newer_format_is_newer() -> None:
    with pytest.raises(NewerRecord, match="format"):
        PRESENT.unpack_step(msgpack.packb((FORMAT + 1, [])))


def test_nested_records_are_checked() -> None:
    """What is within a field that has been there for long."""
    codec = Codec(2, {"CompensationState.error": 2})
    error = SagaError(code="C", message="m", type=ErrorType.DATA)
    step = StepState(id="a", index=0, compensation=CompensationState(error=error))
    with pytest.raises(NeedsNewerLevel, match=r"CompensationState.error"):
        codec.at(1).pack_step(step)
