"""Who gets what: a step's input, the saga's current data and its result, all derived from what the steps returned."""

from swit_saga_server.core.model import Saga
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.states import Effect, SagaState


def input_of(saga: Saga, index: int) -> Payload | None:
    """What step ``index`` is given: the output of the step before it, or the initial data for the first."""
    return saga.steps[index - 1].output if index else saga.initial_data


def current_data(saga: Saga) -> Payload | None:
    """The output of the latest completed step; the initial data before the first.

    A step that was done and failed because its output cannot be used leaves the data as they were.
    """
    for step in reversed(saga.steps):
        if step.effect is Effect.DONE and (step.output is not None or step.error is None):
            return step.output
    return saga.initial_data


def result_data(saga: Saga) -> Payload | None:
    """The last step's output once the saga is completed; else None."""
    return saga.steps[-1].output if saga.state is SagaState.COMPLETED else None
