"""Waits under way at the same time share a stream by themselves, see ``streams``."""

from collections.abc import Sequence

from swit_saga.streams import Shape
from swit_saga.v1 import coordinator_service_pb2 as pb

MAX_OPEN = 4_096
"""Waits on one stream, below the server's limit."""


def _item(item_id: int, wait: pb.WaitSagaRequest, traceparent: str, tracestate: str) -> pb.WaitSagasRequest.Item:
    return pb.WaitSagasRequest.Item(item_id=item_id, wait=wait)  # A wait leaves no trace.


def _message(items: Sequence[pb.WaitSagasRequest.Item], given_up: Sequence[int]) -> pb.WaitSagasRequest:
    return pb.WaitSagasRequest(items=items, withdrawn=given_up)


def _silence(wait: pb.WaitSagaRequest) -> str:
    return f"saga {wait.saga_id!r}: no answer in time"


WAITS = Shape(
    rpc="WaitSagas",
    alone="WaitSaga",
    item=_item,
    message=_message,
    can_give_up=True,
    max_open=MAX_OPEN,
    silence=_silence,
)
"""WaitSaga's."""
