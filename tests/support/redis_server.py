"""Private redis-servers."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from redis import Redis

from tests.support.waiting import soon

START_S = 20
MAX_WORKERS = 16
"""Of pytest that may run beside each other; each has ports of its own."""


def redis_server() -> str:
    """Where the program is. The project's set-up installs it; a machine without it fails the tests, plainly."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    assert found, "there is no redis-server: run scripts/servers, or name one by REDIS_SERVER"
    return found


def _redis_cli() -> str:
    return str(Path(redis_server()).with_name("redis-cli"))


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_given: set[int] = set()


def free_port() -> int:
    """A port that is free, and stays so: no other worker gets it, nor any process that lets the system choose.

    The same holds for the port 10,000 above it, where a cluster's node has its bus.
    """
    while True:
        port = 10_000 + MAX_WORKERS * secrets.randbelow(10_000 // MAX_WORKERS) + _WORKER % MAX_WORKERS
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


class RedisServer:
    """One process with its own folder and port, which it keeps over restarts."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "redis.log").open("ab")
        command = [redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.process = subprocess.Popen([*command, "--save", "", *self._options], stdout=log, stderr=log)
        log.close()
        soon(self._answers_or_ended, START_S, f"redis-server did not start: {self.folder / 'redis.log'}")

    def _answers_or_ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2_000:]
        return _answers(self.port)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _answers(port: int) -> bool:
    try:
        return _ask(port, b"PING\r\n").startswith(b"+PONG")
    except OSError:
        return False


def _ask(port: int, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
        s.sendall(command)
        return s.recv(4096)


def _covers_all(port: int) -> bool:
    return b"cluster_state:ok" in _ask(port, b"CLUSTER INFO\r\n")


def _knows_sentinels(port: int, others: int) -> bool:
    expected = f"num-other-sentinels\r\n$1\r\n{others}".encode()
    return _answers(port) and expected in _ask(port, b"SENTINEL MASTER main\r\n")


def is_linked(replica: RedisServer, master: RedisServer) -> bool:
    """Whether the replica has all that its master had, and follows. Both say so: the replica does first."""
    with Redis(port=replica.port) as r, Redis(port=master.port) as m:
        followers = [said for said in m.info("replication").values() if isinstance(said, dict)]
        online = any(f.get("port") == replica.port and f["state"] == "online" for f in followers)
        return online and bool(r.info("replication")["master_link_status"] == "up")


@contextmanager
def running(server: RedisServer) -> Iterator[RedisServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def cluster(folder: Path, nodes: int = 3) -> Iterator[Sequence[RedisServer]]:
    """Masters only, all slots covered."""
    options = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")
    servers = [RedisServer(folder / f"node{n}", *options) for n in range(nodes)]
    try:
        for server in servers:
            server.start()
        addresses = [f"127.0.0.1:{s.port}" for s in servers]
        made = subprocess.run(
            [_redis_cli(), "--cluster", "create", *addresses, "--cluster-yes"], capture_output=True, timeout=60
        )
        assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()
        for server in servers:
            soon(partial(_covers_all, server.port), START_S, "the cluster does not come up")
        yield servers
    finally:
        for server in servers:
            server.kill()


@contextmanager
def sentinels(
    folder: Path, master: RedisServer, number: int = 3, settings: Sequence[str] = (), master_port: int = 0
) -> Iterator[Sequence[int]]:
    """Ports of sentinels that watch ``master`` under the name ``main``.

    ``settings`` go into the configuration of each, ``master_port`` is where they find the master (its encrypted port).
    """
    ports, processes = [], []
    try:
        for n in range(number):
            port = free_port()
            config = folder / f"sentinel{n}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master_port or master.port} 2\n"
                "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
                + "".join(f"{line}\n" for line in settings)
            )
            with (folder / f"sentinel{n}.log").open("ab") as log:
                command = [redis_server(), str(config), "--sentinel"]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
            ports.append(port)
        for port in ports:
            soon(partial(_knows_sentinels, port, number - 1), START_S, "the sentinels do not find each other")
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()
