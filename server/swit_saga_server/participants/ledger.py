"""The one book of what is out: every send of every command, from when a transport takes it to its one answer.

A send is *queued* until it is *handed over*: given to a stream that was ready for it, to gRPC, or to a handler in this
process. The difference is what the book is for. What is queued was certainly not sent: whatever becomes of it, the
participant has not heard of it. What was handed over may have reached the participant, whatever its carrier says
afterwards. A send is over when it is answered, cancelled or out of time; after that nothing is delivered for it.

Deadlines and spans of sends are kept here too, so that no transport has books of its own.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from swit_saga.connecting import NO_ANSWER
from swit_saga_server.core.errors import SagaError
from swit_saga_server.core.inputs import Answer, Rejected, Unknown
from swit_saga_server.core.record import evolve
from swit_saga_server.core.units import Instant
from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Deliver
from swit_saga_server.participants.deadlines import Deadlines
from swit_saga_server.telemetry import CommandSpan, is_recorded, open_span
from swit_saga_server.wire.answer import broken_answer

MOST_OVER = 256
"""Sends that are over may lie in the queue, beside as many as are not."""


class Carrier(Protocol):
    """What a send was handed over to: a stream, a call, a handler."""

    def call_off(self, send: "Send") -> None:
        """Nobody waits for the answer to ``send`` any more. Best-effort, never raises."""
        ...


@dataclass(slots=True, eq=False)
class Send:
    """One send of one command.

    Attributes:
        number: Unique in its ledger, in the order in which sends were entered.
        command_id: See ``ParticipantCommand.command_id``.
        until: By the event loop's clock; nobody waits for the answer after it.
        span: Open as long as the send is; None if nobody records spans.
        carried: The command as it goes out: with its own span's context, if it has one.
        carrier: To what it was handed over; None while it is queued.
        is_over: It was answered, cancelled or ran out of time.
    """

    number: int
    command: ParticipantCommand
    command_id: str
    until: float
    span: CommandSpan | None
    carried: ParticipantCommand
    carrier: Carrier | None = None
    is_over: bool = False


def wall_clock() -> Instant:
    """This machine's."""
    return Instant(time.time_ns() // 1000)


def late_answer(command: ParticipantCommand) -> Unknown:
    """What a send comes to whose time is up."""
    return broken_answer("DEADLINE_EXCEEDED", NO_ANSWER)


class Ledger:
    """The sends of one transport. Everything happens on the event loop on which it is used first."""

    def __init__(
        self,
        deliver: Deliver,
        *,
        address: str | None = None,
        late: Callable[[ParticipantCommand], Unknown] = late_answer,
        clock: Callable[[], Instant] = wall_clock,
    ) -> None:
        """Make an empty one.

        Args:
            deliver: Gets each send's one answer.
            address: Where the sends go, for their spans; None for sends that have none.
            late: What a send is answered when its time is up.
            clock: Dates the errors to which nobody else gave a time.
        """
        self._deliver = deliver
        self._address = address
        self._late = late
        self._clock = clock
        self._numbers = 0
        self._open: dict[int, Send] = {}
        self._by_id: dict[str, Send] = {}
        self._queue: deque[Send] = deque()  # Its first one is queued, if there is any; of the others some may be over.
        self._deadlines = Deadlines(self._open, self._out_of_time)
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Sends that are not over."""
        return len(self._open)

    @property
    def has_queued(self) -> bool:
        """Whether anything is queued."""
        return bool(self._queue)

    def __iter__(self) -> Iterator[Send]:
        """The sends that are not over, in the order of their numbers; as they are now, whatever happens meanwhile."""
        return iter(list(self._open.values()))

    def find(self, number: int) -> Send | None:
        """The send of this number, unless it is over."""
        return self._open.get(number)

    def has_been(self, number: int) -> bool:
        """Whether there is or was a send of this number."""
        return 1 <= number <= self._numbers

    def enter(self, commands: Sequence[ParticipantCommand]) -> list[Send]:
        """Queue one send for each; from now on each has until its command's time-out. Nothing once closed."""
        if self._closed:
            return []
        now, address, sends = asyncio.get_running_loop().time(), self._address, list[Send]()
        add = self._deadlines.add
        with_span = address is not None and is_recorded()
        for command in commands:
            self._numbers = number = self._numbers + 1
            command_id, until = command.command_id, now + command.timeout / 1e6
            span = open_span(command, address or "") if with_span else None
            send = Send(number, command, command_id, until, span, command if span is None else span.command)
            # One that is entered twice has the same id; the later one is found by it.
            self._open[number] = self._by_id[command_id] = send
            add(until, number)
            sends.append(send)
        self._queue += sends
        self._deadlines.arm()
        return sends

    def queued(self, limit: int) -> list[Send]:
        """Up to ``limit`` of those that are queued, the longest queued first; none only if none is."""
        return [send for send in islice(self._queue, limit) if send.carrier is None and not send.is_over]

    def hand_over(self, sends: Iterable[Send], carrier: Carrier) -> None:
        """To be called before anything of ``sends`` leaves: they may reach the participant from now on."""
        for send in sends:
            send.carrier = carrier
        self._trim()

    def answer(self, send: Send, answer: Answer) -> None:
        """Deliver it, as the one answer to ``send``. Passed over if that is over already: its answer comes too late."""
        if send.is_over:
            return
        self._end(send)
        if send.span is not None:
            send.span.end(answer.error.code if not isinstance(answer, Rejected) and answer.error is not None else "")
        if answer.error is not None:
            answer = self._dated(answer)
        command = send.command
        self._deliver(command.saga_id, command.answered(answer))

    def cancel(self, command_ids: Sequence[str]) -> None:
        """Nobody wants to know any more what becomes of these; nothing is delivered for them."""
        for command_id in command_ids:
            send = self._by_id.get(command_id)
            if send is None:
                continue
            self._end(send)
            if send.span is not None:
                send.span.end("cancelled")
            if send.carrier is not None:
                send.carrier.call_off(send)

    def close(self) -> None:
        """Deliver nothing more. What is out is over for this book; its carriers are the transport's to end."""
        self._closed = True
        self._deadlines.close()
        for send in self:
            self._end(send)
            if send.span is not None:
                send.span.end("closed")

    def _out_of_time(self, number: int) -> None:
        send = self._open[number]
        self.answer(send, self._late(send.command))
        if send.carrier is not None:
            send.carrier.call_off(send)

    def _end(self, send: Send) -> None:
        send.is_over = True
        del self._open[send.number]
        if self._by_id.get(send.command_id) is send:
            del self._by_id[send.command_id]
        if self._queue:
            self._trim()
            # Behind a first one that waits for hours, those that are over would be kept for as long.
            if len(self._queue) > 2 * len(self._open) + MOST_OVER:
                self._queue = deque(s for s in self._queue if s.carrier is None and not s.is_over)

    def _trim(self) -> None:
        queue = self._queue
        while queue and (queue[0].carrier is not None or queue[0].is_over):
            queue.popleft()

    def _dated(self, answer: Answer) -> Answer:
        error = answer.error
        if error is None or (error.timestamp and error.cause is None):
            return answer
        return evolve(answer, error=_dated(error, self._clock()))


def _dated(error: SagaError, now: Instant) -> SagaError:
    cause = _dated(error.cause, now) if error.cause is not None else None
    return evolve(error, timestamp=error.timestamp or now, cause=cause)
