"""Every duration and every number of the configuration has an upper bound, and what is within it can be served."""

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from swit_saga_server.config import ConfigError, SagaConfig
from swit_saga_server.config.section import Duration


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every option, by the keys that lead to it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, (*path, name))
        else:
            yield (*path, name), field


def is_duration(field: FieldInfo) -> bool:
    return field.metadata == [*get_args(Duration)[1:]] or Duration in get_args(field.annotation)


DURATIONS = [path for path, field in fields(SagaConfig) if is_duration(field)]


def load(path: tuple[str, ...], value: str) -> SagaConfig:
    for key in reversed(path):
        value = {key: value}  # type: ignore[assignment]
    return SagaConfig.load(overrides=value)  # type: ignore[arg-type]


def test_there_are_durations():
    assert {("storage", "ttl"), ("coordinator", "retention_period"), ("storage", "redis", "timeout")} < set(DURATIONS)


@pytest.mark.parametrize("path", DURATIONS, ids=".".join)
def test_a_duration_of_more_than_100_years_is_refused(path):
    for value in ("36525d1us", "3000000d", "9" * 400 + "d"):
        with pytest.raises(ConfigError, match=rf"{'.'.join(path)}: .*(too long; the longest|is not a duration)"):
            load(path, value)
