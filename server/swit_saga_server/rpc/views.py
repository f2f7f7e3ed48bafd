"""A saga as a caller wants to see it."""

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.service import SagaService
from swit_saga_server.wire import saga as wire


async def view_of(service: SagaService, saga: Saga, view: "pb.SagaView.ValueType") -> saga_pb2.Saga:
    """The message. Only what is shown in full needs the definition, which is read once and kept.

    Raises:
        DefinitionNotFound, StoreUnavailable.
    """
    if view == pb.SAGA_VIEW_HEAD:
        return wire.head(saga)
    if view == pb.SAGA_VIEW_BASIC:
        return wire.saga(saga, None)
    if view == pb.SAGA_VIEW_RESULT and saga.state is SagaState.COMPLETED:
        return wire.result(saga)
    return wire.saga(saga, await service.definition_of(saga))
