"""What all parts of one engine work on: data and ports, no behaviour of its own."""

from dataclasses import dataclass

from swit_saga_server.engine.admission import Admission
from swit_saga_server.engine.concurrency import ConcurrencyLimiter
from swit_saga_server.engine.counters import Counters
from swit_saga_server.engine.environment import Environment
from swit_saga_server.engine.feed import Feed
from swit_saga_server.engine.left_to_newer import LeftToNewer
from swit_saga_server.engine.mailbox import Mailbox
from swit_saga_server.engine.options import EngineOptions
from swit_saga_server.engine.ownership import Ownership
from swit_saga_server.engine.rewinds import Rewinds
from swit_saga_server.engine.working_set import WorkingSet
from swit_saga_server.store.contract import StateStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One engine's.

    Attributes:
        limiter: None if nothing is limited.
    """

    store: StateStorage
    options: EngineOptions
    env: Environment
    ownership: Ownership
    mailbox: Mailbox
    working_set: WorkingSet
    limiter: ConcurrencyLimiter | None
    admission: Admission
    counters: Counters
    left_to_newer: LeftToNewer
    feed: Feed
    rewinds: Rewinds
