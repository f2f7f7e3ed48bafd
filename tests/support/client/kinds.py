"""Classes of every sort that values are made of."""

import enum
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

T = TypeVar("T")
Number = NewType("Number", int)


class Size(enum.Enum):
    SMALL, PAIR, NOTHING = 1, (1, 2), None


class Level(enum.IntEnum):
    LOW, HIGH = 1, 2


class Colour(enum.StrEnum):
    RED = "red"


class Rights(enum.Flag):
    READ, WRITE = 1, 2


class Text(str):
    __slots__ = ()


@dataclass
class Box(Generic[T]):
    value: T
    more: "list[T]" = field(default_factory=list)


@dataclass
class IntBox(Box[int]):
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    at: datetime
    length: timedelta = timedelta(0)
    made: int = field(init=False, default=3)


@dataclass
class Late:
    x: int
    y: int = field(init=False)

    def __post_init__(self) -> None:
        self.y = self.x + 1


@dataclass
class Tidy:
    name: str

    def __post_init__(self) -> None:
        self.name = self.name.strip().lower()


@dataclass
class Twice:
    x: int

    def __post_init__(self) -> None:
        self.x *= 2


@dataclass
class Scaled:
    x: int
    by: InitVar[int]

    def __post_init__(self, by: int) -> None:
        self.x *= by


@dataclass
class Node:
    value: int
    child: "Node | None" = None


@dataclass
class Base:
    a: int = 1


@dataclass
class Derived(Base):
    b: int = 2


@dataclass
class Same:
    a: int = 1


@dataclass
class Holder:
    items: list[Base]


class Point(NamedTuple):
    x: int
    y: Decimal = Decimal(1)


class Row(TypedDict):
    id: int
    at: NotRequired[datetime]


class Model(BaseModel):
    price: Decimal
    at: datetime | None = None
    tags: set[int] = set()


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    id: UUID


class Aliased(BaseModel):
    number: int = Field(alias="theNumber")


class Plain(BaseModel):
    x: float = 0


class More(Plain):
    y: int = 1


class Holding(BaseModel):
    item: Plain


class Hidden(BaseModel):
    secret: SecretStr


def late() -> Late:
    made = Late(1)
    made.y = 99
    return made
