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

from swit_saga_server.config import names
from swit_saga_server.config.coordinator import CoordinatorConfig
from swit_saga_server.config.environment import read_environment
from swit_saga_server.config.explain import explain
from swit_saga_server.config.logging import LoggingConfig
from swit_saga_server.config.participants import ParticipantConfig
from swit_saga_server.config.section import ConfigError, ParticipantName, Section
from swit_saga_server.config.server import ServerConfig
from swit_saga_server.config.sources import merged, read_file, shaped
from swit_saga_server.config.storage import StorageConfig
from swit_saga_server.core.model import Settings
from swit_saga_server.core.units import SECOND
from swit_saga_server.engine.options import CacheOptions, EngineOptions
from swit_saga_server.instance import this_instance

NOT_YET: Mapping[str, str] = {
    "storage.postgres": "the PostgreSQL store",
    "messaging": "messaging",
    "monitoring": "monitoring",
    "security": "security",
}
"""Options of the agreed layout whose work is still to come; setting one is an error that names it."""


class SagaConfig(Section):
    """Everything that can be configured. ``load`` is the way to get one from a file and the environment."""

    coordinator: CoordinatorConfig = CoordinatorConfig()
    storage: StorageConfig = StorageConfig()
    messaging: Any = None
    monitoring: Any = None
    security: Any = None
    logging: LoggingConfig = LoggingConfig()
    server: ServerConfig = ServerConfig()
    participants: dict[ParticipantName, ParticipantConfig] = Field(default_factory=dict)

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
    def load(
        cls,
        path: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> "SagaConfig":
        """From a YAML file, the environment and, before both, ``overrides`` (the command line's).

        A variable is named by the path of its option: ``SWIT_SAGA_COORDINATOR__STEP_TIMEOUT=10s``.

        Args:
            path: Of the file; None for none.
            overrides: As they would stand in the file.
            variables: Instead of the process's environment.

        Raises:
            ConfigError: With every problem found, each naming its key. No value is repeated: it may be a secret.
        """
        file, problems = ({}, []) if path is None else shaped(read_file(path), cls, str(path))
        typed, mistyped = shaped(dict(overrides or {}), cls, "command line")
        named = {**file.get(names.PARTICIPANTS, {}), **typed.get(names.PARTICIPANTS, {})}
        found = os.environ if variables is None else variables
        environment, unknown = read_environment(found, cls, NOT_YET, named)
        problems += [*unknown, *mistyped]

        def place(where: names.Path) -> str:
            if _is_in(typed, where):
                return "command line"
            if _is_in(environment, where):
                return f"environment variable {names.variable(where)}"
            return str(path or "configuration")

        config = None
        try:
            config = cls(**merged(file, environment, typed))
        except ValidationError as invalid:
            problems += explain(invalid, cls, place)
        if config is None or problems:
            # Outside of the handler: what pydantic found is not to be shown behind this, for it knows the values.
            raise ConfigError("\n  ".join(problems))
        return config

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


def _is_in(values: Any, path: names.Path) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    # A section may be in several of them.
    return bool(path) and not isinstance(values, Mapping)
