"""The environment: variables as a mapping of options. A variable of ours that is no option is refused, not ignored."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from swit_saga_server.config.names import PARTICIPANTS, PREFIX, Path, dotted, nearest, options, variable
from swit_saga_server.config.participants import ParticipantConfig

NO_OPTIONS = ("SWIT_SAGA_CONFIG", "SWIT_SAGA_ADDRESS")
"""Variables of the command line."""

_PARTICIPANT = re.compile(
    f"{PREFIX}PARTICIPANTS__(.*[^_].*)__({'|'.join(name.upper() for name in ParticipantConfig.model_fields)})"
)
# Kubernetes sets these in every pod beside a Service whose name begins with "swit-saga".
_SERVICE_LINK = re.compile(PREFIX + r"(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*)")
_SERVICE_URL = re.compile(PREFIX + r"(?:[A-Z0-9]+_)*PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?")
_URL = re.compile(r"(?:tcp|udp|sctp)://.*|tcp|udp|sctp|[0-9]+|[0-9.]+|[0-9a-f:]+")


def read_environment(
    variables: Mapping[str, str], root: type[BaseModel], not_yet: Mapping[str, str], named: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """What the variables set, and what is wrong with their names. An empty variable is as good as none.

    Args:
        variables: The environment.
        root: The configuration's model.
        not_yet: Options that are refused, by their paths, and what they wait for.
        named: The participants of the file, whose spelling counts.
    """
    known = {variable(path): path for path in options(root)}
    found: dict[str, Any] = {}
    problems = []
    came_from: dict[Path, str] = {}
    for name, value in sorted(variables.items()):
        if not name.upper().startswith(PREFIX) or name in NO_OPTIONS or _is_service_link(name, value):
            continue
        path = known.get(name)
        if path is None and (participant := _PARTICIPANT.fullmatch(name)):
            spelt = _spelling(participant[1], named)
            path = (PARTICIPANTS, spelt, participant[2].lower())
            if (other := next((n for n in named if n != spelt and n.lower() == spelt.lower()), None)) is not None:
                problems.append(
                    f"{name}: the file calls this participant {other}; write {variable((path[0], other, path[2]))}"
                )
                continue
            if value and (said := came_from.setdefault(path, name)) != name:
                problems.append(f"{name}: {said} says the same of the same participant, {spelt}; leave one of them out")
        if path is None:
            problems.append(f"{dotted((name,))}: {_unknown(name, known, not_yet)}")
        elif value:
            _put(found, path, value)
    return found, problems


def _spelling(written: str, named: Mapping[str, Any]) -> str:
    """A participant's name: in capitals only it is in lower case, unless the file has one in capitals."""
    return written if written in named or written != written.upper() else written.lower()


def _unknown(name: str, known: Mapping[str, Path], not_yet: Mapping[str, str]) -> str:
    written = name.upper()
    for path, what in not_yet.items():
        if written.startswith(variable(tuple(path.split(".")))):
            return f"{path} does nothing yet ({what} is still to come); leave it out"
    if written == f"{PREFIX}PARTICIPANTS":
        return f"this is a section; set an option of a participant, such as {written}__NAME__ADDRESS"
    if (option := next((of for of in known if of.startswith(f"{written}__")), None)) is not None:
        return f"this is a section; set its options, such as {option}"
    near = nearest(name, [*known, *NO_OPTIONS, *_of_participant(name)], likeness=0.8)
    return f"there is no such option; {f'did you mean {near}?' if near else 'docs/configuration.md has them all'}"


def _of_participant(name: str) -> Iterator[str]:
    """Variables of the participant that is meant, if one is."""
    parts = name.split("__")
    if len(parts) >= 3 and any(parts[1:-1]):
        for option in ParticipantConfig.model_fields:
            yield variable((PARTICIPANTS, "__".join(parts[1:-1]), option))
    yield variable((PARTICIPANTS, "NAME", "address"))


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name:
        return False
    return bool(_SERVICE_LINK.fullmatch(name) or (_SERVICE_URL.fullmatch(name) and _URL.fullmatch(value)))


def _put(found: dict[str, Any], path: Path, value: str) -> None:
    for part in path[:-1]:
        found = found.setdefault(part, {})
    found[path[-1]] = value
