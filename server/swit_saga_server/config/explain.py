"""What is wrong with the values of a configuration, for people: pydantic's errors in this project's words.

No value that was given is repeated, for one of them may be a password under the wrong key.
"""

from collections.abc import Callable

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from swit_saga_server.config.names import Path, dotted, section_at, unknown_key


def explain(invalid: ValidationError, root: type[BaseModel], place: Callable[[Path], str]) -> list[str]:
    """Every problem as a line of its own, each naming where it is and its key.

    Args:
        invalid: What pydantic found.
        root: The configuration's model.
        place: Where the value at a path comes from.
    """
    lines = []
    # pydantic is not asked for the values that were given, so that none can be repeated.
    for e in invalid.errors(include_input=False, include_url=False):
        path = tuple(map(str, e["loc"]))
        if path[-1:] == ("[key]",):
            # Pydantic's word for a key itself: what is wrong is the name.
            lines.append(f"{place(path[:-1])}: {dotted(path[:-1])}: a name {_words(e, path, root)}")
            continue
        where = f"{dotted(path)}: " if path else ""
        lines.append(f"{place(path)}: {where}{_words(e, path, root)}")
    return lines


def _words(e: ErrorDetails, path: Path, root: type[BaseModel]) -> str:
    context = e.get("ctx", {})
    match e["type"]:
        case "value_error":  # A validator of ours.
            return str(context["error"])
        case "missing":
            return "is missing"
        case "extra_forbidden":
            section = section_at(root, path[:-1])
            return unknown_key(path[-1], section) if section is not None else "there is no such option"
        case "enum":
            return f"must be {context['expected']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "string_too_short":
            return f"must have at least {context['min_length']} characters"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_type":
            return "must be text; put it in quotes if it is"
        case "bool_type" | "bool_parsing":
            return "must be true or false"
        case kind if kind.startswith("int_"):
            return "must be a whole number"
        case kind if kind.startswith(("float_", "finite_")):
            return "must be a number"
        case kind if kind.startswith(("model_", "dict_")):
            return "must be a mapping of options"
    return "is not valid"
