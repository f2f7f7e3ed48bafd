"""One transport made of several: each participant name has exactly one way to be reached."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from swit_saga_server.engine.commands import ParticipantCommand
from swit_saga_server.engine.transport import Transport


class Router:
    """Picks the transport by participant name. Definitions name participants, never addresses."""

    def __init__(self, routes: Mapping[str, Transport], unroutable: Transport) -> None:
        """Take the routes.

        Args:
            routes: By participant name; one transport may serve many.
            unroutable: Answers for participants that were known when a saga started and are not any more.
        """
        self._routes = dict(routes)
        self._unroutable = unroutable
        self._all = list(dict.fromkeys([*routes.values(), unroutable]))

    @property
    def in_flight(self) -> int:
        """Commands not yet answered, over all routes."""
        return sum(t.in_flight for t in self._all)

    def knows(self, participant: str, action: str) -> str | None:
        """None if there is such a participant with such an action, else what is wrong, listing the known ones."""
        route = self._routes.get(participant)
        if route is not None:
            return route.knows(participant, action)
        known = ", ".join(sorted(self._routes)) or "none; configure participants or pass --participant NAME=ADDRESS"
        return f"there is no participant {participant!r}; known: {known}"

    def send(self, commands: Sequence[ParticipantCommand]) -> None:
        """See ``Transport.send``."""
        if len(self._all) == 1:
            self._all[0].send(commands)
            return
        by_route: dict[int, list[ParticipantCommand]] = defaultdict(list)
        for command in commands:
            route = self._routes.get(command.participant, self._unroutable)
            by_route[self._all.index(route)].append(command)
        for index, some in by_route.items():
            self._all[index].send(some)

    def cancel(self, command_ids: Sequence[str]) -> None:
        """See ``Transport.cancel``; each transport knows its own."""
        for transport in self._all:
            transport.cancel(command_ids)

    async def close(self) -> None:
        """Close all routes."""
        for transport in self._all:
            await transport.close()
