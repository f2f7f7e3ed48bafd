"""The one loop: inbox -> decide -> commit -> effects.

Inputs of all sagas wait in one mailbox. A turn of the loop takes them all, lets the pure machine decide each, and folds
what follows for one saga into one write (``deciding``). The writes of many sagas form a *round*, committed in one go
(``rounds``); while rounds commit, the next one is decided (of other sagas: inputs of a saga whose write is under way
wait). Only when a write is applied do its effects happen (``applying``): commands, answers to callers, events to
watchers, timers. So nothing is sent without its durable intent (invariant 6), and nobody hears of what is not durable.

Any coordinator takes any request: what concerns a saga of a partition that is not held here goes through the store
(``remote``), and what others ask for comes in by the partitions' inboxes (``inbox``), each message answered in the same
write as what it led to.

What if the process dies right here? Before the commit: nothing happened. After it: a takeover finds the saga in the
in-flight index and sends again what may not have been sent, under the same key (``takeover``).
"""

import asyncio

from swit_saga_server.core.inputs import Wake
from swit_saga_server.engine.batching import WAIT, BatchingWindow
from swit_saga_server.engine.context import Context
from swit_saga_server.engine.deciding import Deciding
from swit_saga_server.engine.items import Begin, Item, NotHeld
from swit_saga_server.engine.loading import Loading
from swit_saga_server.engine.patience import YIELD_EVERY
from swit_saga_server.engine.rejecting import Rejecting
from swit_saga_server.engine.rounds import Rounds
from swit_saga_server.engine.transport import Transport
from swit_saga_server.engine.working_set import Entry, Phase
from swit_saga_server.store.contract import partition_of


class Loop:
    """Takes what came to the sagas it is for, turn after turn."""

    def __init__(
        self,
        context: Context,
        transport: Transport,
        deciding: Deciding,
        loading: Loading,
        rounds: Rounds,
        rejecting: Rejecting,
    ) -> None:
        self._store = context.store
        self._round_size = context.options.round_size
        self._clock = context.env.clock
        self._ownership = context.ownership
        self._working_set = context.working_set
        self._limiter = context.limiter
        self._mailbox = context.mailbox
        self._transport = transport
        self._deciding = deciding
        self._loading = loading
        self._rounds = rounds
        self._rejecting = rejecting
        self._batching = BatchingWindow(context.env.worked, context.env.clock.elapsed)

    async def run(self) -> None:
        """Turn for ever. Ends by cancellation."""
        mailbox, limiter, ready = self._mailbox, self._limiter, self._working_set.ready
        inputs, starts = mailbox.inputs, mailbox.starts
        while True:
            await mailbox.turn.wait()
            await self._let_more_come()
            mailbox.turn.clear()
            taken = 0
            while inputs:
                self.take(inputs.popleft())
                if (taken := taken + 1) % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            while limiter is not None and (called := limiter.call()) is not None:
                self.take(Item(called, Wake()))
            # What is new only fills up the rounds: what was begun never queues behind it.
            while starts and len(ready) < self._round_size:
                self.take(starts.popleft())
                if (taken := taken + 1) % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            if not starts:
                mailbox.ready_for_starts.set()
            self._loading.begin()
            self._rounds.begin()
            if starts and len(ready) < self._round_size:
                mailbox.turn.set()  # The rounds just begun left capacity for more.

    async def _let_more_come(self) -> None:
        """Wait for more inputs, if the round is not full and it costs nothing."""
        at_hand = len(self._mailbox) + len(self._working_set.ready)
        if at_hand < self._round_size and self._batching.begin(self._transport.in_flight):
            await asyncio.sleep(WAIT / 1e6)
            self._batching.end()

    def take(self, item: Item) -> None:
        """Put one item to its saga: now, or as soon as that is read or its write has its verdict."""
        if item.waiter is not None and item.waiter.is_done:
            return  # The caller is gone; an unacknowledged request may be forgotten.
        saga_id = item.saga_id
        partition = partition_of(saga_id, self._store.partitions)
        if not self._ownership.holds(partition):
            self._rejecting.reject(item, NotHeld())
            return
        working_set = self._working_set
        entry = working_set.find(saga_id, self._clock.now)
        if entry is None:
            entry = Entry(saga_id, partition)
            if not isinstance(item.given, Begin):
                working_set.load(entry)
        working_set.pin(entry)
        if entry.phase is Phase.LOADING or entry.phase is Phase.COMMITTING:
            entry.waiting.append(item)
            return
        self._deciding.take(entry, item)
        if entry.phase is Phase.IDLE:
            working_set.rest(entry, self._clock.now())
