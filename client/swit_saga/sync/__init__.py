"""The client for programs without asyncio."""

from swit_saga.sync.client import SagaClient

__all__ = ["SagaClient"]
