"""The ``StateStorage`` contract: what every backend guarantees. The docstrings are the law; the conformance suite
(``swit_saga_server.store.conformance``) holds every backend to them.

The engine writes only by ``commit``: a *round* of many sagas' changes in one round trip, atomic *per saga*, each with a
verdict of its own. A saga belongs to the partition its id hashes to, and whoever commits must hold that partition's
*lease*: the store compares epoch and nonce for equality in the same atomic step as the write (invariant 5), so a
coordinator that lost its partition without noticing changes nothing.

Times handed in and out are ``Instant``s, microseconds since the Unix epoch, by the store's own clock.

A file per concern: its values, and its *port*, the methods of a store that have to do with it. ``StateStorage`` is all
ports together; whoever needs one of them asks for that one. Every backend has a folder with the same files.
"""

from swit_saga_server.store.contract.definitions import DefinitionPage, Definitions, StoredDefinition
from swit_saga_server.store.contract.hints import Hint, Hints
from swit_saga_server.store.contract.inbox import Inbox, InboxEntry
from swit_saga_server.store.contract.leases import Lease, Leases, Peer
from swit_saga_server.store.contract.listing import Listing, SagaFilter, SagaOrder, SagaPage
from swit_saga_server.store.contract.partitions import partition_of
from swit_saga_server.store.contract.reading import Due, FeedItem, Reading
from swit_saga_server.store.contract.retention import Retention
from swit_saga_server.store.contract.rounds import InboxAnswer, Rounds, Verdict, Write
from swit_saga_server.store.contract.storage import StateStorage

__all__ = [
    "DefinitionPage",
    "Definitions",
    "Due",
    "FeedItem",
    "Hint",
    "Hints",
    "Inbox",
    "InboxAnswer",
    "InboxEntry",
    "Lease",
    "Leases",
    "Listing",
    "Peer",
    "Reading",
    "Retention",
    "Rounds",
    "SagaFilter",
    "SagaOrder",
    "SagaPage",
    "StateStorage",
    "StoredDefinition",
    "Verdict",
    "Write",
    "partition_of",
]
