"""What the tests of RPCs share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis_server import RedisServer, running


@pytest.fixture(params=["sqlite", "redis"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The section of the configuration, of each store in turn; SQLite's has a ``connection``."""
    if request.param == "sqlite":
        yield {"connection": str(tmp_path / "saga.db")}
        return
    with running(RedisServer(tmp_path / "redis")) as redis:
        yield {"type": "redis", "redis": {"address": f"127.0.0.1:{redis.port}"}}
