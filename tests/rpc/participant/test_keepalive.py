"""How often each side asks whether the other is still there, and what the other takes for abuse."""

import os
import socket
import stat
from collections.abc import Iterator

import grpc
import grpc.aio
import pytest

from swit_saga import channel as client_channel
from swit_saga.v1.participant_service_pb2 import ExecuteRequest
from swit_saga_server.config import ConfigError, SagaConfig
from swit_saga_server.config.server import MAX_CLIENT_INTERVAL
from swit_saga_server.participants import grpc_connection
from swit_saga_server.participants.connection import CallFailed
from swit_saga_server.participants.grpc_connection import GrpcConnection

MIN_INTERVAL_S = {
    "Go: keepalive.EnforcementPolicy.MinTime": 300,
    "Java: permitKeepAliveTime": 300,
    "C++, Python, Ruby, PHP: grpc.http2.min_ping_interval_without_data_ms": 300,
    "Swift, Dart: the same": 300,
    "Node.js, .NET, Rust: none": 0,
}
"""The shortest time between two pings without data that a stock server takes, seconds. All take none without calls."""


def options(of: tuple[tuple[str, int | str], ...]) -> dict[str, int | str]:
    return dict(of)


@pytest.mark.parametrize("server", MIN_INTERVAL_S)
def test_a_coordinator_pings_no_more_often_than_a_stock_server_takes(server):
    of_channel = options(grpc_connection.CHANNEL_OPTIONS)
    assert int(of_channel["grpc.keepalive_time_ms"]) >= 1.05 * MIN_INTERVAL_S[server] * 1000
    assert "grpc.keepalive_permit_without_calls" not in of_channel


def test_a_client_pings_no_more_often_than_a_coordinator_takes():
    of_channel = options(client_channel.CHANNEL_OPTIONS)
    ping_ms = int(of_channel["grpc.keepalive_time_ms"])
    assert ping_ms >= 2 * SagaConfig().server.keepalive.min_client_interval // 1000
    assert ping_ms >= 1.05 * MAX_CLIENT_INTERVAL // 1000
    longer = {"server": {"keepalive": {"min_client_interval": "26s"}}}
    with pytest.raises(ConfigError, match="min_client_interval must be at most 25s"):
        SagaConfig.load(overrides=longer, variables={})
    assert "grpc.keepalive_permit_without_calls" not in of_channel


def sockets_to(port: int) -> Iterator[socket.socket]:
    """Those of this process that are connected to this port."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # Closed by now.
            continue
        with found:
            try:
                if found.getpeername()[1] == port:
                    yield found
            except (OSError, IndexError):
                continue


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")
async def test_what_a_participant_does_not_acknowledge_ends_the_connection():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = GrpcConnection(f"127.0.0.1:{port}")
    try:
        with pytest.raises(CallFailed, match="not found"):
            await connection.execute(ExecuteRequest(), 10.0, ())
        limits = [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for s in sockets_to(port)]
        assert limits == [grpc_connection.ACKNOWLEDGED_S * 1000]
    finally:
        await connection.close()
        await server.stop(None)
