"""The section ``logging``."""

from enum import StrEnum

from pydantic import Field

from swit_saga_server.config.section import Section


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class LoggingConfig(Section):
    """What is logged, and how."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: LogFormat = LogFormat.JSON
