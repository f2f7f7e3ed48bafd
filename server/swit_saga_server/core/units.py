"""Time in the core: plain integers, so that arithmetic is exact, cheap and free of time zones."""

from typing import TypeAlias

Instant: TypeAlias = int
"""A moment: microseconds since the Unix epoch, UTC, by the store's clock."""

Span: TypeAlias = int
"""A length of time in microseconds."""

MILLISECOND: Span = 1_000
SECOND: Span = 1_000_000
MINUTE: Span = 60 * SECOND
HOUR: Span = 60 * MINUTE

SKEW_ALLOWANCE: Span = 2 * SECOND
"""How far a participant's clock may lag the store's: an unanswered attempt is taken as over only this long
after its not-after time."""
