"""The section ``storage``: where state is kept, and the way to open it."""

from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, model_validator

from swit_saga_server.config.section import ConfigError, Duration, Section
from swit_saga_server.core.units import SECOND
from swit_saga_server.store.contract import StateStorage
from swit_saga_server.store.redis.checks import Durability
from swit_saga_server.store.redis.clients import RedisOptions
from swit_saga_server.store.redis.store import RedisStore
from swit_saga_server.store.sqlite import SqliteStore


class StorageType(StrEnum):
    """Where state is kept."""

    SQLITE = "sqlite"
    REDIS = "redis"
    POSTGRES = "postgres"


class RedisConfig(Section):
    """A Redis server, see ``store.redis.clients.RedisOptions`` and ``store.redis.checks.Durability``."""

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
    """The store.

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
