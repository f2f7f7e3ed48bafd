"""The level at which a store writes: the lowest that any living coordinator reads. See ``levels``."""

from collections.abc import Sequence

from swit_saga_server.store.codec import Codec, Writer
from swit_saga_server.store.contract import Peer
from swit_saga_server.store.levels import LOWEST


class Fleet:
    """What one store knows of who reads what it writes.

    Attributes:
        codec: Of this version.
        writer: Of the fleet's level: the lowest one until the first heartbeat tells who else is there.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.writer: Writer = codec.at(LOWEST)

    def met(self, peers: Sequence[Peer]) -> None:
        """All that live now, this one among them."""
        self.writer = self.codec.at(min(peer.level for peer in peers))
