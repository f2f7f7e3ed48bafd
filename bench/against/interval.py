"""The median of a sample with an interval that assumes nothing about how the figures are distributed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Median:
    """The median of a sample, and where that of what it is drawn from lies.

    Attributes:
        value: Of the sample.
        low, high: The narrowest pair of its order statistics, as far from either end, that encloses the true median
            with at least ``CONFIDENCE``; None where even the least and the greatest do not.
        coverage: With which confidence it does; 0 without an interval.
    """

    value: float
    low: float | None
    high: float | None
    coverage: float

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (too few for an interval)"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def rank(size: int) -> int:
    """Which order statistic from either end bounds the interval, from 1; 0 if the sample is too small for any.

    The number of figures below the true median is binomial with a half (the sign test): the interval from the k-th
    least to the k-th greatest misses it where fewer than k of them are on one side.
    """
    return max((k for k in range(1, size // 2 + 1) if coverage(size, k) >= CONFIDENCE), default=0)


def coverage(size: int, k: int) -> float:
    """How probably the interval from the k-th least to the k-th greatest of so many figures has the true median."""
    return 1 - 2 * sum(comb(size, below) for below in range(k)) / 2.0**size


def median_of(sample: Sequence[float]) -> Median:
    """Of one figure at least."""
    k = rank(len(sample))
    if not k:
        return Median(median(sample), None, None, 0.0)
    ordered = sorted(sample)
    return Median(median(sample), ordered[k - 1], ordered[-k], coverage(len(sample), k))
