"""Sagas and events as a program reads them: aware datetimes, plain strings for states, values decoded on demand.

A view has every field of its message under the same name. ``proto`` is the message itself.
"""

from swit_saga.views.error import ErrorView
from swit_saga.views.event import EventView
from swit_saga.views.retry_policy import RetryPolicyView
from swit_saga.views.saga import SagaView
from swit_saga.views.states import ACTIVE, TERMINAL, state_name, state_value, state_values
from swit_saga.views.step import CompensationView, StepView

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "CompensationView",
    "ErrorView",
    "EventView",
    "RetryPolicyView",
    "SagaView",
    "StepView",
    "state_name",
    "state_value",
    "state_values",
]
