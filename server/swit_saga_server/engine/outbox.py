"""Commands on their way out: collected while a round is applied, sent together, so that they can share messages."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.effects import CancelCommand, Command, effects
from swit_saga_server.core.inputs import Answered
from swit_saga_server.core.model import Saga, is_in_flight
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand, cancelled_id, fill
from swit_saga_server.engine.failpoints import Point, reach
from swit_saga_server.engine.items import Item
from swit_saga_server.engine.transport import Transport
from swit_saga_server.engine.working_set import WorkingSet


class Outbox:
    """What is to be sent; and the partitions for which nothing is sent any more, because they are about to be left."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._commands: list[ParticipantCommand] = []
        self._leaving: dict[int, set[str]] = {}
        """By partition: sagas that may have a command out."""
        self._is_open = False

    def open(self) -> None:
        """Send from now on."""
        self._is_open = True

    def close(self) -> None:
        """Send no more."""
        self._is_open = False

    @property
    def is_leaving(self) -> bool:
        """Whether some partition is about to be left."""
        return bool(self._leaving)

    @property
    def is_open(self) -> bool:
        """Whether anything is sent."""
        return self._is_open

    def add(
        self,
        before: Saga | None,
        after: Saga,
        definition: Definition,
        partition: int,
        epoch: int,
        now: Instant,
        items: Sequence[Item],
    ) -> None:
        """Take up what follows from ``after``'s being durable.

        Args:
            before: The state applied before; None if this process applied none.
            after: The state just applied.
            definition: The saga's own version.
            partition: The saga's.
            epoch: Of the partition's lease.
            now: The time by the store's clock.
            items: The inputs that led to it.
        """
        cancelled = []
        awaited = self._leaving.get(partition)
        if awaited is not None:
            awaited.discard(after.id)
        for effect in effects(before, after):
            if isinstance(effect, Command):
                if awaited is None:  # Else whoever takes the partition finds it in flight, and sends it.
                    self._commands.append(fill(after, definition, effect, epoch, now))
            elif not any(_answers(item, effect) for item in items):
                cancelled.append(cancelled_id(after, effect))
        if cancelled:
            self._transport.cancel(cancelled)

    def send(self) -> None:
        """Send all that was taken up."""
        commands, self._commands = self._commands, []
        if commands and self._is_open:
            reach(Point.SEND_BEFORE)
            self._transport.send(commands)
            reach(Point.SEND_AFTER)

    async def leave(self, partitions: Collection[int], working_set: WorkingSet, timeout_s: float) -> None:
        """Send no more for these; wait a while for the answers to what is out, or who comes next would ask again."""
        for partition in partitions:
            entries = working_set.of_partition(partition)
            self._leaving[partition] = {e.saga_id for e in entries if e.applied is not None and is_in_flight(e.applied)}
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(self._leaving.get(p) for p in partitions):  # noqa: ASYNC110 - it happens once in a while
                    await asyncio.sleep(0.01)

    def left(self, partition: int) -> None:
        """The partition is not held any more."""
        self._leaving.pop(partition, None)


def _answers(item: Item, to: CancelCommand) -> bool:
    """Whether it is the answer to what would be cancelled: its transport has no use for hearing so."""
    given = item.given
    return (
        isinstance(given, Answered)
        and given.step_index == to.step_index
        and given.send_id.attempt == to.send_id.attempt
        and given.kind is to.kind
    )
