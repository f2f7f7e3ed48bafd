"""Retry policies: how long to wait before another attempt. Pure: the chance for jitter is handed in."""

import math
from enum import StrEnum

from swit_saga_server.core.limits import MAX_SPAN
from swit_saga_server.core.record import record
from swit_saga_server.core.units import NO_TIME, SECOND, Span


class Backoff(StrEnum):
    """How the delay grows from attempt to attempt."""

    NONE = "none"
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Jitter(StrEnum):
    """How the delay is spread, so that many sagas do not retry in step.

    ``full``: uniform in [0, d]; ``equal``: d/2 plus uniform in [0, d/2]; ``decorrelated``: uniform in
    [initial, 3 x previous delay], capped. Source: Brooker, "Exponential Backoff And Jitter", AWS, 2015.
    """

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"
    DECORRELATED = "decorrelated"


@record(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often a step is tried again.

    Attributes:
        backoff: ``none`` never retries, whatever ``max_attempts`` says.
        initial_delay: Delay before the second attempt, >= 0.
        max_delay: Cap on every delay, jitter included.
        multiplier: Growth factor of the exponential backoff, >= 1.
        max_attempts: The first attempt included, >= 1.
        jitter: How the delay is spread.
    """

    backoff: Backoff = Backoff.EXPONENTIAL
    initial_delay: Span = SECOND
    max_delay: Span = 30 * SECOND
    multiplier: float = 2.0
    max_attempts: int = 5
    jitter: Jitter = Jitter.FULL

    @property
    def attempts_allowed(self) -> int:
        """Attempts in one grant, the first included."""
        return 1 if self.backoff is Backoff.NONE else self.max_attempts


NO_RETRY = RetryPolicy(backoff=Backoff.NONE, max_attempts=1, jitter=Jitter.NONE)
DEFAULT_RETRY = RetryPolicy()
DEFAULT_COMPENSATION_RETRY = RetryPolicy(max_delay=60 * SECOND, max_attempts=20)
"""A compensation is worth more patience than a step: giving up on it needs a human."""


def delay_after(policy: RetryPolicy, failed_attempts: int, previous: Span, chance: float) -> Span:
    """The wait between the ``failed_attempts``-th attempt's end and the next attempt.

    Args:
        policy: The policy in force.
        failed_attempts: Attempts of this grant made so far, >= 1.
        previous: The delay before the last attempt; 0 if there was none. Used by decorrelated jitter.
        chance: A uniform random number in [0, 1).

    Returns:
        Microseconds, between 0 and ``policy.max_delay``, whatever the policy: one from before there were bounds may
        have any numbers. One that makes no sense waits for as long as it may.
    """
    cap = float(min(max(policy.max_delay, NO_TIME), MAX_SPAN))
    match policy.backoff:
        case Backoff.NONE:
            base = 0.0
        case Backoff.FIXED:
            base = float(policy.initial_delay)
        case Backoff.LINEAR:
            base = float(policy.initial_delay) * failed_attempts
        case Backoff.EXPONENTIAL:
            base = float(policy.initial_delay) and policy.initial_delay * _power(policy.multiplier, failed_attempts - 1)
    base = min(base, cap) if base >= 0 else cap  # Also if it is not a number.
    match policy.jitter:
        case Jitter.NONE:
            spread = base
        case Jitter.FULL:
            spread = base * chance
        case Jitter.EQUAL:
            spread = base / 2 + base / 2 * chance
        case Jitter.DECORRELATED:
            low = max(float(policy.initial_delay), 0.0)
            high = max(low, 3.0 * (previous or policy.initial_delay))
            spread = low + (high - low) * chance
    return Span(min(spread, cap))


def _power(factor: float, exponent: int) -> float:
    try:
        return factor**exponent
    except OverflowError:
        return math.inf  # Past any cap.
