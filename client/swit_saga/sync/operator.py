"""``sagas.operator`` of the synchronous client."""

from typing import Any

from swit_saga.operator import Operator
from swit_saga.sync.loop import LoopThread
from swit_saga.views import SagaView


class SyncOperator:
    """The operator's actions, see ``swit_saga.operator.Operator``. Made by the client."""

    def __init__(self, actions: Operator, loop: LoopThread) -> None:
        self._actions = actions
        self._loop = loop

    def retry(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """See ``Operator.retry``."""
        return self._loop.run(self._actions.retry(saga_id, reason, operator=operator, request_id=request_id))

    def force_compensation(
        self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """See ``Operator.force_compensation``."""
        return self._loop.run(
            self._actions.force_compensation(saga_id, reason, operator=operator, request_id=request_id)
        )

    def skip_compensation(
        self, saga_id: str, step_id: str, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """See ``Operator.skip_compensation``."""
        return self._loop.run(
            self._actions.skip_compensation(saga_id, step_id, reason, operator=operator, request_id=request_id)
        )

    def pause(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """See ``Operator.pause``."""
        return self._loop.run(self._actions.pause(saga_id, reason, operator=operator, request_id=request_id))

    def resume(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> SagaView:
        """See ``Operator.resume``."""
        return self._loop.run(self._actions.resume(saga_id, reason, operator=operator, request_id=request_id))

    def edit_step_input(
        self, saga_id: str, step_id: str, data: Any, reason: str = "", *, operator: str = "", request_id: str = ""
    ) -> SagaView:
        """See ``Operator.edit_step_input``."""
        return self._loop.run(
            self._actions.edit_step_input(saga_id, step_id, data, reason, operator=operator, request_id=request_id)
        )

    def delete(self, saga_id: str, reason: str = "", *, operator: str = "", request_id: str = "") -> None:
        """See ``Operator.delete``."""
        self._loop.run(self._actions.delete(saga_id, reason, operator=operator, request_id=request_id))
