"""``sagas.operator``: what a person on call does to one saga. Each call is the RPC of the same name, and no more."""

import uuid
from typing import Any

from swit_saga.connection import Connection
from swit_saga.ids import given_id, given_text
from swit_saga.payload import Codecs
from swit_saga.v1 import operator_service_pb2 as pb
from swit_saga.views import SagaView


class Operator:
    """The operator's actions. Made by the client.

    Every action takes ``reason``, in words, for the audit; ``operator``, who acts, by default the authenticated
    caller; and ``request_id``: a repeat with the same id is answered with the first answer. Without an id the client
    makes one up, so that its own repetitions after lost connections act once.

    Each raises ``NotFoundError``, ``UnavailableError``, ``UnsupportedError`` where the coordinator does not know the
    action, and ``ValueError`` for an empty id.
    """

    def __init__(self, connection: Connection, codecs: Codecs) -> None:
        self._connection = connection
        self._codecs = codecs

    async def retry(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """Give a stopped direction a fresh budget of attempts."""
        action = _action(reason, operator, request_id)
        return await self._ask("RetrySaga", pb.RetrySagaRequest(saga_id=given_id(saga_id), action=action))

    async def force_compensation(
        self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """Stop a saga and undo it, whatever it is at."""
        action = _action(reason, operator, request_id)
        return await self._ask(
            "ForceCompensation", pb.ForceCompensationRequest(saga_id=given_id(saga_id), action=action)
        )

    async def skip_compensation(
        self, saga_id: str, step_id: str, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """Count a step as undone: it was undone by hand."""
        action = _action(reason, operator, request_id)
        request = pb.SkipCompensationRequest(
            saga_id=given_id(saga_id), step_id=given_id(step_id, "step_id"), action=action
        )
        return await self._ask("SkipCompensation", request)

    async def pause(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """Intend nothing new until resumed."""
        action = _action(reason, operator, request_id)
        return await self._ask("PauseSaga", pb.PauseSagaRequest(saga_id=given_id(saga_id), action=action))

    async def resume(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """Go on."""
        action = _action(reason, operator, request_id)
        return await self._ask("ResumeSaga", pb.ResumeSagaRequest(saga_id=given_id(saga_id), action=action))

    async def edit_step_input(
        self, saga_id: str, step_id: str, data: Any, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """Give a failed or pending step another input."""
        action = _action(reason, operator, request_id)
        payload = self._codecs.encode(data)
        request = pb.EditStepInputRequest(
            saga_id=given_id(saga_id), step_id=given_id(step_id, "step_id"), input=payload, action=action
        )
        return await self._ask("EditStepInput", request)

    async def delete(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> None:
        """Remove a saga that has its outcome."""
        request = pb.DeleteSagaRequest(saga_id=given_id(saga_id), action=_action(reason, operator, request_id))
        await self._connection.call(self._connection.stubs.operator.DeleteSaga, request)

    async def _ask(self, rpc: str, request: Any) -> SagaView:
        response = await self._connection.call(getattr(self._connection.stubs.operator, rpc), request)
        return SagaView(response.saga, self._codecs)


def _action(reason: str, operator: str, request_id: str) -> pb.OperatorAction:
    return pb.OperatorAction(
        operator=given_text(operator, "operator"),
        reason=given_text(reason, "reason"),
        request_id=given_text(request_id, "request_id") or uuid.uuid4().hex,
    )
