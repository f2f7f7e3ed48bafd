"""A saga as the caller wants to see it, within what one message may have."""

from collections.abc import Collection
from typing import TypeAlias

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.model import Saga
from swit_saga_server.core.states import SagaState
from swit_saga_server.service import SagaService
from swit_saga_server.wire import fitting
from swit_saga_server.wire import saga as wire

View: TypeAlias = "pb.SagaView.ValueType"
"""How much of it."""

WRAPPING = 16 << 10
"""Bytes that a message may have around what it is about: ids, a page token, lengths."""


class Views:
    """Views that fit."""

    def __init__(self, service: SagaService) -> None:
        """Take the definitions and the limits of ``service``."""
        self._definitions = service.definitions
        self.room = service.limits.message - WRAPPING

    async def of(self, saga: Saga, view: View, step_ids: Collection[str] = ()) -> saga_pb2.Saga:
        """The message. Only what is shown in full needs the definition, which is read once and kept.

        Args:
            saga: The saga.
            view: How much of it.
            step_ids: Only these of its steps in the full view; empty for all.

        Raises:
            DefinitionNotFound, StoreUnavailable.
        """
        shown = self.without_definition(saga, view)
        if shown is not None:
            return shown
        return fitting.full(saga, await self._definitions.of(saga), self.room, step_ids)

    def without_definition(self, saga: Saga, view: View) -> saga_pb2.Saga | None:
        """The message if it needs no definition; None if it does."""
        if view == pb.SAGA_VIEW_HEAD:
            return wire.head(saga)
        if view == pb.SAGA_VIEW_BASIC:
            return fitting.basic_view(saga, self.room)
        if view == pb.SAGA_VIEW_RESULT and saga.state is SagaState.COMPLETED:
            return wire.result(saga)
        return None
