"""What can be asked of a coordinator, in the core's terms: the RPCs and the embedded coordinator both call this.

A file per subject: ``sagas``, ``definitions``, ``metrics``; and the one way a saga begins, from ``admission_queue``
through ``starting`` to the engine. Nothing here knows protobuf. How a saga goes on is the engine's and the core's.
"""

from swit_saga_server.service.limits import Limits
from swit_saga_server.service.service import SagaService

__all__ = ["Limits", "SagaService"]
