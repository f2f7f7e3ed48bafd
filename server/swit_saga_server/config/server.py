"""The section ``server``: the gRPC server."""

from pydantic import Field

from swit_saga_server.config.section import Duration, Section
from swit_saga_server.core.units import SECOND


class KeepaliveConfig(Section):
    """gRPC keepalive on the server's side."""

    time: Duration = 30 * SECOND
    timeout: Duration = 10 * SECOND
    min_client_interval: Duration = 10 * SECOND


class ServerConfig(Section):
    """The gRPC server."""

    listen: str = "0.0.0.0:50051"
    reflection: bool = True
    max_concurrent_streams: int = Field(default=10_000, ge=1, le=1_000_000)
    drain_timeout: Duration = 20 * SECOND
    slow_watcher_timeout: Duration = 30 * SECOND
    keepalive: KeepaliveConfig = KeepaliveConfig()
