"""The Swit Saga client and participant SDK.

Names are loaded when first used: importing a generated stub imports this package, and must not drag all of it in.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "AsyncSagaClient": "client",
    "SagaClient": "sync",
    "SagaHandle": "handle",
    "Saga": "definition",
    "Step": "definition",
    "Compensation": "definition",
    "exponential": "definition",
    "linear": "definition",
    "fixed": "definition",
    "no_retry": "definition",
    "Codec": "payload",
    "Codecs": "payload",
    "Payload": "payload",
    "PayloadHook": "payload",
    "SagaView": "views",
    "StepView": "views",
    "CompensationView": "views",
    "RetryPolicyView": "views",
    "EventView": "views",
    "ErrorView": "views",
    "Participant": "participant.participant",
    "StepContext": "participant.context",
    "Reject": "participant.context",
    "SagaClientError": "errors",
    "CallError": "errors",
    "NotFoundError": "errors",
    "AlreadyExistsError": "errors",
    "AlreadyFinishedError": "errors",
    "InvalidRequestError": "errors",
    "UnsupportedError": "errors",
    "DefinitionDisabledError": "errors",
    "UnavailableError": "errors",
    "TimedOutError": "errors",
    "OverloadedError": "errors",
    "OutcomeError": "outcomes",
    "SagaCompensated": "outcomes",
    "SagaFailed": "outcomes",
    "SagaCancelled": "outcomes",
    "SagaTimedOut": "outcomes",
    "WaitTimeout": "outcomes",
    "ClientClosed": "errors",
    "ForkedError": "errors",
    "CodecError": "errors",
    "PayloadLeftOut": "errors",
}
__all__ = list(_NAMES)

if TYPE_CHECKING:
    from swit_saga.client import AsyncSagaClient as AsyncSagaClient
    from swit_saga.definition import Compensation as Compensation
    from swit_saga.definition import Saga as Saga
    from swit_saga.definition import Step as Step
    from swit_saga.definition import exponential as exponential
    from swit_saga.definition import fixed as fixed
    from swit_saga.definition import linear as linear
    from swit_saga.definition import no_retry as no_retry
    from swit_saga.errors import AlreadyExistsError as AlreadyExistsError
    from swit_saga.errors import AlreadyFinishedError as AlreadyFinishedError
    from swit_saga.errors import CallError as CallError
    from swit_saga.errors import ClientClosed as ClientClosed
    from swit_saga.errors import CodecError as CodecError
    from swit_saga.errors import DefinitionDisabledError as DefinitionDisabledError
    from swit_saga.errors import ForkedError as ForkedError
    from swit_saga.errors import InvalidRequestError as InvalidRequestError
    from swit_saga.errors import NotFoundError as NotFoundError
    from swit_saga.errors import OverloadedError as OverloadedError
    from swit_saga.errors import PayloadLeftOut as PayloadLeftOut
    from swit_saga.errors import SagaClientError as SagaClientError
    from swit_saga.errors import TimedOutError as TimedOutError
    from swit_saga.errors import UnavailableError as UnavailableError
    from swit_saga.errors import UnsupportedError as UnsupportedError
    from swit_saga.handle import SagaHandle as SagaHandle
    from swit_saga.outcomes import OutcomeError as OutcomeError
    from swit_saga.outcomes import SagaCancelled as SagaCancelled
    from swit_saga.outcomes import SagaCompensated as SagaCompensated
    from swit_saga.outcomes import SagaFailed as SagaFailed
    from swit_saga.outcomes import SagaTimedOut as SagaTimedOut
    from swit_saga.outcomes import WaitTimeout as WaitTimeout
    from swit_saga.participant.context import Reject as Reject
    from swit_saga.participant.context import StepContext as StepContext
    from swit_saga.participant.participant import Participant as Participant
    from swit_saga.payload import Codec as Codec
    from swit_saga.payload import Codecs as Codecs
    from swit_saga.payload import Payload as Payload
    from swit_saga.payload import PayloadHook as PayloadHook
    from swit_saga.sync import SagaClient as SagaClient
    from swit_saga.views import CompensationView as CompensationView
    from swit_saga.views import ErrorView as ErrorView
    from swit_saga.views import EventView as EventView
    from swit_saga.views import RetryPolicyView as RetryPolicyView
    from swit_saga.views import SagaView as SagaView
    from swit_saga.views import StepView as StepView


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"swit_saga.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'swit_saga' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
