"""The section ``storage``: where state is kept, and the way to open it."""

from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator

from swit_saga_server.config.redis_url import check_redis_url, is_url_like
from swit_saga_server.config.section import MAX_COUNT, ConfigError, Count, Duration, HostPortAddress, Section
from swit_saga_server.core.limits import DAY
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

    address: HostPortAddress = "127.0.0.1:6379"
    db: Count = Field(default=0, ge=0, le=999_999)
    username: str = ""
    password: SecretStr = SecretStr("")
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout: Duration = 5 * SECOND
    pool_size: Count = Field(default=16, ge=2, le=10_000)
    durability: Durability = Durability.RELAXED
    replicas: Count = Field(default=1, ge=1, le=1_000)

    @model_validator(mode="after")
    def _check(self) -> "RedisConfig":
        if not 0 < self.timeout <= DAY:
            raise ValueError("timeout must be greater than 0 and at most 1d")
        return self

    def url(self) -> str:
        """The address as a URL, for ``RedisOptions``."""
        login = f"{quote(self.username, safe='')}:{quote(self.password.get_secret_value(), safe='')}@"
        shown = login if self.username or self.password.get_secret_value() else ""
        return f"{'rediss' if self.tls else 'redis'}://{shown}{self.address}/{self.db}"


class StorageConfig(Section):
    """The store.

    ``connection`` is the SQLite file, or a URL of Redis instead of ``redis.address`` and what goes with it, for
    Sentinel and Cluster. It may hold a password.
    """

    type: StorageType = StorageType.SQLITE
    connection: str = Field(default="", repr=False)
    key_prefix: str = Field(default="swit-saga:", max_length=100)
    partitions: Count = Field(default=64, ge=1, le=1024)
    redis: RedisConfig = RedisConfig()
    postgres: Any = None
    ttl: Duration | None = None
    max_retries: Count = Field(default=3, ge=0, le=MAX_COUNT)

    @model_validator(mode="after")
    def _check(self) -> "StorageConfig":
        if self.ttl is not None and self.ttl <= 0:
            raise ValueError("ttl must be greater than 0")
        if self.type is StorageType.POSTGRES:
            raise ValueError(f"type {self.type.value!r} is not supported yet; use 'sqlite' or 'redis'")
        if self.type is not StorageType.REDIS:
            for name in ("redis", "key_prefix", "partitions"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"{name} does nothing with type {self.type.value!r}; leave it out, or set type to 'redis'"
                    )
            self._check_file()
        elif self.connection:
            self._check_url()
        return self

    def _check_file(self) -> None:
        path = self.connection
        if is_url_like(path):
            raise ValueError(
                "connection is a URL, which type 'sqlite' has no use for: set type to 'redis' if it is one of Redis, "
                "or write the path of a file"
            )
        if "\0" in path or path != path.strip():
            raise ValueError("connection must be the path of a file, without spaces at its ends")

    def _check_url(self) -> None:
        try:
            check_redis_url(self.connection)
        except ValueError as wrong:
            raise ValueError(f"connection {wrong}") from None
        said_twice = sorted({"address", "db", "username", "password", "tls"} & self.redis.model_fields_set)
        if said_twice:
            raise ValueError(
                f"connection is a URL, which says where Redis is and who we are there; leave out "
                f"{', '.join(f'redis.{name}' for name in said_twice)}, or connection"
            )

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
            raise ConfigError(f"storage.connection: {wrong}") from None

    @property
    def where(self) -> str:
        """For people: where state is kept, without any password."""
        if self.type is StorageType.SQLITE:
            return self.connection or "swit-saga.db"
        return check_redis_url(self.connection or self.redis.url()).where
