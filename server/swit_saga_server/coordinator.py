"""A coordinator put together: store, participants, engine, service. ``rpc`` serves one; programs embed one.

async with Coordinator.open(config, participants=[inventory]) as c:
    handle = await c.start(order, data)
    outcome = await handle.wait()
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from swit_saga.errors import SwitSagaClientError
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.inputs import Answered
from swit_saga_server.engine.loop import Engine
from swit_saga_server.engine.surroundings import Surroundings
from swit_saga_server.engine.transport import Transport
from swit_saga_server.participants.local import LocalParticipant, LocalTransport
from swit_saga_server.participants.router import Router
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.participants.unroutable import Unroutable
from swit_saga_server.service import Limits, SagaService
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.store.sqlite import SqliteStore
