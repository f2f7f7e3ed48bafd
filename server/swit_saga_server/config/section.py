"""What all sections have in common: how they refuse, and how durations are written."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from swit_saga.durations import parse_duration
from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.core.units import Span


class ConfigError(SwitSagaError):
    """The configuration is not valid."""

    reason = "INVALID_CONFIG"


def _span(value: Any) -> Span:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a duration such as 30s, 1m30s or 500ms")
    if isinstance(value, int):
        raise ValueError(f"{value} has no unit; write {value}s, {value}ms or {value}m")
    return Span(parse_duration(value) // timedelta(microseconds=1))


Duration = Annotated[Span, BeforeValidator(_span)]


class Section(BaseModel):
    """A section refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
