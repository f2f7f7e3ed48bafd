"""What is wrong with a configuration, for people: pydantic's errors in this project's words."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from swit_saga_server.config.participants import ParticipantConfig


def explain(invalid: ValidationError, root: type[BaseModel], path: str | Path | None) -> str:
    """Every problem on a line of its own, each naming its key and value.

    Args:
        invalid: What pydantic found.
        root: The configuration's model, whose keys are suggested.
        path: Of the file; None if there was none.
    """
    lines = []
    for e in invalid.errors():
        where = ".".join(str(part) for part in e["loc"])
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] == "extra_forbidden":
            message = _unknown(tuple(map(str, e["loc"])), root)
        shown = (
            "" if isinstance(e["input"], Mapping | BaseModel) or e["type"] == "missing" else f" (it is {e['input']!r})"
        )
        lines.append(f"{where}: {message}{shown}" if where else message)
    return f"{path or 'configuration'}: " + "\n  ".join(lines)


def _unknown(path: tuple[str, ...], root: type[BaseModel]) -> str:
    """What to say of a key that there is not."""
    model = root
    for name in path[:-1]:
        # Of what lies below a participant's name only the participant itself is a section.
        inner = ParticipantConfig if model is root and path[0] == "participants" else None
        found = model.model_fields.get(name)
        kind = inner or (found.annotation if found else None)
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return "there is no such option"
        model = kind
        if inner is not None:
            break
    near = get_close_matches(path[-1], model.model_fields, n=1)
    known = f"did you mean {near[0]}?" if near else f"known are {', '.join(model.model_fields)}"
    return f"there is no such option; {known}"
