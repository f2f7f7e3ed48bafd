"""What an error of redis-py means to the caller, and what a person can do about it."""

import re

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)

from swit_saga_server.core.errors import StoreRefused, StoreUnavailable

ERRORS = (TimeoutError, RedisError, RedisClusterException, OSError)
"""All that redis-py raises; of a Cluster that cannot be reached it raises what is no ``RedisError``."""

_PASSING = (
    OutOfMemoryError,
    BusyLoadingError,
    ReadOnlyError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
    MovedError,
)
_PASSING_CODES = ("MISCONF", "NOREPLICAS", "BUSY", "OOM")
"""Error replies that say nothing about the command: the server cannot take it now."""
_NO_LOGIN = ("NOAUTH", "Authentication required", "HELLO must be called with the client already authenticated")
_WRONG_LOGIN = ("WRONGPASS", "invalid username-password", "invalid password")
_CUT = ("reset by peer", "closed by server", "Connection lost")


def missing_command(error: BaseException | None) -> str:
    """The command that an error says we may not run; empty if it says something else."""
    found = re.search(r"run the '([^']+)' command", str(error)) if isinstance(error, NoPermissionError) else None
    return found[1].lower() if found else ""


def meaning(
    error: Exception, *, where: str, user: str, is_cluster: bool = False, is_tls: bool = False, is_new: bool = False
) -> Exception:
    """What to raise in place of ``error``: most say only that Redis cannot be reached now.

    Args:
        error: One of ``ERRORS``.
        where: HOST:PORT, for the message.
        user: Who we are there.
        is_cluster: A Cluster was expected there.
        is_tls: We speak TLS.
        is_new: There was no answer from there yet, so that the address may be wrong.
    """
    said = str(error)
    if any(code in said for code in _NO_LOGIN):
        return StoreRefused(
            f"Redis at {where} does not let us: it wants a password (storage.redis.password), maybe a username, too"
        )
    if isinstance(error, AuthenticationError) or any(code in said for code in _WRONG_LOGIN):
        return StoreRefused(f"Redis at {where} does not let us in as user {user!r}: {said}")
    if isinstance(error, NoPermissionError):
        command = missing_command(error)
        grant = f"; grant it: ACL SETUSER {user} +{command}" if command else ""
        return StoreRefused(f"Redis at {where} does not let us: {said}{grant}")
    refused = _wrong_place(error, said, where, user, is_cluster)
    if refused is not None:
        return refused
    passing = isinstance(error, _PASSING) or said.startswith(_PASSING_CODES)
    if isinstance(error, ResponseError) and not passing:
        return error  # A bug of ours: not to be tried again for ever.
    if isinstance(error, MasterNotFoundError):  # Its own text is a page of redis-py's objects.
        return StoreUnavailable(f"Redis: no sentinel at {where} answers with a master{_asked(said)}")
    if isinstance(error, ReadOnlyError):
        return StoreUnavailable(
            f"Redis at {where} is a read-only replica (ReadOnlyError): give its master's address, or the sentinels'"
        )
    hint = _tls_hint(error, said, is_tls) if is_new else ""
    return StoreUnavailable(f"Redis at {where}: {type(error).__name__}: {said}{hint}")


def _asked(said: str) -> str:
    found = re.search(r"No master found for ('[^']*')", said)
    return f" called {found[1]}" if found else ""


def _wrong_place(error: Exception, said: str, where: str, user: str, is_cluster: bool) -> StoreRefused | None:
    """What no patience changes: another kind of Redis than we were told."""
    if "DB index is out of range" in said:
        return StoreRefused(f"Redis at {where} has no database of that number: see storage.redis.db, or the URL's end")
    if is_cluster:
        # redis-py says so of a user who may not ask, too.
        if "Cluster mode is not enabled" in said:
            return StoreRefused(
                f"Redis at {where} is not a Cluster (then use redis://), or user {user!r} may not ask about it: "
                f"ACL SETUSER {user} +cluster|slots"
            )
    elif isinstance(error, MovedError) or "SELECT is not allowed in cluster mode" in said:
        return StoreRefused(f"Redis at {where} is a Cluster: use redis+cluster://")
    return None


def _tls_hint(error: Exception, said: str, is_tls: bool) -> str:
    if not is_tls:
        return " (if it speaks TLS: storage.redis.tls, or rediss://)" if any(c in said for c in _CUT) else ""
    if "certificate verify failed" in said:
        return " (storage.redis.ca_file names the authority; the certificate must name the host)"
    if "alert" in said or any(c in said for c in _CUT):
        return " (if it wants to know its clients: storage.redis.cert_file and key_file)"
    silent = isinstance(error, TimeoutError) or "imeout" in said or "WRONG_VERSION_NUMBER" in said
    return " (if it does not speak TLS: redis://)" if silent else ""
