"""Whatever a handler puts into a Reject, it arrives as one: it can be sent, is bounded, and says what it can."""

import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from swit_saga import Reject
from swit_saga.v1 import coordinator_service_pb2, error_pb2, participant_stream_service_pb2
from swit_saga_server.core import limits as core_limits

HUGE = 20 << 20


class Broken:
    """Nothing about it works."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __hash__ = __eq__ = __len__ = __iter__ = __str__  # type: ignore[assignment]


class Leaving:
    def __str__(self) -> str:
        raise SystemExit(3)


class Liar:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Disguised:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return str


class Endless(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        n = 0
        while True:
            n += 1
            yield f"key {n}"

    def __len__(self) -> int:
        return 1


class Torn(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


class Code(enum.Enum):
    NO_STOCK = "NO_STOCK"


@dataclass
class Order:
    price: Decimal


class Model(BaseModel):
    at: datetime


def deep(levels: int, kind: type = list) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = [made] if kind is list else {"a": made}
    return made


def loop() -> Any:
    made: dict[str, Any] = {}
    made["self"] = [made, made]
    return made


def doubled() -> Any:
    made: Any = 1
    for _ in range(100):
        made = [made, made]
    return made


ODD: dict[str, Any] = {
    "exception": ValueError("none"),
    "surrogate": "bad \ud800",
    "huge int": 10**400,
    "longest int": 10**5_000,
    "inf": float("inf"),
    "nan": float("nan"),
    "decimal": Decimal("NaN"),
    "date": datetime(2026, 1, 2, tzinfo=UTC),
    "bytes": b"\xff",
    "many bytes": b"\xff" * HUGE,
    "set": {1, "a"},
    "enum": Code.NO_STOCK,
    "dataclass": Order(Decimal("1.1")),
    "model": Model(at=datetime(2026, 1, 2, tzinfo=UTC)),
    "loop": loop(),
    "doubled": doubled(),
    "deep list": deep(100_000),
    "deep mapping": deep(100_000, dict),
    "huge": "ü" * HUGE,
    "control": "\0" * HUGE,
    "many": dict.fromkeys(range(300_000), "x"),
    "long key": {"k" * HUGE: 1},
    "broken": Broken(),
    "broken key": {Order: Broken(), (1, 2): Leaving(), None: Liar()},
    "leaving": Leaving(),
    "liar": Liar(),
    "disguised": Disguised(),
    "endless": Endless(),
    "torn": Torn(),
    "class": Broken,
    "none": None,
}


def size_of(sent: error_pb2.SagaError) -> int:
    """Checks that it is within the coordinator's own bounds and can be read wherever it goes; returns its bytes."""
    assert 0 < len(sent.code) <= core_limits.MAX_ERROR_CODE_LENGTH
    assert len(sent.message.encode()) <= core_limits.MAX_TEXT_BYTES
    details = MessageToDict(sent.details)
    assert len(json.dumps(details, ensure_ascii=False).encode()) <= core_limits.MAX_DETAILS_BYTES
    answers = participant_stream_service_pb2.StreamResponse()
    answers.answers.add().execute.rejected.error.CopyFrom(sent)
    assert participant_stream_service_pb2.StreamResponse.FromString(answers.SerializeToString()) == answers
    waits = coordinator_service_pb2.WaitSagasResponse()
    waits.items.add().saga.step_states.add().compensation_state.error.CopyFrom(sent)
    assert coordinator_service_pb2.WaitSagasResponse.FromString(waits.SerializeToString()) == waits
    return len(sent.SerializeToString())


LARGEST = 5 * core_limits.MAX_DETAILS_BYTES
"""On the wire a short number takes more than as JSON."""


@pytest.mark.parametrize("name", ODD)
def test_whatever_it_is_given(name):
    odd = ODD[name]
    for made in (
        lambda: Reject("NO_STOCK", odd),
        lambda: Reject(odd, "none left"),
        lambda: Reject("NO_STOCK", details={"a": odd}),
        lambda: Reject("NO_STOCK", details=odd),
        lambda: Reject("NO_STOCK", details={"a": {"b": [odd, odd]}}),
        lambda: Reject("NO_STOCK", type=odd),
        lambda: Reject(odd, odd, details=odd, type=odd),
    ):
        no = made()
        assert size_of(no.to_proto()) <= LARGEST
        assert str(no)
        assert repr(no)


@dataclass(frozen=True)
class Named:
    """One of the odd ones, where it may be printed."""

    name: str


def resolved(mixture: Any) -> Any:
    match mixture:
        case Named(name):
            return ODD[name]
        case list() | tuple():
            return type(mixture)(map(resolved, mixture))
        case dict():
            return {key: resolved(item) for key, item in mixture.items()}
    return mixture


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.sampled_from(list(ODD)).map(Named) | st.text() | st.integers() | st.floats() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_any_mixture(mixture):
    odd = resolved(mixture)
    assert size_of(Reject("NO", odd, details={"a": odd, "b": [odd]}).to_proto()) <= LARGEST


def sent(value: Any) -> Any:
    return MessageToDict(Reject("NO", details={"a": value}).to_proto().details)["a"]


@pytest.mark.parametrize(
    ("value", "as_sent"),
    [
        (7, 7),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (2**53, 2**53),
        (2**53 + 1, str(2**53 + 1)),
        (10**400, "1" + "0" * 400),
        (float("inf"), "inf"),
        (Decimal("1.10"), "1.10"),
        (Code.NO_STOCK, "NO_STOCK"),
        (Order(Decimal("1.1")), {"price": "1.1"}),
        (Model(at=datetime(2026, 1, 2, tzinfo=UTC)), {"at": "2026-01-02T00:00:00Z"}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (b"\xff", r"b'\xff'"),
        ({7}, [7]),
        ((1, {2: "b"}), [1, {"2": "b"}]),
        ("bad \ud800", r"bad \ud800"),
        (ValueError("none"), "none"),
        (Broken(), "<Broken, which has no text>"),
        (["x", loop()], ["x", {"self": ["...", "..."]}]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_it_becomes(value, as_sent):
    assert sent(value) == as_sent


def test_what_is_cut_says_so():
    made = Reject("NO", "x" * 5_000, details={"a": "y" * 20_000, "b": 1}).to_proto()
    assert made.message.endswith("...")
    assert made.omitted_bytes >= 4_000
    assert MessageToDict(made.details)["a"].endswith("...")
    assert Reject("NO", "none", details={"a": [1]}).to_proto().omitted_bytes == 0


class NoStock(Reject):
    """Sets no more than it wants to say, and calls nobody."""

    code = "NO_STOCK"

    def __init__(self, product: str) -> None:
        self.product = product


class NoWords(Reject):
    def __getattribute__(self, name: str) -> Any:
        if name == "message":
            raise RuntimeError("no words")
        return super().__getattribute__(name)


def test_classes_derived_from_it():
    assert NoStock("apple").to_proto().code == "NO_STOCK"
    assert NoWords("NO_WORDS").to_proto().code == "NO_WORDS"


def test_changed_after_it_was_made():
    no = Reject("NO")
    no.code, no.message, no.type = None, 7, "none"  # type: ignore[assignment]
    no.details = [1]  # type: ignore[assignment]
    made = no.to_proto()
    assert (made.code, made.message, made.type) == ("None", "7", error_pb2.ERROR_TYPE_BUSINESS)
    assert MessageToDict(made.details) == {"value": [1]}


def test_without_anything():
    with pytest.raises(Reject) as no:
        raise Reject
    assert no.value.to_proto().code == "REJECTED"
