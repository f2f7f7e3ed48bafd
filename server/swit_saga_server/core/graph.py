"""Which step depends on which.

Steps form a chain: each depends on the one before it. Whoever asks what may begin asks here and nowhere
else, so that another shape of graph is another class with this method.
"""

from collections.abc import Iterator, Sequence

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.model import StepState
from swit_saga_server.core.states import StepStatus


class Chain:
    """The trivial graph: the steps in the order given."""

    __slots__ = ()

    def frontier(self, steps: Sequence[StepState]) -> Iterator[StepState]:
        """The steps that are not passed and whose dependencies all are: under way, or free to begin (invariant 7)."""
        for step in steps:
            status = step.status
            if status is not StepStatus.COMPLETED and status is not StepStatus.SKIPPED:
                yield step
                return


CHAIN = Chain()


def graph_of(definition: Definition) -> Chain:
    """The graph of a definition's steps."""
    return CHAIN
