"""The section ``server``: the gRPC server."""

from pydantic import Field, model_validator

from swit_saga_server.config.section import MAX_COUNT, Count, Duration, ListenAddress, Section
from swit_saga_server.core.limits import DAY
from swit_saga_server.core.units import SECOND

MAX_CLIENT_INTERVAL = 25 * SECOND
"""The SDK's clients ping every 30 s: with more than this they would be cut off themselves."""


class KeepaliveConfig(Section):
    """gRPC keepalive on the server's side. gRPC counts in milliseconds, and holds no more than 24 days of them."""

    time: Duration = 30 * SECOND
    timeout: Duration = 10 * SECOND
    min_client_interval: Duration = 10 * SECOND

    @model_validator(mode="after")
    def _check(self) -> "KeepaliveConfig":
        for name, least in (("time", SECOND), ("timeout", SECOND)):
            if not least <= getattr(self, name) <= DAY:
                raise ValueError(f"{name} must be from {least // SECOND}s to 1d")
        if self.min_client_interval > MAX_CLIENT_INTERVAL:
            raise ValueError("min_client_interval must be at most 25s: the SDK's clients ping every 30 s")
        return self


class ServerConfig(Section):
    """The gRPC server."""

    listen: ListenAddress = "0.0.0.0:50051"
    reflection: bool = True
    max_concurrent_streams: Count = Field(default=10_000, ge=1, le=MAX_COUNT)
    drain_timeout: Duration = 20 * SECOND
    slow_watcher_timeout: Duration = 30 * SECOND
    keepalive: KeepaliveConfig = KeepaliveConfig()

    @model_validator(mode="after")
    def _check(self) -> "ServerConfig":
        if self.drain_timeout > DAY:
            raise ValueError("drain_timeout must be at most 1d")
        if not 0 < self.slow_watcher_timeout <= DAY:
            raise ValueError("slow_watcher_timeout must be greater than 0 and at most 1d")
        return self
