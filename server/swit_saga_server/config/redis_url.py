"""A URL of Redis, taken apart strictly. What is wrong with one is said without repeating what may be a password."""

import re
from dataclasses import dataclass

from swit_saga.addresses import host_port
from swit_saga_server.store.redis.clients import SCHEMES

_URL = re.compile(
    r"(?P<scheme>[^:/?#@]*)://(?:(?P<login>[^/?#\[\]]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_QUERY = re.compile(r"\?(?:sentinel_(?:username|password)=[^&=#?/]*(?:&|\Z))*")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What can be shown of a URL.

    Attributes:
        where: SCHEME://HOST:PORT,…/PATH, without any password.
    """

    where: str


def is_url_like(text: str) -> bool:
    """Whether it was meant as a URL rather than as a file's path."""
    return "://" in text or re.match(r"(?i)(?:rediss?|https?|file|sqlite|postgres(?:ql)?)\S*?:", text) is not None


def check_redis_url(text: str) -> RedisUrl:
    """Read a URL as ``storage.connection`` may have it.

    Raises:
        ValueError: It is none; the message says what is wrong, and repeats nothing of it.
    """
    if not text.isprintable() or any(c.isspace() for c in text):
        raise ValueError("has a space or a control character in it")
    found = _URL.fullmatch(text)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme not in SCHEMES:
        raise ValueError(f"must be a URL of Redis that begins with one of {', '.join(f'{s}://' for s in SCHEMES)}")
    if found is None:
        raise ValueError(
            "is no URL of Redis: write redis://USER:PASSWORD@HOST:PORT/DB, and in user and password %23 for '#', "
            "%2F for '/', %3F for '?', %40 for '@', %5B and %5D for brackets"
        )
    kind, hosts, path = scheme.partition("+")[2], found["hosts"].split(","), (found["path"] or "").strip("/")
    if found["login"] and re.search(r"%(?![0-9A-Fa-f]{2})", found["login"]):
        raise ValueError("has a '%' in user or password that stands for nothing; write %25")
    if len(hosts) > 1 and not kind:
        raise ValueError("names several hosts; that is for redis+sentinel:// and redis+cluster://")
    for host in hosts:
        try:
            host_port(host if re.search(r":[^\]]*\Z", host) else f"{host}:6379", port_from=1)
        except ValueError:
            raise ValueError(
                "has a host that is not HOST:PORT; in user and password write %23 for '#', %2F for '/', %3F for '?'"
            ) from None
    if found["query"] and not (kind == "sentinel" and _QUERY.fullmatch(found["query"])):
        raise ValueError("has something behind a '?' that is not known; in a password write %3F")
    if kind == "sentinel" and not path:
        raise ValueError("must name the service: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB")
    number = path.partition("/")[2] if kind == "sentinel" else path
    if number and not re.fullmatch(r"[0-9]{1,6}", number):
        raise ValueError("must end with the number of a database")
    return RedisUrl(f"{scheme}://{found['hosts']}{found['path'] or ''}")
