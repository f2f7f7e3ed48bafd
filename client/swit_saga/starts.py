"""Starts made at the same time share a stream by themselves, see ``streams``."""

from collections.abc import Sequence

from swit_saga.streams import Shape
from swit_saga.v1 import coordinator_service_pb2 as pb


def _item(item_id: int, start: pb.StartSagaRequest, traceparent: str, tracestate: str) -> pb.StartSagasRequest.Item:
    return pb.StartSagasRequest.Item(item_id=item_id, start=start, traceparent=traceparent, tracestate=tracestate)


def _message(items: Sequence[pb.StartSagasRequest.Item], _: Sequence[int]) -> pb.StartSagasRequest:
    return pb.StartSagasRequest(items=items)


def _silence(start: pb.StartSagaRequest) -> str:
    return f"saga {start.saga_id!r}: no answer in time; whether it was started is unknown"


STARTS = Shape(
    rpc="StartSagas",
    alone="StartSaga",
    item=_item,
    message=_message,
    can_give_up=False,
    max_open=None,
    silence=_silence,
)
"""StartSaga's. The saga in an answer is the basic view at most."""
