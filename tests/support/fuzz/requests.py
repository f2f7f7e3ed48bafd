"""One valid request for every RPC, to be spoilt in one place at a time."""

from collections.abc import Mapping

from google.protobuf.message import Message

from swit_saga.v1 import coordinator_service_pb2 as c
from swit_saga.v1 import definition_pb2, saga_pb2
from swit_saga.v1 import definition_service_pb2 as d
from tests.support.rpc.serve import ORDER

KNOWN = "known"
"""A saga that exists."""


def valid_requests() -> Mapping[str, Message]:
    """By the method's name, of the calls that are built; their messages are made anew each time."""
    inline = definition_pb2.SagaDefinition()
    inline.CopyFrom(ORDER.to_proto())
    inline.steps[0].compensation.retry_policy.CopyFrom(inline.retry_policy)
    inline.steps[0].retry_policy.CopyFrom(inline.retry_policy)
    start = c.StartSagaRequest(saga_id="new", definition_id="order", view=c.SAGA_VIEW_HEAD)
    start.retry_policy.CopyFrom(inline.retry_policy)
    start.initial_data.content_type = "application/json"
    start.initial_data.text = "{}"
    with_inline = c.StartSagaRequest(saga_id="new", definition=inline, view=c.SAGA_VIEW_HEAD)
    wait = c.WaitSagaRequest(saga_id=KNOWN, states=[saga_pb2.SAGA_STATE_COMPLETED])
    wait.timeout.FromMilliseconds(1)
    started = c.StartSagasRequest.Item(item_id=1, start=start)
    return {
        "StartSaga": start,
        "StartSaga inline": with_inline,
        "StartSagas": c.StartSagasRequest(items=[started]),
        "GetSaga": c.GetSagaRequest(saga_id=KNOWN),
        "ListSagas": c.ListSagasRequest(page_size=3, filter=c.SagaFilter(states=[saga_pb2.SAGA_STATE_COMPLETED])),
        "CancelSaga": c.CancelSagaRequest(saga_id=KNOWN),
        "WaitSaga": wait,
        "WaitSagas": c.WaitSagasRequest(items=[c.WaitSagasRequest.Item(item_id=1, wait=wait)]),
        "WatchSaga": c.WatchSagaRequest(saga_id=KNOWN),
        "GetMetrics": c.GetMetricsRequest(),
        "RegisterDefinition": d.RegisterDefinitionRequest(definition=inline),
        "GetDefinition": d.GetDefinitionRequest(definition_id="order"),
        "ListDefinitions": d.ListDefinitionsRequest(page_size=3),
        "ValidateDefinition": d.ValidateDefinitionRequest(definition=inline),
        "DisableDefinition": d.DisableDefinitionRequest(definition_id="order", version=1, enable=True),
    }
