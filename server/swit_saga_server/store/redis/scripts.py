"""The scripts, by name, and how durable what they wrote is."""

from collections.abc import Sequence
from typing import Any

from swit_saga_server.store.redis.checks import Confirmation
from swit_saga_server.store.redis.connection import RedisConnection
from swit_saga_server.store.redis.script import Script

NAMES = ("round", "reply", "lease", "post", "delete", "register", "claim")


class Scripts:
    """Runs scripts; once each, see ``RedisConnection.run``.

    Attributes:
        confirmation: How ``run_durably`` knows that what it wrote is durable; None if the script's reply is enough.
    """

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._scripts = {name: Script(name) for name in NAMES}
        self.confirmation: Confirmation | None = None

    def prepare(self, version: tuple[int, ...], confirmation: Confirmation | None) -> None:
        """Fit them to a server.

        Args:
            version: Of Redis.
            confirmation: How ``run_durably`` knows that what was written is as durable as asked for; None if the
                script's reply is enough.
        """
        self.confirmation = confirmation
        for script in self._scripts.values():
            script.use_header(with_header=version >= (7, 0))

    async def run(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run it.

        Raises:
            StoreUnavailable: Whether it ran is unknown.
        """
        return await self._redis.run(self._scripts[name], keys, *arguments)

    async def run_with_values(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run it with what a caller made among its arguments.

        Raises:
            StoreUnavailable: Whether it ran is unknown.
            UnstorableValue: It can never be run with these.
        """
        return await self._redis.run(self._scripts[name], keys, *arguments, holds_values=True)

    async def run_durably(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """As ``run_with_values``, and return when what it wrote is as durable as asked for.

        Raises:
            StoreUnavailable: Whether it ran, or is durable, is unknown.
            UnstorableValue.
        """
        confirm = self.confirmation
        if confirm is None:
            return await self.run_with_values(name, keys, *arguments)
        return await self._redis.run_confirmed(self._scripts[name], keys, arguments, confirm.command, confirm.wanted)
