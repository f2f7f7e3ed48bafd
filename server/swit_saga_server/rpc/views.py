"""A saga as a caller wants to see it."""

from typing import TypeAlias

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.service.definitions import Definitions
from swit_saga_server.wire import saga as wire

View: TypeAlias = "pb.SagaView.ValueType"
"""How much of it."""


async def view_of(definitions: Definitions, saga: Saga, view: View) -> saga_pb2.Saga:
    """The message. Only what is shown in full needs the definition, which is read once and kept.

    Raises:
        DefinitionNotFound, StoreUnavailable.
    """
    shown = view_without_definition(saga, view)
    return shown if shown is not None else wire.saga(saga, await definitions.of(saga))


def view_without_definition(saga: Saga, view: View) -> saga_pb2.Saga | None:
    """The message if it needs no definition; None if it does."""
    if view == pb.SAGA_VIEW_HEAD:
        return wire.head(saga)
    if view == pb.SAGA_VIEW_BASIC:
        return wire.saga(saga, None)
    if view == pb.SAGA_VIEW_RESULT and saga.state is SagaState.COMPLETED:
        return wire.result(saga)
    return None
