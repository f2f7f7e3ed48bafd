"""Chances by name: each follows from a world's number and from what it is for, and from nothing else.

So a new one changes no other, and the rest of a world stays as it is when a part of it is taken away: shrinking works,
and a recorded world shows tomorrow what it shows today.
"""

import random
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar, overload

from swit_saga_server.core.units import Span

T = TypeVar("T")

Rolls = tuple[float, ...]
Name = str | int


def rolls(world: Name, *names: Name) -> Rolls:
    """Eight uniform numbers in [0, 1)."""
    text = "/".join(map(str, (world, *names)))
    return tuple(n / 2**32 for n in struct.unpack("<8I", blake2b(text.encode(), digest_size=32).digest()))


class Draws:
    """Everything drawn for one thing. Names are for good: a changed one is another draw.

    Every method takes what it is for first.
    """

    def __init__(self, world: Name, *names: Name) -> None:
        self._names = (world, *names)
        self._drawn: set[Name] = set()

    def of(self, *names: Name) -> "Draws":
        """For a part of it."""
        return Draws(*self._names, *names)

    def roll(self, name: Name) -> float:
        """Uniform in [0, 1).

        Raises:
            ValueError: This was drawn before: two things that always turn out alike would be one chance too few.
        """
        if name in self._drawn:
            raise ValueError(f"{name!r} is drawn twice for {self._names}")
        self._drawn.add(name)
        roll, *_ = rolls(*self._names, name)
        return roll

    def chance(self, name: Name, of: float) -> bool:
        """Whether it happens, with this probability."""
        return self.roll(name) < of

    @overload
    def below(self, name: Name, end: Span) -> Span: ...
    @overload
    def below(self, name: Name, end: int) -> int: ...
    def below(self, name: Name, end: int) -> int:
        """A whole number from 0 on and below ``end``."""
        return int(self.roll(name) * end)

    @overload
    def whole(self, name: Name, least: Span, most: Span) -> Span: ...
    @overload
    def whole(self, name: Name, least: int, most: int) -> int: ...
    def whole(self, name: Name, least: int, most: int) -> int:
        """A whole number; ``most`` may come, too."""
        return least + self.below(name, most - least + 1)

    def pick(self, name: Name, options: Sequence[T], weights: Sequence[int] | None = None) -> T:
        """One of several, as often as its weight says; all alike without weights."""
        if weights is None:
            return options[self.below(name, len(options))]
        left = self.below(name, sum(weights))
        for option, weight in zip(options, weights, strict=True):
            if left < weight:
                return option
            left -= weight
        raise AssertionError("weights have no sum")


class Streams(random.Random):
    """A generator for one process, with separate streams for chances and for bits: an id more moves no chance."""

    def __init__(self, world: Name, *names: Name) -> None:
        name = "/".join(map(str, (world, *names)))
        self._bits = random.Random(f"{name}/bits")
        super().__init__(f"{name}/chances")

    def getrandbits(self, k: int, /) -> int:
        """From the stream of bits."""
        return self._bits.getrandbits(k)
