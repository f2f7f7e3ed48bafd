"""Which options there are: the models' fields, as paths and as environment variables; and what a wrong one may mean."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pydantic import BaseModel

from swit_saga_server.config.participants import ParticipantConfig

PREFIX = "SWIT_SAGA_"
PARTICIPANTS = "participants"

Path = tuple[str, ...]

_KEY = re.compile(r"[\w.-]{1,200}")


def section_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of a section; None if there is an option at this path, or nothing."""
    model: type[BaseModel] = root
    for depth, name in enumerate(path):
        if depth == 1 and path[0] == PARTICIPANTS:
            model = ParticipantConfig
            continue
        if depth == 0 and name == PARTICIPANTS:
            if len(path) == 1:
                return None
            continue
        found = model.model_fields.get(name)
        kind = found.annotation if found is not None else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        model = kind
    return model


def options(root: type[BaseModel], path: Path = ()) -> Iterator[Path]:
    """Every option outside of ``participants``, whose names are free."""
    model = section_at(root, path)
    assert model is not None, path
    for name in model.model_fields:
        inner = (*path, name)
        if inner == (PARTICIPANTS,):
            continue
        if section_at(root, inner) is not None:
            yield from options(root, inner)
        else:
            yield inner


def variable(path: Path) -> str:
    """The environment variable of an option. The name of a participant keeps its case."""
    if path[0] == PARTICIPANTS and len(path) == 3:
        return f"{PREFIX}PARTICIPANTS__{path[1]}__{path[2].upper()}"
    return PREFIX + "__".join(path).upper()


def dotted(path: Iterable[object]) -> str:
    """A path for people. What cannot be a key is not repeated: it may be a value in the wrong place."""
    return ".".join(str(part) if _KEY.fullmatch(str(part)) else "(no name)" for part in path)


def unknown_key(key: str, model: type[BaseModel]) -> str:
    """What to say of a key that a section does not have."""
    near = nearest(key, model.model_fields)
    known = f"did you mean {near}?" if near else f"known are {', '.join(model.model_fields)}"
    return f"there is no such option; {known}"


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is meant, whatever the case; None if none is as like it, from 0 to 1."""
    by_lower = {k.lower(): k for k in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None
