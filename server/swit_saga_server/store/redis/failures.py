"""What an error of redis-py means to the caller, and what a person can do about it."""

import re

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import DataError, RedisClusterException, RedisError, ResponseError

from swit_saga_server.core.errors import StoreFault, StoreRefused, StoreUnavailable, SwitSagaError, UnstorableValue
from swit_saga_server.store.redis.refusals import Meaning, code_and_text, meaning_of

_UNREACHABLE = (TimeoutError, RedisError, RedisClusterException, OSError, EOFError)
"""All that redis-py raises of a server that does not answer; of a Cluster it raises what is no ``RedisError``."""
_UNENCODABLE = (UnicodeError, OverflowError, DataError)
_CUT = ("reset by peer", "closed by server", "Connection lost")
_NO_LOGIN = "it wants a password (storage.redis.password), maybe a username, too"


def missing_command(error: BaseException | None) -> str:
    """The command that an error says we may not run; empty if it says something else."""
    if not isinstance(error, ResponseError) or code_and_text(error)[0] != "NOPERM":
        return ""
    found = re.search(r"run the \\?'([^'\\]+)\\?' command", str(error))
    return found[1].lower() if found else ""


def meaning(
    error: Exception,
    *,
    where: str,
    user: str,
    is_cluster: bool = False,
    is_tls: bool = False,
    is_new: bool = False,
    holds_values: bool = False,
) -> SwitSagaError:
    """What to raise in place of ``error``, whatever it is: most say only that Redis cannot be reached now.

    ``StoreUnavailable`` may be tried again, ``StoreRefused`` needs a person first, ``UnstorableValue`` is of no use
    ever, and ``StoreFault`` should not be.

    Args:
        error: Whatever calling redis-py raised.
        where: HOST:PORT, for the message.
        user: Who we are there.
        is_cluster: A Cluster was expected there.
        is_tls: We speak TLS.
        holds_values: A caller's values were sent: if one is refused, it is the value's fault, and not ours.
        is_new: There was no answer from there yet, so that the address may be wrong.
    """
    if isinstance(error, SwitSagaError):
        return error
    if isinstance(error, _UNENCODABLE):
        return UnstorableValue(message=f"Redis cannot hold it: {type(error).__name__}: {error}")
    code, said = code_and_text(error)
    at = f"Redis at {where}"
    if (not is_cluster and code == "MOVED") or code == "CLUSTER":
        return StoreRefused(f"{at} is a Cluster: use redis+cluster://")
    if code == "NO_CLUSTER" and is_cluster:
        # redis-py says so of a user who may not ask, too.
        return StoreRefused(
            f"{at} is not a Cluster (then use redis://), or user {user!r} may not ask about it: "
            f"ACL SETUSER {user} +cluster|slots"
        )
    if isinstance(error, MasterNotFoundError):  # Its own text is a page of redis-py's objects.
        return StoreUnavailable(f"Redis: no sentinel at {where} answers with a master{_asked(said)}")
    if not code:
        if isinstance(error, _UNREACHABLE):
            hint = _tls_hint(error, said, is_tls) if is_new else ""
            return StoreUnavailable(f"{at}: {type(error).__name__}: {said}{hint}")
        return StoreFault(f"{at}: {type(error).__name__}: {said}")
    kind, advice = meaning_of(code)
    text = f"{at}: {type(error).__name__}: {said}" + (f" ({advice})" if advice else "")
    match kind:
        case Meaning.OUTAGE if code == "READONLY":
            return StoreUnavailable(f"{at} is a read-only replica (ReadOnlyError): {advice}")
        case Meaning.OUTAGE:
            return StoreUnavailable(text)
        case Meaning.SETTING:
            return StoreRefused(_needed(error, code, said, at, user, advice))
        case Meaning.VALUE if holds_values:
            return UnstorableValue(message=text)
        case Meaning.VALUE | Meaning.FAULT:
            return StoreFault(text)


def _needed(error: Exception, code: str, said: str, at: str, user: str, advice: str) -> str:
    match code:
        case "NOAUTH":
            return f"{at} does not let us: {_NO_LOGIN}"
        case "WRONGPASS":
            return f"{at} does not let us in as user {user!r}: {said}"
        case "NOPERM":
            command = missing_command(error)
            return f"{at} does not let us: {said}" + (f"; grant it: ACL SETUSER {user} +{command}" if command else "")
        case "COMMAND":
            return f"{at} does not know a command that the coordinator needs (renamed, or taken away): {said}"
        case "DATABASE":
            return f"{at} has no database of that number: see storage.redis.db, or the URL's end"
        case _:
            return f"{at}: {said}" + (f" ({advice})" if advice else "")


def _asked(said: str) -> str:
    found = re.search(r"No master found for ('[^']*')", said)
    return f" called {found[1]}" if found else ""


def _tls_hint(error: Exception, said: str, is_tls: bool) -> str:
    if not is_tls:
        return " (if it speaks TLS: storage.redis.tls, or rediss://)" if any(c in said for c in _CUT) else ""
    if "certificate verify failed" in said:
        return " (storage.redis.ca_file names the authority; the certificate must name the host)"
    if "alert" in said or any(c in said for c in _CUT):
        return " (if it wants to know its clients: storage.redis.cert_file and key_file)"
    silent = isinstance(error, TimeoutError) or "imeout" in said or "WRONG_VERSION_NUMBER" in said
    return " (if it does not speak TLS: redis://)" if silent else ""
