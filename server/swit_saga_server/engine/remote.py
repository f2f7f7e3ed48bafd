"""Requests for sagas that another coordinator holds. Coordinators speak to each other through the store only."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import CoordinatorUnavailable, NeedsNewerLevel, SagaAlreadyExists, StoreUnavailable
from swit_saga_server.core.inputs import Input
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.failpoints import Point, reach
from swit_saga_server.engine.levels import Levels
from swit_saga_server.engine.messages import open_reply, pack_input
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.patience import Backoff
from swit_saga_server.logs import get_logger
from swit_saga_server.store.contract import InboxEntry, StateStorage, Verdict, Write

log = get_logger(__name__)

FIRST_WAIT_S, MAX_WAIT_S = 0.01, 0.5

T = TypeVar("T")


class Remote:
    """The way to another coordinator's sagas."""

    def __init__(self, store: StateStorage, options: EngineOptions, env: Environment, levels: Levels) -> None:
        self._store = store
        self._levels = levels
        self._options = options
        self._env = env

    async def create(self, saga: Saga, definition: Definition) -> tuple[Saga, bool] | None:
        """Create if absent: the one write that needs no lease. Its holder finds it due and sets it going.

        Returns:
            The saga, durable, and whether it was created; None if it was there and is gone: try again.

        Raises:
            SagaAlreadyExists: It was started by a different request.
            NeedsNewerLevel: A coordinator that lives could not read it.
            CoordinatorUnavailable: The outcome is unknown; the same call may be made again.
        """
        write = Write(
            saga=saga,
            base_version=0,
            commit_id=self._env.hex(16),
            changed_steps=tuple(range(len(saga.steps))),
            events=(),
            due_at=due_at(saga),
            in_flight=False,
            definition=None if saga.definition_version else definition,
        )
        reach(Point.CREATE_BEFORE)
        verdict = await self._patiently(lambda: self._store.create(write))
        reach(Point.CREATE_AFTER)
        if verdict is not Verdict.CONFLICT:
            return saga, True
        (known,) = await self._patiently(lambda: self._store.load([saga.id]))
        if known is None:
            return None
        if known.fingerprint != saga.fingerprint:
            raise SagaAlreadyExists(
                f"saga {saga.id!r} was started by a different request", saga_id=saga.id, state=known.state
            )
        return known, False

    async def ask(self, saga_id: str, given: Input) -> int:
        """Give an input to whoever holds the saga, and return once it is taken, durably.

        Returns:
            The version that the saga has at least since then.

        Raises:
            SagaNotFound, SagaAlreadyFinished, IllegalInput, SagaQuarantined: It was refused.
            NeedsNewerLevel: A coordinator that lives could not read it, or what it leads to.
            CoordinatorUnavailable: There was no answer in time; the outcome is unknown. The same may be asked again.
        """
        entry = self._entry(saga_id, given)
        until = self._env.clock.elapsed() + self._options.answer_timeout
        reach(Point.POST_BEFORE)
        await self._patiently(lambda: self._store.post(entry))
        reach(Point.POST_AFTER)
        backoff = Backoff(FIRST_WAIT_S, MAX_WAIT_S)
        while (reply := await self._patiently(lambda: self._store.answer(entry))) is None:
            if self._env.clock.elapsed() > until:
                raise CoordinatorUnavailable(f"the coordinator that holds saga {saga_id!r} did not answer in time")
            await backoff.wait()
        return open_reply(reply)

    async def send_on(self, saga_id: str, given: Input) -> None:
        """Tell the holder something it would find out by itself, only later; best-effort."""
        try:
            await self._store.post(self._entry(saga_id, given))
        except (StoreUnavailable, NeedsNewerLevel) as not_sent:
            log.info("answer_not_sent_on", saga_id=saga_id, error=str(not_sent))

    def _entry(self, saga_id: str, given: Input) -> InboxEntry:
        return InboxEntry(entry_id=self._env.hex(24), saga_id=saga_id, body=pack_input(given, self._levels.writer))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat what is safe to repeat until the store answers, for as long as an answer is waited for."""
        until = self._env.clock.elapsed() + self._options.answer_timeout
        backoff = Backoff(FIRST_WAIT_S, MAX_WAIT_S)
        while True:
            try:
                return await call()
            except StoreUnavailable:
                if self._env.clock.elapsed() > until:
                    raise
                await backoff.wait()
