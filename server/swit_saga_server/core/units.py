"""Time in the core: plain integers, so that arithmetic is exact, cheap and free of time zones.

The type checker tells moments from lengths of time: a moment plus a length is a moment, the difference of two moments
is a length, two moments have no sum, and a moment is not compared with a length. At run time both are ``int``, for
nearly every transition reckons with them.
"""

from typing import TYPE_CHECKING, Any, overload

__all__ = [
    "HOUR",
    "MICROSECOND",
    "MILLISECOND",
    "MINUTE",
    "NEVER",
    "NO_TIME",
    "SECOND",
    "SKEW_ALLOWANCE",
    "Instant",
    "Span",
]

if TYPE_CHECKING:

    class Span(int):
        """A length of time in microseconds."""

        @overload  # type: ignore[override]
        def __add__(self, other: "Instant") -> "Instant": ...
        @overload
        def __add__(self, other: "Span") -> "Span": ...
        def __add__(self, other: Any) -> Any: ...
        def __sub__(self, other: "Span") -> "Span": ...  # type: ignore[override]
        def __mul__(self, other: int) -> "Span": ...
        def __rmul__(self, other: int) -> "Span": ...
        def __floordiv__(self, other: int) -> "Span": ...
        def __lshift__(self, other: int) -> "Span": ...
        def __neg__(self) -> "Span": ...
        def __lt__(self, other: "Span") -> bool: ...  # type: ignore[override]
        def __le__(self, other: "Span") -> bool: ...  # type: ignore[override]
        def __gt__(self, other: "Span") -> bool: ...  # type: ignore[override]
        def __ge__(self, other: "Span") -> bool: ...  # type: ignore[override]

    class Instant(int):
        """A moment: microseconds since the Unix epoch, UTC, by the store's clock; 0 is never."""

        def __add__(self, other: Span) -> "Instant": ...  # type: ignore[override]
        @overload  # type: ignore[override]
        def __sub__(self, other: "Instant") -> Span: ...
        @overload
        def __sub__(self, other: Span) -> "Instant": ...
        def __sub__(self, other: Any) -> Any: ...
        def __lt__(self, other: "Instant") -> bool: ...  # type: ignore[override]
        def __le__(self, other: "Instant") -> bool: ...  # type: ignore[override]
        def __gt__(self, other: "Instant") -> bool: ...  # type: ignore[override]
        def __ge__(self, other: "Instant") -> bool: ...  # type: ignore[override]

else:
    Instant = Span = int

NEVER = Instant(0)
"""No moment: what has not happened, or is not to happen."""
NO_TIME = Span(0)
"""No length of time."""
MICROSECOND = Span(1)
MILLISECOND = Span(1_000)
SECOND = Span(1_000_000)
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

SKEW_ALLOWANCE = 2 * SECOND
"""How far a participant's clock may lag the store's: an unanswered attempt is taken as over only this long
after its not-after time."""
