"""What this coordinator reads and what the fleet reads, as the engine goes by it. ``store.levels`` has the rules.

The store refuses what an older coordinator could not read; the engine asks beforehand, input by input, so that only
the input that leads there is refused, and not what else the same write would have made durable.
"""

from collections.abc import Sequence

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.model import Saga, same_origin
from swit_saga_server.store.codec import Codec, Writer
from swit_saga_server.store.contract import Peer
from swit_saga_server.store.levels import LOWEST


class Levels:
    """Of this coordinator and of those that live.

    Attributes:
        codec: Of this version.
        fleet: The lowest of all that live; the lowest there is until the first heartbeat tells.
        highest: The highest of all that live.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.fleet = LOWEST
        self.highest = codec.level

    def met(self, peers: Sequence[Peer]) -> None:
        """All that live now, this one among them."""
        self.fleet = min(peer.level for peer in peers)
        self.highest = max(peer.level for peer in peers)

    @property
    def writer(self) -> Writer:
        """Writes what all that live can read."""
        return self.codec.at(self.fleet)

    def check(
        self, before: Saga | None, after: Saga, events: Sequence[SagaEvent], definition: Definition | None = None
    ) -> None:
        """Return if all that live can read what a transition writes. Free once all have been upgraded.

        Args:
            before: The saga; None if it is new.
            after: What it would be.
            events: Of the transition.
            definition: To be kept with a new saga.

        Raises:
            NeedsNewerLevel: One of them cannot.
        """
        if self.fleet >= self.codec.level:
            return
        writer, old = self.writer, before.steps if before is not None else ()
        writer.pack_progress(after)
        for index, step in enumerate(after.steps):
            if index >= len(old) or old[index] is not step:
                writer.pack_step(step)
        writer.pack_events(events)
        if before is None or not same_origin(before, after):
            writer.pack_origin(after)
        if definition is not None:
            writer.pack_definition(definition)
