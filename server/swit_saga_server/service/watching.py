"""A saga's events for one watcher: history, then live, no gap and no duplicate (invariant 15)."""

from collections.abc import AsyncIterator

from swit_saga_server.core.errors import CursorOutOfRange, SagaLost, SagaNotFound
from swit_saga_server.core.events import SagaEvent, with_data
from swit_saga_server.core.model import Saga
from swit_saga_server.engine.engine import Engine
from swit_saga_server.engine.feed import Subscription

HISTORY_PAGE = 500


async def watch(
    engine: Engine, saga_id: str, after: int, *, follow: bool, idle_s: float
) -> tuple[Saga, AsyncIterator[SagaEvent | None]]:
    """See ``Sagas.watch``."""
    subscription = engine.feed.subscribe(saga_id)
    try:
        saga = await engine.get(saga_id)
        if after > saga.last_sequence:
            # The watcher may have read, here or at another coordinator, what this one does not know of yet.
            saga = await _check_cursor(engine, saga_id, after)
    except BaseException:
        engine.feed.unsubscribe(saga_id, subscription)
        raise
    return saga, _follow(engine, saga, subscription, after, follow=follow, idle_s=idle_s)


async def _check_cursor(engine: Engine, saga_id: str, after: int) -> Saga:
    """The saga as stored, if it has an event ``after``.

    Raises:
        CursorOutOfRange: It has none; a watcher who saw it saw what the store took back.
        SagaNotFound, StoreUnavailable.
    """
    saga = await engine.stored(saga_id)
    if after > saga.last_sequence:
        raise CursorOutOfRange(
            f"saga {saga_id!r} has no event {after}; its latest is {saga.last_sequence}",
            saga_id=saga_id,
            oldest=1,
            latest=saga.last_sequence,
        )
    return saga


async def _follow(
    engine: Engine, saga: Saga, subscription: Subscription, after: int, *, follow: bool, idle_s: float
) -> AsyncIterator[SagaEvent | None]:
    try:
        subscription.overflowed = True  # The history comes first.
        while True:
            if subscription.overflowed:
                subscription.overflowed = False
                while page := await engine.store.events(saga.id, after, HISTORY_PAGE):
                    if page[-1].sequence > saga.last_sequence:
                        saga = await engine.stored(saga.id)
                    for event in page:
                        after = event.sequence
                        yield with_data(event, saga)
                saga = await engine.get(saga.id)
                if after > saga.last_sequence:
                    await _check_cursor(engine, saga.id, after)  # It may be behind the store, or the store went back.
            if subscription.saga is not None and subscription.saga.version > saga.version:
                saga = subscription.saga
            for event in subscription.take():
                if event.sequence == after + 1:
                    after = event.sequence
                    yield with_data(event, saga)
                elif event.sequence > after:
                    subscription.overflowed = True  # A gap: the history has it.
                    break
            if saga.state.is_terminal and after >= saga.last_sequence and not follow:
                return
            if not subscription.overflowed and not await subscription.wait(idle_s):
                yield None
    except SagaNotFound:
        if not saga.state.is_terminal:
            # What is under way is never deleted.
            raise SagaLost(saga_id=saga.id) from None
        return  # Deleted while watched: there is nothing more to come.
    finally:
        engine.feed.unsubscribe(saga.id, subscription)
