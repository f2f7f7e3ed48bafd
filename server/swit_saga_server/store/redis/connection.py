"""Reaching Redis: standalone, by Sentinel or a Cluster; scripts; what an error means.

redis-py retries by itself unless told not to, and a repeated write is a second write: every retry here is ours.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable
from swit_saga_server.store.redis.failures import ERRORS, meaning

SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

MAX_TAGS = 10_000
"""So many hash tags are tried for one that is at a given node; a master without slots has none."""

T = TypeVar("T")


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


class Script:
    """A Lua script, run by its digest and sent in full when the server does not have it (any more)."""

    def __init__(self, name: str) -> None:
        """Read ``name``.lua from beside this file."""
        self._text = files("swit_saga_server.store.redis").joinpath(f"{name}.lua").read_text()
        self.use_header(with_header=True)

    def use_header(self, *, with_header: bool) -> None:
        """Since 7.0 a header makes Redis refuse the script when memory is full; before, it is a syntax error."""
        self.text = f"#!lua\n{self._text}" if with_header else self._text
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisConnection:
    """One or more connections to one Redis, and the meaning of its errors."""

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
        self._client: Any = None
        self._has_answered = False
        # redis-py's pools refuse instead of waiting when all connections are taken.
        self._room = asyncio.Semaphore(options.pool_size)

    @property
    def client(self) -> Any:
        """The redis-py client.

        Raises:
            StoreUnavailable: It is not open.
        """
        if self._client is None:
            raise StoreUnavailable("the store is not open")
        return self._client

    async def open(self) -> None:
        """Make the client. Connections are made when first needed.

        Raises:
            StoreRefused: The certificates cannot be used.
        """
        if self._client is None:
            self._check_certificates()
            self._client = self._make(self.options.timeout_s)

    async def close(self) -> None:
        """Close all connections. Safe to call twice, and before ``open``."""
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    async def do(self, call: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Call the client; once.

        Raises:
            StoreUnavailable: It could not be reached, or could not take this now; whether it did is unknown.
        """
        client = self.client
        try:
            async with self._room:
                found = await call(client)
                self._has_answered = True
                return found
        except ERRORS as error:
            raise self._meaning(error) from error

    async def run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script; once. The keys say which node.

        Raises:
            StoreUnavailable: As ``do``.
        """

        async def evaluate(client: Any) -> Any:
            try:
                return await client.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

        return await self.do(evaluate)

    async def run_confirmed(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], confirm: Sequence[Any], wanted: int
    ) -> Any:
        """Run a script and, on the same connection, a command that answers for its durability (WAIT, WAITAOF).

        Raises:
            StoreUnavailable: As ``do``; or the confirmation did not come in time, so that the outcome is unknown.
        """

        async def evaluate(client: Any) -> Any:
            for call in (("EVALSHA", script.digest), ("EVAL", script.text)):
                pipe = client.pipeline(transaction=False)
                pipe.execute_command(*call, len(keys), *keys, *arguments)
                pipe.execute_command(*confirm)
                found, confirmed = await pipe.execute(raise_on_error=False)
                if isinstance(found, NoScriptError):
                    continue
                for reply in (found, confirmed):
                    if isinstance(reply, Exception):
                        raise reply
                number = confirmed[0] if isinstance(confirmed, list) else confirmed
                if number < wanted:
                    raise StoreUnavailable(f"Redis: written, but confirmed {number} times of {wanted} within the time")
                return found
            raise StoreUnavailable("Redis: it forgets scripts as soon as it has them")

        return await self.do(evaluate)

    @property
    def where(self) -> str:
        """HOST:PORT, or several."""
        return self._parts.netloc.rpartition("@")[2]

    @property
    def username(self) -> str:
        """Who we are there."""
        return unquote(self._parts.username) if self._parts.username else "default"

    async def command(self, *command: Any, node: Any = None) -> Any:
        """One command; once. Of a Cluster, at ``node``, one of ``masters``.

        Raises:
            StoreRefused: We may not.
            StoreUnavailable: As ``do``.
        """
        at = {} if node is None else {"target_nodes": node}
        return await self.do(lambda client: client.execute_command(*command, **at))

    async def masters(self, prefix: str) -> Mapping[str, Any]:
        """The masters of a Cluster, each under a prefix of keys that it holds; else None alone, under any.

        Raises:
            StoreRefused, StoreUnavailable.
        """
        if not self.is_cluster:
            return {f"{prefix}{{acl}}:": None}

        async def ask(client: Any) -> Mapping[str, Any]:
            await client.initialize()
            missing = {node.name for node in client.get_primaries() if client.nodes_manager.slots_cache}
            found = {}
            for number in range(MAX_TAGS):
                key = f"{prefix}{{acl{number}}}:"
                node = client.get_node_from_key(key)
                if node is not None and node.name in missing:
                    missing.remove(node.name)
                    found[key] = node
                if not missing:
                    break
            return found

        return await self.do(ask)

    async def info(self) -> Mapping[str, Any]:
        """What the server says of itself; of a Cluster, what one of its nodes says.

        Raises:
            StoreRefused, StoreUnavailable.
        """

        async def ask(client: Any) -> Mapping[str, Any]:
            if self.is_cluster:
                found: Mapping[str, Any] = await client.info(target_nodes=(await client.initialize()).get_random_node())
                return found
            return dict(await client.info())

        return await self.do(ask)

    async def setting(self, name: str) -> str | None:
        """One of the server's settings; None if it has no such.

        Raises:
            StoreRefused: We may not ask.
            StoreUnavailable: As ``do``.
        """

        async def ask(client: Any) -> str | None:
            where = {"target_nodes": (await client.initialize()).get_random_node()} if self.is_cluster else {}
            found = await client.config_get(name, **where)
            value = found.get(name)
            return value.decode() if isinstance(value, bytes) else value

        return await self.do(ask)

    async def pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several commands in one round trip (per node), not atomic.

        Raises:
            StoreUnavailable: As ``do``.
        """
        if not commands:
            return []

        async def execute(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False) if not self.is_cluster else client.pipeline()
            for command in commands:
                pipe.execute_command(*command)
            found: list[Any] = await pipe.execute()
            return found

        return await self.do(execute)

    @asynccontextmanager
    async def messages(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Messages published on ``channel``, over a connection of their own without a time limit.

        Raises:
            StoreUnavailable: The connection is lost; what was published meanwhile is, too.
        """
        client = self._make_listener()
        try:
            pubsub = client.pubsub()
            await pubsub.subscribe(channel)
            if await pubsub.get_message(timeout=self.options.timeout_s) is None:
                raise StoreUnavailable(f"Redis: no answer to SUBSCRIBE within {self.options.timeout_s:g} s")

            async def each() -> AsyncIterator[bytes]:
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield message["data"]

            yield each()
        except ERRORS as error:
            raise self._meaning(error) from error
        finally:
            await _close(client)

    def _meaning(self, error: Exception) -> Exception:
        return meaning(
            error,
            where=self.where,
            user=self.username,
            is_cluster=self.is_cluster,
            is_tls=bool(self._tls()),
            is_new=not self._has_answered,
        )

    def _check_certificates(self) -> None:
        """redis-py finds out at every connection, and then takes a missing file for a server that is away."""
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

    def _make_listener(self) -> Any:
        if not self.is_cluster:
            return self._make(None)
        # What is published reaches every node of a Cluster: any will do.
        node = self.client.get_random_node()
        return Redis(host=node.host, port=node.port, **self._common(None))

    def _make(self, timeout_s: float | None) -> Any:
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

    def _hosts(self, default_port: int) -> list[tuple[str, int]]:
        hosts = []
        for item in self._parts.netloc.rpartition("@")[2].split(","):
            host, colon, port = item.rpartition(":")
            if colon and not port.isdecimal():
                raise ValueError(f"{item!r} is not HOST:PORT")
            hosts.append((host.strip("[]"), int(port)) if colon else (item, default_port))
        return hosts


async def _close(client: Any) -> None:
    """The client and, by way of its pool, the clients of the sentinels, which redis-py leaves open."""
    pool: Any = getattr(client, "connection_pool", None)
    await client.aclose()
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        await pool.disconnect()
        for sentinel in manager.sentinels:
            await sentinel.aclose()


def _credentials(query: str) -> dict[str, str]:
    """Of the sentinels themselves: ``?sentinel_username=...&sentinel_password=...``."""
    found = parse_qs(query)
    return {k: found[f"sentinel_{k}"][0] for k in ("username", "password") if f"sentinel_{k}" in found}
