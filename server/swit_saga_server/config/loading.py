"""All sections together: one YAML file and environment variables, validated as a whole.

An option that does nothing yet is refused with a plain message, never ignored: see ``NOT_YET``.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from swit_saga_server.config.coordinator import CoordinatorConfig
from swit_saga_server.config.explain import explain
from swit_saga_server.config.logging import LoggingConfig
from swit_saga_server.config.participants import ParticipantConfig
from swit_saga_server.config.section import ConfigError
from swit_saga_server.config.server import ServerConfig
from swit_saga_server.config.storage import StorageConfig
from swit_saga_server.core.model import Settings
from swit_saga_server.core.units import SECOND
from swit_saga_server.engine.options import CacheOptions, EngineOptions
from swit_saga_server.instance import this_instance
from swit_saga_server.yaml_file import YamlError, load_yaml

NOT_YET: Mapping[str, str] = {
    "storage.postgres": "the PostgreSQL store",
    "messaging": "messaging",
    "monitoring": "monitoring",
    "security": "security",
}
"""Options of the agreed layout whose work is still to come; setting one is an error that names it."""


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
            raise ConfigError(explain(invalid, cls, path)) from invalid

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
            owner=self.coordinator.name or _own_name(),
            instance=this_instance(),
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


def _own_name() -> str:
    """In containers of one host name, every coordinator has the same PID."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
