"""Every place of a request where a value can be, and values just within and just outside of what its rule takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga_server.wire.door import rules
from swit_saga_server.wire.door.rules import Rule
from swit_saga_server.wire.door.table import rule_of
from swit_saga_server.wire.door.trees import SCALARS, TREE

INF, NAN = float("inf"), float("nan")
CENTURY = 36_525 * 86_400
LAST = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True)
class Place:
    """A field somewhere in a request.

    Attributes:
        request: The kind of request.
        way: The fields that lead to it, itself the last.
    """

    request: Descriptor
    way: tuple[FieldDescriptor, ...]

    @property
    def field(self) -> FieldDescriptor:
        return self.way[-1]

    @property
    def rule(self) -> Rule:
        found = rule_of(self.field)
        assert found is not None
        return found

    @property
    def path(self) -> str:
        within = [f"{f.name}[0]" if f.is_repeated else f.name for f in self.way[:-1]]
        return ".".join([*within, self.field.name])

    def request_with(self, value: Any, whole: Callable[[Message], None] = lambda message: None) -> Any:
        """A request with the value at this place; ``whole`` makes each message on the way to it whole."""
        message = request = GetMessageClass(self.request)()
        whole(message)
        for field in self.way[:-1]:
            inner = getattr(message, field.name)
            if field.is_repeated:
                message = inner[0] if inner else inner.add()
            else:
                inner.SetInParent()
                message = inner
            whole(message)
        put(message, self.field, value)
        return request

    def __str__(self) -> str:
        return f"{self.request.name}: {self.path}"


def places(request: Descriptor, way: tuple[FieldDescriptor, ...] = ()) -> Iterator[Place]:
    """Every field of a request and of the messages in it; a message within its like is not gone into."""
    kind = way[-1].message_type if way else request
    assert kind is not None
    for field in kind.fields:
        if rule_of(field) is not None:
            yield Place(request, (*way, field))
        elif field.message_type not in (request, *(f.message_type for f in way)):
            yield from places(request, (*way, field))


def put(message: Any, field: FieldDescriptor, value: Any) -> None:
    """Set a field, whatever its type."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).clear()
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        message.ClearField(field.name)
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def span(seconds: int = 0, nanos: int = 0) -> Duration:
    return Duration(seconds=seconds, nanos=nanos)


def moment(seconds: int = 0, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


def tree(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


def deep(levels: int, *, of_lists: bool = False) -> Any:
    """Mappings within mappings, or lists, this many."""
    inner: Any = 1
    for _ in range(levels):
        inner = [inner] if of_lists else {"k": inner}
    return inner


def struct_of(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


_NO_SPANS = [span(-1), span(0, -1), span(1, -1), span(-1, 1), span(0, 10**9), span(2**62), span(-(2**62))]
_NO_IDS = ["x" * 201, "a/b", " a", "a ", "a\n", "\x00", "\u200b", "a\u202eb", "\u2028", "😀" * 201]
_IDS = ["x", "x" * 200, "😀" * 200, "é", "a b", "0", "-", "[red]", "%s", "../".replace("/", ".")]
_TREES = [
    tree(),
    tree(k=None, n=-1e308, z=-0.0, t=True, s="\x00é😀", e=""),
    struct_of({"": 1, "a.b": 1, "a[0]": [1, [2, {}]]}),
    struct_of(deep(32)),
    struct_of({"k": deep(31, of_lists=True)}),
    struct_of({"k": "x" * (65_536 - 8)}),
]
_NO_TREES = [
    tree(k=NAN),
    tree(k=INF),
    tree(k=[1, -INF]),
    tree(k={"l": [{"m": NAN}]}),
    struct_of(deep(33)),
    struct_of({"k": deep(32, of_lists=True)}),
    struct_of({"k": "x" * (65_536 - 7)}),
    struct_of({"k": "\x01" * 11_000}),
]
_TAKEN_REFUSED: list[tuple[Rule, list[Any], list[Any]]] = [
    (rules.ID, _IDS, ["", *_NO_IDS]),
    (rules.OPTIONAL_ID, ["", *_IDS], _NO_IDS),
    (rules.IDS, [[], ["x" * 200], ["x"] * 1_000], [[""], ["a", "a/b"], ["x"] * 1_001]),
    (rules.WORD, ["", "x" * 200, "a/b", " a"], ["x" * 201, "a\n", "\u200b", "\x00"]),
    (rules.WORDS, [[], ["", "a/b"]], [["x" * 201], ["\x00"], ["x"] * 1_001]),
    (rules.TEXT, ["", "x" * 4_096, "é" * 2_048, "a\nb\x00"], ["x" * 4_097, "é" * 2_049, "😀" * 1_025]),
    (rules.TEXTS, [[], ["x" * 4_096]], [["x" * 4_097], ["x"] * 1_001]),
    (rules.NUMBER, [0.0, -0.0, 1e308], [INF, -INF, NAN]),
    (rules.LENGTH, [span(), span(0, 1), span(CENTURY)], [span(CENTURY, 1_000), *_NO_SPANS]),
    (rules.POSITIVE, [span(0, 1), span(CENTURY)], [span(), span(CENTURY, 1_000), *_NO_SPANS]),
    (
        rules.HEARTBEAT,
        [span(0, 10**8), span(600)],
        [span(), span(0, 10**8 - 1_000), span(600, 1_000), span(CENTURY), *_NO_SPANS],
    ),
    (
        rules.MOMENT,
        [moment(), moment(0, 1), moment(LAST, 999_999_999)],
        [moment(-1), moment(0, -1), moment(LAST + 1), moment(0, 10**9), moment(2**62), moment(-(2**62))],
    ),
    (TREE, _TREES, _NO_TREES),
    (SCALARS, [tree(), tree(a="", b=1.5, c=False)], [tree(a=None), tree(a=[1]), tree(a={}), tree(a=NAN)]),
    (
        rules.LABELS,
        [{}, {"k" * 63: "v" * 200}, {str(n): "" for n in range(8)}, {"a=b": "\x00"}],
        [{"": "v"}, {"k" * 64: ""}, {"k": "v" * 201}, {"\x00": ""}, {"\u200b": ""}, {str(n): "" for n in range(9)}],
    ),
    (rules.CONTENT_TYPE, ["a/b", "x" * 200, "text/plain; charset=utf-8"], ["", "x" * 201, "é", "a\nb", "\x00"]),
    (rules.LEFT_OUT, [0], [1, 2**64 - 1]),
    (rules.MULTIPLIER, [0.0, 1.0, 1_000.0], [-0.0, 0.999, -2.0, 1_000.001, 1e300, INF, -INF, NAN]),
    (rules.ATTEMPTS, [0, 1, 1_000_000], [1_000_001, 2**32 - 1]),
    (rules.VERSION, [1, 2**32 - 1], [0]),
    (rules.NOT_NEGATIVE, [0, 1, 2**31 - 1], [-1, -(2**31)]),
    (
        rules.STATUS_CODES,
        [[], ["NOT_FOUND", "ALREADY_EXISTS"]],
        [["UNAVAILABLE"], ["NOT_FOUND", "DEADLINE_EXCEEDED"], ["NOPE"], [""], ["not_found"], ["OK"], ["UNKNOWN"]],
    ),
]


def taken(place: Place) -> list[Any]:
    """Values at the place's bounds, just within."""
    return _known(place)[0]


def refused(place: Place) -> list[Any]:
    """Values at the place's bounds, just outside."""
    return _known(place)[1]


def _known(place: Place) -> tuple[list[Any], list[Any]]:
    for rule, within, outside in _TAKEN_REFUSED:
        if rule is place.rule:
            return within, outside
    enum = place.field.enum_type
    if enum is not None and place.field.is_repeated:
        return [[v.number for v in enum.values[1:]]], [[0], [1, 99], [-1], [1] * 1_001]
    if enum is not None and place.rule is not rules.UNSUPPORTED:
        return [enum.values[0].number, enum.values[1].number], [99, -1, 2**31 - 1, -(2**31)]
    assert place.rule in (rules.ANY, rules.IGNORED, rules.CONTENT, rules.UNSUPPORTED), f"{place}: no values known"
    return [], []
