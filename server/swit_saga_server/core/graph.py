"""Which step depends on which.

Steps form a chain: each depends on the one before it. Whoever asks what may begin, or what must be undone first, asks
here and nowhere else, so that another shape of graph is another class with these methods.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.model import StepState
from swit_saga_server.core.states import StepStatus


class Chain:
    """The trivial graph: the steps in the order given."""

    __slots__ = ("_length",)

    def __init__(self, length: int) -> None:
        self._length = length

    def dependencies(self, index: int) -> tuple[int, ...]:
        """The steps whose success step ``index`` waits for."""
        return (index - 1,) if index else ()

    def frontier(self, steps: Sequence[StepState]) -> Iterator[StepState]:
        """The steps that are not passed and whose dependencies all are: under way, or free to begin (invariant 7)."""
        for step in steps:
            status = step.status
            if status is not StepStatus.COMPLETED and status is not StepStatus.SKIPPED:
                yield step
                return

    def undone_after(self, index: int) -> range:
        """The steps that must be undone before step ``index``: all that came after it."""
        return range(index + 1, self._length)


def graph_of(definition: Definition) -> Chain:
    """The graph of a definition's steps."""
    return _chain(len(definition.steps))


@lru_cache
def _chain(length: int) -> Chain:
    return Chain(length)
