"""What can be set about the engine. ``config`` fills these from YAML and the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from swit_saga_server.core.units import MINUTE, SECOND, Span
from swit_saga_server.store.codec import PRESENT, Codec


class CachePolicy(StrEnum):
    """Which idle saga leaves the working set first: least recently used, least frequently used, first in."""

    LRU = "lru"
    LFU = "lfu"
    FIFO = "fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """The working set of non-terminal sagas.

    Eviction is always safe: an evicted saga comes back by its due time, its result or a command.

    Attributes:
        enabled: Off keeps a saga in memory only while something is being done with it.
        ttl: An idle saga leaves after this long.
        max_size: Idle sagas kept at most; those being worked on are not counted.
        policy: Who leaves first when full.
    """

    enabled: bool = True
    ttl: Span = 10 * MINUTE
    max_size: int = 100_000
    policy: CachePolicy = CachePolicy.LRU


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How the engine runs.

    Attributes:
        owner: Names this coordinator in leases and events; unique among those that share a store.
        instance: Of this process and no other; who has ``owner`` for its name is known by it. Empty: it is not asked.
        cache: The working set.
        lease_term: A partition's lease; renewed every third of it, given up by two thirds without renewal.
        round_size: Sagas in one commit at most.
        rounds: Commits under way at a time; beside another, only full ones are begun.
        timer_horizon: Timers due within this are kept in memory; later ones stay in the store's index.
        timer_poll: How often the store's index is asked. Less than ``timer_horizon``.
        inbox_poll: How often the inboxes of the partitions held are looked into, hints apart.
        watch_poll: How often the events of watched sagas that others hold are asked for.
        answer_timeout: How long a caller waits until the store, or another coordinator, has taken a request; then the
            outcome is unknown to the caller, and the same may be asked again.
        retention: How long sagas are kept after their outcome, failed ones excepted; None is for ever.
        cleanup_interval: How often it is looked for what need not be kept any more.
        load_batch: Sagas read back in one go at most.
        watch_buffer: Events kept for a watcher that lags; past it, it reads the history again.
        max_sagas: Sagas not over that this coordinator drives, at most; past it starts are refused. None is no limit.
        max_steps: Commands open at most; a step past it waits, its attempt not begun. None is no limit.
        max_steps_of: The same by participant, for those named.
        max_queue: Starts that wait to be taken in, and sagas that wait for ``max_steps``, each at most; past either,
            starts are refused. None is no limit.
        max_queue_wait: Starts are refused that would wait for longer to be taken in. None is no limit.
        codec: What this version reads and writes, the same as its store's; its level is announced with each heartbeat.
            Tests of upgrades hand in those of others.
    """

    owner: str
    instance: str = ""
    cache: CacheOptions = field(default_factory=CacheOptions)
    lease_term: Span = 10 * SECOND
    round_size: int = 256
    rounds: int = 1
    timer_horizon: Span = 30 * SECOND
    timer_poll: Span = 5 * SECOND
    inbox_poll: Span = 1 * SECOND
    watch_poll: Span = SECOND // 10
    answer_timeout: Span = 5 * SECOND
    retention: Span | None = None
    cleanup_interval: Span = 60 * MINUTE
    load_batch: int = 256
    watch_buffer: int = 256
    max_sagas: int | None = None
    max_steps: int | None = None
    max_steps_of: Mapping[str, int] = field(default_factory=dict)
    max_queue: int | None = None
    max_queue_wait: Span | None = None
    codec: Codec = PRESENT
