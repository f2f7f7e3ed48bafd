"""One Redis as the store uses it: commands, pipelines, scripts and messages, each once, and what their errors mean."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from swit_saga_server.core.errors import StoreFault, StoreRefused, StoreUnavailable
from swit_saga_server.store.redis.clients import RedisClients, RedisOptions
from swit_saga_server.store.redis.failures import meaning
from swit_saga_server.store.redis.refusals import code_and_text
from swit_saga_server.store.redis.script import Script
from swit_saga_server.store.troubles import Troubles

MAX_TAGS = 10_000
"""So many hash tags are tried for one that is at a given node; a master without slots has none."""

T = TypeVar("T")


class RedisConnection:
    """One or more connections to one Redis, and the meaning of its errors.

    Attributes:
        troubles: What of it failed, and is not known to be over.
        is_trusted: It had everything that is needed once. From then on a right or a setting that is taken away is
            waited for, as if Redis were away.
    """

    def __init__(self, options: RedisOptions) -> None:
        """Say how; nothing is connected yet.

        Raises:
            ValueError: The URL is not one of those in ``RedisOptions``.
        """
        self.options = options
        self._clients = RedisClients(options)
        self._client: Any = None
        self._has_answered = False
        self.is_trusted = False
        self.troubles = Troubles(self.where)
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
            self._clients.check_certificates()
            self._client = self._clients.make(self.options.timeout_s)

    async def close(self) -> None:
        """Close all connections. Safe to call twice, and before ``open``."""
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    async def do(self, call: Callable[[Any], Coroutine[Any, Any, T]], *, holds_values: bool = False) -> T:
        """Call the client; once. ``holds_values`` says that it brings what a caller made, for which it may be refused.

        Raises:
            StoreUnavailable: It could not be reached, or could not take this now; whether it did is unknown.
            UnstorableValue: It can never take this, for a value in it.
            StoreRefused: It does not let us; only before it is trusted.
        """
        client = self.client
        try:
            async with self._room:
                found = await call(client)
                self._has_answered = True
                return found
        except Exception as error:
            self.fail(error, holds_values=holds_values)

    async def run(self, script: Script, keys: Sequence[str], *arguments: Any, holds_values: bool = False) -> Any:
        """Run a script; once. The keys say which node.

        Raises:
            StoreUnavailable: As ``do``.
        """

        async def evaluate(client: Any) -> Any:
            try:
                return await client.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

        return await self.do(evaluate, holds_values=holds_values)

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

        return await self.do(evaluate, holds_values=True)

    @property
    def is_cluster(self) -> bool:
        """It is a Cluster."""
        return self._clients.is_cluster

    @property
    def where(self) -> str:
        """HOST:PORT, or several."""
        return self._clients.where

    @property
    def username(self) -> str:
        """Who we are there."""
        return self._clients.username

    async def each(self, commands: Sequence[Sequence[Any]], node: Any = None) -> list[Any]:
        """Commands, once each, and what came of each: a reply, or the error reply. Of a Cluster, at ``node``.

        Raises:
            StoreRefused: We are not let in.
            StoreUnavailable: It cannot be reached.
        """

        async def ask(client: Any) -> list[Any]:
            if node is None:
                pipe = client.pipeline(transaction=False)
                for command in commands:
                    pipe.execute_command(*command)
                found: list[Any] = await pipe.execute(raise_on_error=False)
                return found
            replies: list[Any] = []
            for command in commands:
                try:
                    replies.append(await client.execute_command(*command, target_nodes=node))
                except ResponseError as refused:
                    replies.append(refused)
            return replies

        return await self.do(ask)

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
            # Raised by redis-py, an error would have the whole command in its text.
            found: list[Any] = await pipe.execute(raise_on_error=False)
            for reply in found:
                if isinstance(reply, Exception):
                    raise reply
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
        except Exception as error:
            self.fail(error)
        finally:
            await _close(client)

    def fail(self, error: Exception, what: str = "", *, holds_values: bool = False) -> NoReturn:
        """Raise what an error means, and note it.

        Args:
            error: Of redis-py, or of our own.
            what: The kind of failure that it is; that of the reply by default.
            holds_values: What was asked may be refused for a value in it.

        Raises:
            StoreRefused, StoreUnavailable, UnstorableValue.
        """
        meant: Exception = meaning(
            error,
            where=self.where,
            user=self.username,
            is_cluster=self.is_cluster,
            is_tls=self._clients.has_tls,
            is_new=not self._has_answered,
            holds_values=holds_values,
        )
        if self.is_trusted:
            if isinstance(meant, StoreRefused):
                meant = StoreUnavailable(str(meant))
            if isinstance(meant, StoreFault):
                self.troubles.fault(str(meant), str(meant))
            elif isinstance(meant, StoreUnavailable):
                kind = what or code_and_text(error)[0]
                self.troubles.note(kind or "unreachable", str(meant), is_sure=bool(kind))
        if meant is error:
            raise error
        raise meant from error

    def _make_listener(self) -> Any:
        if not self.is_cluster:
            return self._clients.make(None)
        # What is published reaches every node of a Cluster: any will do.
        node = self.client.get_random_node()
        return self._clients.make_at(node.host, node.port, None)


async def _close(client: Any) -> None:
    """The client and, by way of its pool, the clients of the sentinels, which redis-py leaves open."""
    pool: Any = getattr(client, "connection_pool", None)
    await client.aclose()
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        await pool.disconnect()
        for sentinel in manager.sentinels:
            await sentinel.aclose()
