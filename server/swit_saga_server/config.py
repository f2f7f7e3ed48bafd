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
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from swit_saga.durations import parse_duration
from swit_saga_server.core.definition import CoordinatorMode
from swit_saga_server.core.errors import SwitSagaError
from swit_saga_server.core.model import Settings
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.units import MINUTE, SECOND, Span
from swit_saga_server.engine.options import CacheOptions, CachePolicy, EngineOptions
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.store.redis.checks import Durability
from swit_saga_server.store.redis.connection import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from swit_saga_server.store.sqlite import SqliteStore
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
    "storage.postgres": "the PostgreSQL store",
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
    lease_term: Duration = 10 * SECOND
    max_payload_bytes: int = Field(default=1 << 20, ge=1, le=8 << 20)
    max_definition_bytes: int = Field(default=1 << 20, ge=1, le=8 << 20)
    cache: CacheConfig = CacheConfig()
    max_concurrent_sagas: int = Field(default=0, ge=0)
    max_concurrent_steps: int = Field(default=10_000, ge=0)
    max_queue_length: int = Field(default=5_000, ge=0)
    max_queue_wait: Duration = 2 * SECOND
    cleanup_interval: Duration = 60 * MINUTE
    retention_period: Duration | None = None
    recovery_enabled: bool = True
    recovery_interval: Duration = 5 * SECOND

    @model_validator(mode="after")
    def _check(self) -> "CoordinatorConfig":
        if self.mode is not CoordinatorMode.ORCHESTRATION:
            raise ValueError(f"mode {self.mode.value!r} is not supported yet; leave it out or write 'orchestration'")
        if self.lease_term < SECOND:
            raise ValueError("lease_term must be at least 1s")
        if not self.recovery_enabled:
            raise ValueError("recovery_enabled cannot be false: no acknowledged saga may be left half-done")
        for name in ("cleanup_interval", "recovery_interval"):
            if getattr(self, name) < SECOND:
                raise ValueError(f"{name} must be at least 1s")
        if self.retention_period is not None and self.retention_period <= 0:
            raise ValueError("retention_period must be greater than 0")
        for name in ("default_timeout", "step_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        return self


class StorageType(StrEnum):
    """Where state is kept."""

    SQLITE = "sqlite"
    REDIS = "redis"
    POSTGRES = "postgres"


class RedisConfig(Section):
    """The seed's RedisConfig, see ``store.redis.connection.RedisOptions`` and ``store.redis.checks.Durability``."""

    address: str = Field(default="127.0.0.1:6379", min_length=1)
    db: int = Field(default=0, ge=0)
    username: str = ""
    password: SecretStr = SecretStr("")
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout: Duration = 5 * SECOND
    pool_size: int = Field(default=16, ge=2)
    durability: Durability = Durability.RELAXED
    replicas: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _check(self) -> "RedisConfig":
        if self.timeout <= 0:
            raise ValueError("timeout must be greater than 0")
        return self

    def url(self) -> str:
        """The address as a URL, for ``RedisOptions``."""
        login = f"{quote(self.username, safe='')}:{quote(self.password.get_secret_value(), safe='')}@"
        shown = login if self.username or self.password.get_secret_value() else ""
        return f"{'rediss' if self.tls else 'redis'}://{shown}{self.address}/{self.db}"


class StorageConfig(Section):
    """The seed's StorageConfig.

    ``connection`` is the SQLite file, or a URL of Redis that goes before ``redis.address``, for Sentinel and Cluster.
    """

    type: StorageType = StorageType.SQLITE
    connection: str = ""
    key_prefix: str = Field(default="swit-saga:", max_length=100)
    partitions: int = Field(default=64, ge=1, le=1024)
    redis: RedisConfig = RedisConfig()
    postgres: Any = None
    ttl: Duration | None = None
    max_retries: int = Field(default=3, ge=0)

    @model_validator(mode="after")
    def _check(self) -> "StorageConfig":
        if self.ttl is not None and self.ttl <= 0:
            raise ValueError("ttl must be greater than 0")
        if self.type is StorageType.POSTGRES:
            raise ValueError(f"type {self.type.value!r} is not supported yet; use 'sqlite' or 'redis'")
        if self.type is not StorageType.REDIS:
            for name in ("redis", "key_prefix", "partitions"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} does nothing with type {self.type.value!r}; leave it out")
        return self

    @property
    def rounds(self) -> tuple[int, int]:
        """Sagas in a commit at most, and commits under way at a time; as measured (docs/performance.md)."""
        # Redis works beside the coordinator. SQLite works in its process, a writer at a time: there, all in one.
        return (64, 4) if self.type is StorageType.REDIS else (256, 1)

    def open(self) -> StateStorage:
        """The store, not opened.

        Raises:
            ConfigError: The connection is not a URL that is understood.
        """
        if self.type is StorageType.SQLITE:
            return SqliteStore(self.connection or "swit-saga.db")
        r = self.redis
        options = RedisOptions(
            url=self.connection or r.url(),
            timeout_s=r.timeout / 1e6,
            pool_size=r.pool_size,
            ca_file=r.ca_file,
            cert_file=r.cert_file,
            key_file=r.key_file,
        )
        try:
            return RedisStore(
                options,
                prefix=self.key_prefix,
                partitions=self.partitions,
                durability=r.durability,
                replicas=r.replicas,
            )
        except ValueError as wrong:
            raise ConfigError(f"storage.connection: {wrong}") from wrong

    @property
    def where(self) -> str:
        """For people: where state is kept, without any password."""
        if self.type is StorageType.SQLITE:
            return self.connection or "swit-saga.db"
        parts = urlsplit(self.connection or self.redis.url())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


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
    """Where a participant is, and how much it is asked at a time."""

    address: str = Field(min_length=1)
    stream: bool = True
    max_concurrent_steps: int = Field(default=0, ge=0)


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
        c, cache = self.coordinator, self.coordinator.cache
        kept = [span for span in (c.retention_period, self.storage.ttl) if span is not None]
        round_size, rounds = self.storage.rounds
        return EngineOptions(
            owner=self.coordinator.name or f"{socket.gethostname()}-{os.getpid()}",
            lease_term=c.lease_term,
            round_size=round_size,
            rounds=rounds,
            timer_poll=c.recovery_interval,
            timer_horizon=max(30 * SECOND, 2 * c.recovery_interval),
            retention=min(kept, default=None),
            cleanup_interval=c.cleanup_interval,
            max_sagas=c.max_concurrent_sagas or None,
            max_steps=c.max_concurrent_steps or None,
            max_steps_of={n: p.max_concurrent_steps for n, p in self.participants.items() if p.max_concurrent_steps},
            max_queue=c.max_queue_length or None,
            max_queue_wait=c.max_queue_wait or None,
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
