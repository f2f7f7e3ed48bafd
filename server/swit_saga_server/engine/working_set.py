"""The sagas in memory. Those being worked on are pinned; idle ones stay by the cache policy and can leave at any time,
because everything about them is durable and their due time is in the store's index.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga
from swit_saga_server.core.units import NEVER, Instant
from swit_saga_server.engine.idle import Idle, idle_sagas
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.options import CacheOptions
from swit_saga_server.store.contract import InboxAnswer


class Phase(Enum):
    """Where an entry is on its way through a round."""

    IDLE = auto()
    LOADING = auto()
    READY = auto()
    COMMITTING = auto()


@dataclass(slots=True)
class Entry:
    """One saga in memory.

    Attributes:
        applied: The saga as the store has it; None before its creation is durable. All that readers see.
        pending: What the round in the making makes of it; None if nothing is in the making.
        definition: Its definition; None only while loading.
        due_at: Of ``pending`` as it is being written: when the saga needs attention next; 0 is never.
        events: Of the transitions folded into ``pending``.
        items: The inputs folded into ``pending``; put back in the mailbox if the write is refused.
        waiting: Inputs that came while the saga was loading or committing.
        on_applied: Calls to make, in order, once ``pending`` is durable.
        answers: To inbox messages, to be written with ``pending``.
        is_set_aside: ``pending`` sets it aside, because its write before could not be written.
        idle_since: When it came to rest; 0 while something is being done with it.
        uses, came: See ``engine.idle.Ranked``.
    """

    saga_id: str
    partition: int
    phase: Phase = Phase.IDLE
    applied: Saga | None = None
    pending: Saga | None = None
    definition: Definition | None = None
    commit_id: str = ""
    due_at: Instant = NEVER
    events: list[SagaEvent] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    waiting: deque[Item] = field(default_factory=deque)
    on_applied: list[Callable[[Saga], None]] = field(default_factory=list)
    answers: list[InboxAnswer] = field(default_factory=list)
    is_set_aside: bool = False
    idle_since: Instant = NEVER
    uses: int = 0
    came: int = 0

    @property
    def current(self) -> Saga | None:
        """What the next input meets: the state in the making, or the applied one."""
        return self.pending if self.pending is not None else self.applied


class WorkingSet:
    """Entries by saga id: the busy ones pinned, the idle ones cached.

    Attributes:
        ready: Entries with something to write, in the order in which they came to have it.
        to_load: Entries to be read from the store, in order.
    """

    def __init__(self, options: CacheOptions) -> None:
        self._options = options
        self.ready: dict[str, Entry] = {}
        self.to_load: dict[str, Entry] = {}
        self._busy: dict[str, Entry] = {}
        self._idle: Idle[Entry] = idle_sagas(options.policy, options.max_size)

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    @property
    def busy(self) -> int:
        """Entries that something is being done with."""
        return len(self._busy)

    def is_busy(self, saga_id: str) -> bool:
        """Whether something is being done with it."""
        return saga_id in self._busy

    def find(self, saga_id: str, now: Callable[[], Instant]) -> Entry | None:
        """The entry, if it is in memory and, when idle, not past its ttl by the time ``now`` tells."""
        entry = self._busy.get(saga_id)
        if entry is None:
            entry = self._idle.get(saga_id)
            if entry is not None and now() - entry.idle_since > self._options.ttl:
                self._idle.pop(saga_id)
                return None
        return entry

    def pin(self, entry: Entry) -> None:
        """Something is being done with it: it must not leave."""
        self._busy[entry.saga_id] = entry
        if entry.idle_since:
            entry.idle_since = NEVER
            self._idle.pop(entry.saga_id)

    def rest(self, entry: Entry, now: Instant) -> None:
        """Nothing more is being done with it. Terminal sagas, and all when the cache is off, leave at once."""
        self._busy.pop(entry.saga_id, None)
        if self._options.enabled and entry.applied is not None and not entry.applied.state.is_terminal:
            entry.idle_since = now
            self._idle.put(entry)

    def make_ready(self, entry: Entry) -> None:
        """The entry has something to write."""
        entry.phase = Phase.READY
        self.ready[entry.saga_id] = entry

    def take_ready(self, limit: int) -> list[Entry]:
        """The first entries that are ready, for a round; they are ready no more."""
        return [self.ready.pop(saga_id) for saga_id in list(islice(self.ready, limit))]

    def load(self, entry: Entry) -> None:
        """The entry's saga is to be read from the store; what comes for it waits until then."""
        entry.phase = Phase.LOADING
        self.to_load[entry.saga_id] = entry
        self.pin(entry)

    def stand_down(self, entry: Entry) -> None:
        """The entry is neither to be written nor to be read any more."""
        self.ready.pop(entry.saga_id, None)
        self.to_load.pop(entry.saga_id, None)
        entry.phase = Phase.IDLE

    def drop(self, entry: Entry) -> None:
        """Forget it: memory and store disagree, or another coordinator owns it now."""
        self._busy.pop(entry.saga_id, None)
        self._idle.pop(entry.saga_id)

    def waiting_items(self) -> Iterator[Item]:
        """Everything that is in the making, or waits for it."""
        for entry in list(self._busy.values()):
            yield from (*entry.items, *entry.waiting)

    def of_partition(self, partition: int) -> Iterator[Entry]:
        """Every entry of a partition, safe against changes while iterating."""
        for entries in (self._busy.values(), self._idle):
            yield from [e for e in entries if e.partition == partition]

    def sweep(self, now: Instant) -> None:
        """Let go of idle entries past their ttl."""
        for entry in [e for e in self._idle if now - e.idle_since > self._options.ttl]:
            self._idle.pop(entry.saga_id)
