"""``Participant``: a named set of steps. One object, called in process or served over gRPC, unchanged."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import ParamSpec, TypeVar

import grpc.aio

from swit_saga.ids import refuse_name
from swit_saga.participant import serving
from swit_saga.participant.execution import Execution
from swit_saga.participant.handler import StepHandler
from swit_saga.participant.signature import name_of
from swit_saga.participant.stream import ParticipantStreamServicer
from swit_saga.payload import Codecs

P = ParamSpec("P")
R = TypeVar("R")


class Participant(Execution):
    """A participant: its name, as definitions use it, and its steps."""

    def __init__(self, name: str, *, codecs: Codecs | None = None, threads: int = 16) -> None:
        """Name it.

        Args:
            name: As definitions name it.
            codecs: How values become payloads; must match the client's.
            threads: Plain (not async) handlers run at once at most.

        Raises:
            TypeError, ValueError: No definition could name it so, or an option is none.
        """
        super().__init__(name, codecs=codecs, threads=threads)

    def step(self, action: str) -> Callable[[Callable[P, R]], StepHandler[P, R]]:
        """Make a function ``(input, StepContext)`` the handler of ``action``; both parameters may be left out.

        The input is decoded as its annotation says: a dataclass, pydantic model, protobuf message, dict, str, bytes
        or ``Payload``. Async functions run on the event loop, plain ones in a thread.

        Raises:
            ValueError: ``action`` has a handler, or is none that a definition could name.
            TypeError: The function cannot be called with what there is, or its annotations cannot be read; or this
                was written without parentheses.
        """
        if callable(action):
            raise TypeError(f"a step needs its action's name: @{self.name}.step({name_of(action)!r})")
        refuse_name("an action", action)
        any_kind = self._codecs.has_own

        def decorate(function: Callable[P, R]) -> StepHandler[P, R]:
            handler = StepHandler(action, function, any_kind=any_kind)
            self.add(handler)
            return handler

        return decorate

    def add_to(self, server: grpc.aio.Server) -> ParticipantStreamServicer:
        """Serve it by a grpc.aio server of your own, by unary calls and by the batched stream.

        Make the server with ``options=swit_saga.participant.serving.SERVER_OPTIONS`` or the like: as it comes, gRPC
        hangs up on coordinators that ask during a long call whether it is still there.

        Returns:
            Its ``end()``, before ``server.stop(grace)``, lets coordinators' streams end when what they brought is
            answered; else the server waits for all of its grace.
        """
        return serving.add_to(self, server)

    def servicer(self) -> serving.ParticipantServicer:
        """A ParticipantService servicer for a grpc.aio server of your own: unary calls only, see ``add_to``."""
        return serving.ParticipantServicer(self)

    def serve(self, listen: str) -> AbstractAsyncContextManager[serving.Serving]:
        """Serve while the context lasts: ``async with inventory.serve("127.0.0.1:0") as server: server.port``."""
        return serving.serve(self, listen)

    def run(self, listen: str) -> None:
        """Serve until SIGTERM or SIGINT, then finish what runs."""
        serving.run(self, listen)
