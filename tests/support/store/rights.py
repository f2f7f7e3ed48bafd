"""The user whose rights docs/configuration.md gives: the suites run as it, so what is documented is enough."""

import re
from pathlib import Path

from redis import Redis

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def documented_rights() -> list[str]:
    """The rules of the documented ``ACL SETUSER``, for keys and channels that begin with ``t``."""
    found = re.search(r"```\nACL SETUSER saga (.*?)\n```", DOCUMENT.read_text(), re.S)
    assert found, "the rights are not documented"
    return found[1].replace("swit-saga:*", "t*").split()


def documented_extras() -> list[str]:
    """What a Cluster needs beyond."""
    found = re.search(r"On a Cluster \(on every node\) it also needs `([^`]*)`", DOCUMENT.read_text())
    assert found
    return found[1].split()


def set_user(port: int, *more: str, name: str = "saga") -> None:
    """Make the documented user on a running server."""
    with Redis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", name, "reset", *documented_rights(), *more)
