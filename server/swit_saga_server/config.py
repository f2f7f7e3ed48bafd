"""The configuration: the seed's six sections, one YAML file and environment variables, validated as a whole.

An option that does nothing yet is refused with a plain message, never ignored: see ``NOT_YET``.
"""

import os
import socket
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from swit_saga.durations import parse_duration
from swit_saga_server.core.definition import CoordinatorMode
from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.core.model import Settings
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.units import MINUTE, SECOND, Span
from swit_saga_server.engine.options import CacheOptions, CachePolicy, EngineOptions
from swit_saga_server.yaml_file import YamlError, load_yaml


class ConfigError(SwitSagaError):
    """The configuration is not valid."""

    reason = "INVALID_CONFIG"


def _span(value: Any) -> Span:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a duration such as 30s, 1m30s or 500ms")
    if isinstance(value, int):
        raise ValueError(f"{value} has no unit; write {value}s, {value}ms or {value}m")
    return round(parse_duration(value).total_seconds() * 1e6)


Duration = Annotated[Span, BeforeValidator(_span)]

NOT_YET: Mapping[str, str] = {
    "coordinator.max_concurrent_sagas": "back-pressure",
    "coordinator.max_concurrent_steps": "back-pressure",
    "coordinator.cleanup_interval": "retention",
    "coordinator.retention_period": "retention",
    "coordinator.recovery_enabled": "periodic recovery; a restart always recovers",
    "coordinator.recovery_interval": "periodic recovery; a restart always recovers",
    "storage.redis": "the Redis store",
    "storage.postgres": "the PostgreSQL store",
    "storage.key_prefix": "the Redis store",
    "storage.ttl": "retention",
    "storage.max_retries": "the Redis store",
    "messaging": "messaging",
    "monitoring": "monitoring",
    "security": "security",
}
"""Options of the seed's configuration whose work is still to come; setting one is an error that names it."""


class Section(BaseModel):
    """A section refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RetryConfig(Section):
    """A retry policy, see ``core.retry.RetryPolicy``."""

    backoff: Backoff = Backoff.EXPONENTIAL
    initial_delay: Duration = 1 * SECOND
    max_delay: Duration = 30 * SECOND
    multiplier: float = Field(default=2.0, ge=1, le=1000)
    max_attempts: int = Field(default=5, ge=1)
    jitter: Jitter = Jitter.FULL

    @model_validator(mode="after")
    def _check(self) -> "RetryConfig":
        if self.max_delay < self.initial_delay:
            raise ValueError("max_delay must not be less than initial_delay")
        return self

    def policy(self) -> RetryPolicy:
        """As the core has it."""
        return RetryPolicy(**self.model_dump())


class CompensationRetryConfig(RetryConfig):
    """The same with more patience, see ``core.retry.DEFAULT_COMPENSATION_RETRY``; also where only a part is given."""

    max_delay: Duration = 60 * SECOND
    max_attempts: int = Field(default=20, ge=1)


class CacheConfig(Section):
    """The seed's CacheConfig, see ``engine.options.CacheOptions``."""

    enabled: bool = True
    ttl: Duration = 10 * MINUTE
    max_size: int = Field(default=100_000, ge=1)
    policy: CachePolicy = CachePolicy.LRU


class CoordinatorConfig(Section):
    """The seed's CoordinatorConfig, and what else concerns the coordinator itself."""

    name: str = ""
    mode: CoordinatorMode = CoordinatorMode.ORCHESTRATION
    default_timeout: Duration = 30 * MINUTE
    step_timeout: Duration = 30 * SECOND
    default_retry_policy: RetryConfig = RetryConfig()
    default_compensation_retry_policy: CompensationRetryConfig = CompensationRetryConfig()
    max_payload_bytes: int = Field(default=1 << 20, ge=1, le=8 << 20)
    max_definition_bytes: int = Field(default=1 << 20, ge=1, le=8 << 20)
    cache: CacheConfig = CacheConfig()
    max_concurrent_sagas: Any = None
    max_concurrent_steps: Any = None
    cleanup_interval: Any = None
    retention_period: Any = None
    recovery_enabled: Any = None
    recovery_interval: Any = None

    @model_validator(mode="after")
    def _check(self) -> "CoordinatorConfig":
        if self.mode is not CoordinatorMode.ORCHESTRATION:
            raise ValueError(f"mode {self.mode.value!r} is not supported yet; leave it out or write 'orchestration'")
        for name in ("default_timeout", "step_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        return self


class StorageType(StrEnum):
    """Where state is kept."""

    SQLITE = "sqlite"
    REDIS = "redis"
    POSTGRES = "postgres"


class StorageConfig(Section):
    """The seed's StorageConfig. ``connection`` is the SQLite file."""

    type: StorageType = StorageType.SQLITE
    connection: str = "swit-saga.db"
    redis: Any = None
    postgres: Any = None
    key_prefix: Any = None
    ttl: Any = None
    max_retries: Any = None

    @model_validator(mode="after")
    def _check(self) -> "StorageConfig":
        if self.type is not StorageType.SQLITE:
            raise ValueError(f"type {self.type.value!r} is not supported yet; use 'sqlite'")
        return self


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class LoggingConfig(Section):
    """The seed's LoggingConfig."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: LogFormat = LogFormat.JSON


class KeepaliveConfig(Section):
    """gRPC keepalive on the server's side."""

    time: Duration = 30 * SECOND
    timeout: Duration = 10 * SECOND
    min_client_interval: Duration = 10 * SECOND


class ServerConfig(Section):
    """The gRPC server."""

    listen: str = "0.0.0.0:50051"
    reflection: bool = True
    max_concurrent_streams: int = Field(default=10_000, ge=1)
    drain_timeout: Duration = 20 * SECOND
    slow_watcher_timeout: Duration = 30 * SECOND
    keepalive: KeepaliveConfig = KeepaliveConfig()


class ParticipantConfig(Section):
    """Where a participant is."""

    address: str = Field(min_length=1)


class SagaConfig(BaseSettings):
    """Everything that can be configured. Environment variables win over the file.

    A variable is named by the path: ``SWIT_SAGA_COORDINATOR__STEP_TIMEOUT=10s``.
    """

    model_config = SettingsConfigDict(
        env_prefix="SWIT_SAGA_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    coordinator: CoordinatorConfig = CoordinatorConfig()
    storage: StorageConfig = StorageConfig()
    messaging: Any = None
    monitoring: Any = None
    security: Any = None
    logging: LoggingConfig = LoggingConfig()
    server: ServerConfig = ServerConfig()
    participants: dict[str, ParticipantConfig] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is typed before the environment, the environment before what the file says."""
        typed = init_settings.init_kwargs.pop("_overrides", {})  # type: ignore[attr-defined]
        return InitSettingsSource(settings_cls, typed), env_settings, init_settings

    @model_validator(mode="after")
    def _refuse_not_yet(self) -> "SagaConfig":
        for path, what in NOT_YET.items():
            value: Any = self
            for name in path.split("."):
                value = getattr(value, name)
            if value is not None:
                raise ValueError(f"{path} does nothing yet ({what} is still to come); leave it out")
        return self

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> "SagaConfig":
        """From a YAML file, the environment and, before both, ``overrides`` (the command line's).

        Raises:
            ConfigError: With every problem found, each naming its key and value.
        """
        try:
            values = load_yaml(Path(path).read_text()) if path is not None else {}
        except (OSError, YamlError) as unreadable:
            raise ConfigError(f"{path}: {unreadable}") from unreadable
        if not isinstance(values or {}, dict):
            raise ConfigError(f"{path}: must be a mapping of sections")
        try:
            return cls(**(values or {}), _overrides=dict(overrides or {}))  # type: ignore[call-arg]
        except ValidationError as invalid:
            raise ConfigError(_explain(invalid, path)) from invalid

    def settings(self) -> Settings:
        """The coordinator's defaults for sagas."""
        c = self.coordinator
        return Settings(
            timeout=c.default_timeout,
            step_timeout=c.step_timeout,
            retry_policy=c.default_retry_policy.policy(),
            compensation_retry_policy=c.default_compensation_retry_policy.policy(),
        )

    def engine_options(self) -> EngineOptions:
        """How the engine runs."""
        cache = self.coordinator.cache
        return EngineOptions(
            owner=self.coordinator.name or f"{socket.gethostname()}-{os.getpid()}",
            cache=CacheOptions(enabled=cache.enabled, ttl=cache.ttl, max_size=cache.max_size, policy=cache.policy),
        )


def _explain(invalid: ValidationError, path: str | Path | None) -> str:
    lines = []
    for e in invalid.errors():
        where = ".".join(str(part) for part in e["loc"])
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] == "extra_forbidden":
            message = _unknown(tuple(map(str, e["loc"])))
        shown = (
            "" if isinstance(e["input"], Mapping | BaseModel) or e["type"] == "missing" else f" (it is {e['input']!r})"
        )
        lines.append(f"{where}: {message}{shown}" if where else message)
    return f"{path or 'configuration'}: " + "\n  ".join(lines)


def _unknown(path: tuple[str, ...]) -> str:
    """What to say of a key that there is not."""
    model: type[BaseModel] = SagaConfig
    for name in path[:-1]:
        # Of what lies below a participant's name only the participant itself is a section.
        inner = ParticipantConfig if model is SagaConfig and path[0] == "participants" else None
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
