"""The clients of redis-py for one Redis: standalone, by Sentinel or a Cluster; with or without TLS.

redis-py retries by itself unless told not to, and a repeated write is a second write: every retry is the caller's.
"""

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from swit_saga_server.core.errors import StoreRefused

SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """How to reach Redis.

    Attributes:
        url: ``redis://[user:password@]host:port/db``, ``rediss://`` for TLS;
            ``redis+sentinel://host:port,host:port/service/db``; ``redis+cluster://host:port,host:port``.
        timeout_s: For connecting and for each command.
        pool_size: Connections at most.
        protocol: RESP version.
        ca_file, cert_file, key_file: For TLS; empty uses the system's authorities and no client certificate.
    """

    url: str = "redis://127.0.0.1:6379/0"
    timeout_s: float = 5.0
    pool_size: int = 16
    protocol: int = 3
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class RedisClients:
    """Makes them.

    Attributes:
        options: How to reach Redis.
        is_cluster: It is a Cluster.
    """

    def __init__(self, options: RedisOptions) -> None:
        """Say how; nothing is connected yet.

        Raises:
            ValueError: The URL is not one of those in ``RedisOptions``.
        """
        self.options = options
        self._parts = urlsplit(options.url)
        if self._parts.scheme not in SCHEMES:
            raise ValueError(f"the scheme {self._parts.scheme!r} of the URL must be one of {', '.join(SCHEMES)}")
        self.is_cluster = self._parts.scheme.endswith("+cluster")
        self._path = [unquote(p) for p in self._parts.path.split("/") if p]
        if self._parts.scheme.endswith("+sentinel") and not self._path:
            raise ValueError(f"{self.where}: name the service: redis+sentinel://host:port/service")
        number = self._path[-1] if len(self._path) > self._parts.scheme.endswith("+sentinel") else "0"
        if not number.isdecimal():
            raise ValueError(f"{self.where}: the URL ends with the number of a database, not {number!r}")
        self._db = int(number)
        self._hosts(0)

    @property
    def where(self) -> str:
        """HOST:PORT, or several."""
        return self._parts.netloc.rpartition("@")[2]

    @property
    def username(self) -> str:
        """Who we are there."""
        return unquote(self._parts.username) if self._parts.username else "default"

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self._tls())

    def check_certificates(self) -> None:
        """See that they can be read: redis-py finds out at every connection, and takes that for a server that is away.

        Raises:
            StoreRefused: They cannot.
        """
        o = self.options
        if not self._tls():
            return
        context = ssl.create_default_context()
        try:
            if o.ca_file:
                context.load_verify_locations(o.ca_file)
            if o.cert_file:
                # Without a password OpenSSL would ask for one at the terminal.
                context.load_cert_chain(o.cert_file, o.key_file or None, password="")
        except (OSError, ValueError) as wrong:
            given = ", ".join(f"{n} {v!r}" for n in ("ca_file", "cert_file", "key_file") if (v := getattr(o, n)))
            raise StoreRefused(f"storage.redis: the certificates cannot be used ({given}): {wrong}") from wrong

    def make(self, timeout_s: float | None) -> Any:
        """A client, not connected; each command may take ``timeout_s``, None is for ever."""
        parts, options = self._parts, self.options
        common = self._common(timeout_s)
        if self.is_cluster:
            nodes = [ClusterNode(host, port) for host, port in self._hosts(6379)]
            return RedisCluster(startup_nodes=nodes, **common)
        path = self._path
        if parts.scheme.endswith("+sentinel"):
            of_sentinels = {"socket_timeout": options.timeout_s, **self._tls(), **_credentials(parts.query)}
            sentinels = Sentinel(self._hosts(26379), sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
            return sentinels.master_for(path[0], db=self._db, **common)
        ((host, port),) = self._hosts(6379)
        return Redis(host=host, port=port, db=self._db, **common)

    def _common(self, timeout_s: float | None) -> dict[str, Any]:
        parts, options = self._parts, self.options
        common: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": options.timeout_s,
            "protocol": options.protocol,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
        }
        return common | self._tls()

    def _tls(self) -> dict[str, Any]:
        if not self._parts.scheme.startswith("rediss"):
            return {}
        return {
            "ssl": True,
            "ssl_ca_certs": self.options.ca_file or None,
            "ssl_certfile": self.options.cert_file or None,
            "ssl_keyfile": self.options.key_file or None,
        }

    def make_at(self, host: str, port: int, timeout_s: float | None) -> Any:
        """A client of one node."""
        return Redis(host=host, port=port, **self._common(timeout_s))

    def _hosts(self, default_port: int) -> list[tuple[str, int]]:
        hosts = []
        for item in self._parts.netloc.rpartition("@")[2].split(","):
            host, colon, port = item.rpartition(":")
            if colon and not port.isdecimal():
                raise ValueError(f"{item!r} is not HOST:PORT")
            hosts.append((host.strip("[]"), int(port)) if colon else (item, default_port))
        return hosts


def _credentials(query: str) -> dict[str, str]:
    """Of the sentinels themselves: ``?sentinel_username=...&sentinel_password=...``."""
    found = parse_qs(query)
    return {k: found[f"sentinel_{k}"][0] for k in ("username", "password") if f"sentinel_{k}" in found}
