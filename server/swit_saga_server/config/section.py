"""What all sections have in common: how they refuse, and how durations, numbers and names are written.

What a validator says of a value never repeats it: a password may have come under the wrong key.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from swit_saga.addresses import check_target, host_port
from swit_saga.durations import MAX_DURATION, TooLong, parse_duration
from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.core.limits import MAX_ID_LENGTH
from swit_saga_server.core.units import Span

MAX_COUNT = 1_000_000_000
"""The most that any number of things can be set to: gRPC and both stores hold it."""


class ConfigError(SwitSagaError):
    """The configuration is not valid."""

    reason = "INVALID_CONFIG"


def _span(value: Any) -> Span:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a duration such as 30s, 1m30s or 500ms")
    if isinstance(value, int):
        raise ValueError("has no unit; write a duration such as 30s, 1m30s or 500ms")
    # Not chained: their texts repeat the value.
    try:
        return Span(parse_duration(value) // timedelta(microseconds=1))
    except TooLong:
        raise ValueError(f"is too long; the longest duration is {MAX_DURATION.days}d") from None
    except ValueError:
        raise ValueError("is not a duration; write for example 30s, 1m30s or 500ms") from None


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _name(value: str) -> str:
    if len(value) > MAX_ID_LENGTH:
        raise ValueError(f"must have at most {MAX_ID_LENGTH} characters")
    if not value.isprintable() or value != value.strip() or "/" in value:
        raise ValueError("must be printable, without '/' and without spaces at its ends")
    return value


def _listen(value: str) -> str:
    host_port(value, port_from=0)
    return value


def _host_port(value: str) -> str:
    host_port(value, port_from=1)
    return value


Duration = Annotated[Span, BeforeValidator(_span)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Count = Annotated[int, BeforeValidator(_no_bool)]
Name = Annotated[str, AfterValidator(_name)]
ParticipantName = Annotated[str, Field(min_length=1), AfterValidator(_name)]
ListenAddress = Annotated[str, AfterValidator(_listen)]
HostPortAddress = Annotated[str, AfterValidator(_host_port)]
TargetAddress = Annotated[str, AfterValidator(check_target)]


class Section(BaseModel):
    """A section refuses keys it does not know. What pydantic says of it does not repeat what it was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
