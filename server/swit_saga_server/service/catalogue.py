"""What definitions ask of participants, beside what those say that they can do; said once, loudly, where it differs.

A step whose compensation nobody wrote would else be found out at the first rejection. Nothing is refused here: the
participant itself rejects what it could not undo.
"""

from collections.abc import Callable, Mapping

from swit_saga_server.core.definition import Definition
from swit_saga_server.logs import get_logger

log = get_logger(__name__)

MAX_KEPT = 10_000
"""Definitions, and actions of definitions, that are remembered; what comes after is not compared."""


class Catalogue:
    """What is asked, and what is offered. Everything happens on one event loop."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._asked: dict[str, dict[str, bool]] = {}
        """By participant and action: whether some definition has it undone."""
        self._offered: dict[str, Callable[[], Mapping[str, bool]]] = {}
        """By participant: its actions, and whether each can be undone."""
        self._wrong: dict[str, set[str]] = {}
        self._said: set[tuple[str, str, str]] = set()

    @property
    def uncompensatable(self) -> int:
        """Actions that definitions have undone and whose participants say that they cannot be."""
        return sum(len(actions) for actions in self._wrong.values())

    def expect(self, digest: str, definition: Definition) -> None:
        """A definition is in use here. Costs next to nothing when it was before."""
        if digest in self._seen or len(self._seen) >= MAX_KEPT:
            return
        self._seen.add(digest)
        for step in definition.steps:
            asked = self._asked.setdefault(step.participant, {})
            if step.action_name in asked or len(asked) < MAX_KEPT:
                undone = not step.compensation.disabled
                asked[step.action_name] = undone or asked.get(step.action_name, False)
        for participant in {step.participant for step in definition.steps}:
            self._compare(participant)

    def offer(self, participant: str, actions: Callable[[], Mapping[str, bool]]) -> None:
        """A participant has said what it can do, and for each action whether it can be undone."""
        self._offered[participant] = actions
        self._compare(participant)

    def _compare(self, participant: str) -> None:
        if participant not in self._offered:
            return
        offered, wrong = self._offered[participant](), set[str]()
        for action, undone in self._asked.get(participant, {}).items():
            if action not in offered:
                self._say("participant_without_action", participant, action, known=", ".join(sorted(offered)[:20]))
            elif undone and not offered[action]:
                wrong.add(action)
                advice = "write its compensation, or disable the compensation of the steps that ask for it"
                self._say("participant_without_compensation", participant, action, advice=advice)
        self._wrong[participant] = wrong

    def _say(self, what: str, participant: str, action: str, **more: str) -> None:
        if (what, participant, action) not in self._said:
            self._said.add((what, participant, action))
            log.error(what, participant=participant, action=action, **more)
