"""A coordinator put together from its configuration: store, participants, engine, service."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from swit_saga.forks import Home
from swit_saga_server.config import ParticipantConfig, SagaConfig
from swit_saga_server.core.errors import NameTaken, StoreUnavailable
from swit_saga_server.core.inputs import Answered
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.patience import Backoff
from swit_saga_server.engine.transport import Deliver, Transport
from swit_saga_server.instance import is_gone, shown
from swit_saga_server.logs import get_logger
from swit_saga_server.participants.describing import Describing
from swit_saga_server.participants.grpc_connection import GrpcConnection
from swit_saga_server.participants.local import LocalParticipant, LocalTransport
from swit_saga_server.participants.router import Router
from swit_saga_server.participants.stream import StreamTransport
from swit_saga_server.participants.unary import UnaryTransport
from swit_saga_server.participants.unroutable import Unroutable
from swit_saga_server.service import Limits, SagaService
from swit_saga_server.service.catalogue import Catalogue
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.wire.answer import AnswerReader

log = get_logger(__name__)

NAME_TERMS, NAME_POLL_S = 1.2, 0.1
"""How long a name that another one has is waited for, in terms of leases: a dead one's is free after one."""
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 5.0


class Runtime:
    """The parts of one coordinator, running.

    Attributes:
        engine: The loop.
        service: What can be asked of it.
        home: The process that it runs in.
    """

    def __init__(
        self,
        config: SagaConfig,
        participants: Sequence[LocalParticipant],
        store: StateStorage | None,
        env: Environment | None,
    ) -> None:
        """Put it together; nothing runs yet. ``open_runtime`` is the way to get one that does."""
        self.home = Home()
        self._store = store or config.storage.open()
        self._retries = config.storage.max_retries
        self._catalogue = Catalogue()
        self._describing = Describing(self._catalogue.offer)
        self.engine = Engine(
            self._store, self._router(config, participants), config.engine_options(), env or Environment()
        )
        limits = Limits(
            payload=config.coordinator.max_payload_bytes, definition=config.coordinator.max_definition_bytes
        )
        self.service = SagaService(self.engine, config.settings(), limits, self._catalogue)

    def _router(self, config: SagaConfig, participants: Sequence[LocalParticipant]) -> Router:
        def deliver(saga_id: str, answered: Answered) -> None:
            self.engine.deliver(saga_id, answered)

        reader = AnswerReader(config.coordinator.max_payload_bytes)
        routes: dict[str, Transport] = {
            name: self._transport(name, at, deliver, reader) for name, at in config.participants.items()
        }
        local = LocalTransport(participants, deliver, reader=reader)
        routes |= dict.fromkeys(local.names, local)
        for name in local.describing:
            self._catalogue.offer(name, partial(local.offered, name))
        return Router(routes, Unroutable(deliver))

    def _transport(self, name: str, at: ParticipantConfig, deliver: Deliver, reader: AnswerReader) -> Transport:
        connection = GrpcConnection(at.address)
        reached = partial(self._describing.reached, name, connection.describe)
        if at.stream:
            return StreamTransport(name, connection, deliver, reader=reader, reached=reached)
        return UnaryTransport(connection, deliver, reader=reader, reached=reached)

    async def start(self) -> None:
        """Open the store, take up what a former life left, run.

        Raises:
            NameTaken: Another coordinator with this one's name is at work there.
            StoreRefused, StoreUnavailable.
        """
        self.home.enter("this coordinator")
        await self._reach_store()
        try:
            await self._take_name()
        except BaseException:
            await self._store.close()
            raise

    async def _take_name(self) -> None:
        """Start the engine as soon as nobody else has its name: one that died had it for a lease's term.

        Raises:
            NameTaken: Another one that lives has it.
        """
        options = self.engine.options
        until, said = time.monotonic() + options.lease_term * NAME_TERMS / 1e6, ""
        while True:
            try:
                await self.engine.start()
                return
            except NameTaken as taken:
                holder = str(taken.fields.get("holder", ""))
                if is_gone(holder):
                    await self._store.deregister(options.owner, holder)
                    continue
                if time.monotonic() > until:
                    raise NameTaken(
                        f"another coordinator is at work under the name {options.owner!r} on this store"
                        f" ({shown(holder)}): give each a name of its own (coordinator.name), or stop that one",
                        name=options.owner,
                        holder=holder,
                    ) from taken
                if said != holder:
                    said = holder
                    log.warning("name_waited_for", name=options.owner, holder=shown(holder))
            await asyncio.sleep(NAME_POLL_S)

    async def _reach_store(self) -> None:
        began, backoff = time.monotonic(), Backoff(FIRST_WAIT_S, MAX_WAIT_S)
        for left in range(self._retries, -1, -1):
            try:
                await self._store.open()
                return
            except StoreUnavailable as unavailable:
                if not left:
                    spent_s = time.monotonic() - began
                    raise StoreUnavailable(
                        f"{unavailable} (tried {self._retries + 1} times in {spent_s:.1f} s: storage.max_retries)"
                    ) from unavailable
                log.warning("store_not_reached", error=str(unavailable), retries_left=left)
            await backoff.wait()

    async def stop(self, grace_s: float) -> None:
        """Refuse new sagas, let those under way go on for at most ``grace_s``, close. Safe to call twice.

        In a process forked off nothing is stopped: store, leases and sagas are its parent's.
        """
        if self.home.is_elsewhere:
            return
        try:
            await self.engine.stop(grace_s)
            await self._describing.close()
            await self.service.close()
        finally:
            await self._store.close()


@asynccontextmanager
async def open_runtime(
    config: SagaConfig,
    participants: Sequence[LocalParticipant] = (),
    *,
    store: StateStorage | None = None,
    env: Environment | None = None,
    grace_s: float = 5.0,
) -> AsyncIterator[Runtime]:
    """A running coordinator while the context lasts.

    Args:
        config: All of it.
        participants: Those in this process.
        store: Instead of the configured one; it is opened and closed with the runtime.
        env: Clock and randomness, for simulations.
        grace_s: How long sagas under way may go on at the end; the rest is resumed by the next life.

    Raises:
        StoreRefused, StoreUnavailable.
    """
    runtime = Runtime(config, participants, store, env)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop(grace_s)
