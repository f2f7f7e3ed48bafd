"""Every refusal that Redis can give, as data: what its code or its words mean for whoever asked.

The code is the first word of an error reply. redis-py takes most codes off and puts the text of a pipeline around them,
and Redis puts that of a script around those of its commands; ``code_and_text`` finds them again.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)


class Meaning(StrEnum):
    """What a refusal says."""

    OUTAGE = "outage"
    """Nothing about the command: the server cannot take it now. It is asked again."""
    SETTING = "setting"
    """A right or a setting is missing; somebody must give it. At the start it ends the coordinator, later it waits."""
    VALUE = "value"
    """This one command can never be taken for what is in it."""
    FAULT = "fault"
    """It should not be: a mistake of ours, or of somebody who wrote into our keys."""


CODES: Mapping[str, tuple[Meaning, str]] = {
    "LOADING": (Meaning.OUTAGE, "it loads its data"),
    "BUSY": (Meaning.OUTAGE, "a script keeps it busy (SCRIPT KILL ends one that wrote nothing)"),
    "MASTERDOWN": (Meaning.OUTAGE, "it is a replica without its master"),
    "READONLY": (Meaning.OUTAGE, "give its master's address, or the sentinels'"),
    "OOM": (Meaning.OUTAGE, "its memory is full: raise maxmemory, or make room"),
    "MISCONF": (Meaning.OUTAGE, "it cannot write to its disk: mend that, its log says why"),
    "NOREPLICAS": (Meaning.OUTAGE, "fewer replicas follow it than min-replicas-to-write asks for"),
    "CLUSTERDOWN": (Meaning.OUTAGE, "its Cluster does not cover all slots"),
    "MOVED": (Meaning.OUTAGE, "the Cluster is moving slots"),
    "ASK": (Meaning.OUTAGE, "the Cluster is moving slots"),
    "TRYAGAIN": (Meaning.OUTAGE, "the Cluster is moving slots"),
    "NOSCRIPT": (Meaning.OUTAGE, "it forgets scripts as soon as it has them"),
    "EXECABORT": (Meaning.OUTAGE, "it took no transaction"),
    "UNKILLABLE": (Meaning.OUTAGE, "a script that has written keeps it busy"),
    "NOTBUSY": (Meaning.OUTAGE, ""),
    "INPROG": (Meaning.OUTAGE, "a failover is under way"),
    "NOGOODSLAVE": (Meaning.OUTAGE, "there is no replica to fail over to"),
    "NOMASTERLINK": (Meaning.OUTAGE, "it is a replica without its master"),
    "NOQUORUM": (Meaning.OUTAGE, "too few sentinels are there"),
    "UNBLOCKED": (Meaning.OUTAGE, "it changed its role"),
    "IOERR": (Meaning.OUTAGE, "it cannot reach another node"),
    "NOAUTH": (Meaning.SETTING, ""),
    "WRONGPASS": (Meaning.SETTING, ""),
    "NOPERM": (Meaning.SETTING, ""),
    "DENIED": (Meaning.SETTING, "it is in protected mode: give it a password, and the coordinator with it"),
    "NOPROTO": (Meaning.SETTING, "it does not speak the version of the protocol that was asked for"),
    "CROSSSLOT": (Meaning.FAULT, ""),
    "WRONGTYPE": (Meaning.FAULT, "somebody else wrote into our keys: storage.key_prefix must be the coordinators' own"),
    "BUSYGROUP": (Meaning.FAULT, ""),
    "BUSYKEY": (Meaning.FAULT, ""),
    "NOGROUP": (Meaning.FAULT, ""),
}
"""What each code means, and what is to be said of it."""

_WORDS: tuple[tuple[str, str], ...] = (
    (r"max number of clients", "CLIENTS"),
    (r"HELLO must be called with the client already authenticated|Authentication required", "NOAUTH"),
    (r"invalid username-password|invalid password|without any password configured", "WRONGPASS"),
    (r"can't run this command|ACL failure in script|no permissions to|can't access at least one", "NOPERM"),
    (r"unknown (sub)?command|Unknown Redis command|Invalid command passed to|not allowed from script", "COMMAND"),
    (r"DB index is out of range", "DATABASE"),
    (r"SELECT is not allowed in cluster mode", "CLUSTER"),
    (r"cluster support disabled|Cluster mode is not enabled", "NO_CLUSTER"),
    (r"WAITAOF cannot be used when", "APPENDONLY"),
    (r"WAIT(AOF)? cannot be used with replica", "READONLY"),
    (r"[Ss]cript killed by user|SCRIPT KILL", "BUSY"),
    (r"used memory > 'maxmemory'", "OOM"),
    (r"not a valid float|not an integer or out of range|would overflow|exceeds maximum|too big"
     r"|too many results to unpack|invalid bulk length|invalid multibulk length|Protocol error", "VALUE"),
)  # fmt: skip
"""Words of replies whose code is the ``ERR`` that says nothing, and the code of ours that they stand for."""

OWN_CODES: Mapping[str, tuple[Meaning, str]] = {
    "CLIENTS": (Meaning.OUTAGE, "it has as many clients as it takes: raise its maxclients"),
    "COMMAND": (Meaning.SETTING, ""),
    "DATABASE": (Meaning.SETTING, ""),
    "CLUSTER": (Meaning.SETTING, ""),
    "NO_CLUSTER": (Meaning.SETTING, ""),
    "APPENDONLY": (Meaning.SETTING, "durability 'fsync' needs appendonly yes"),
    "VALUE": (Meaning.VALUE, ""),
}

_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (BusyLoadingError, "LOADING"),
    (NoPermissionError, "NOPERM"),
    (NoScriptError, "NOSCRIPT"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (TryAgainError, "TRYAGAIN"),
    (MovedError, "MOVED"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (ClusterCrossSlotError, "CROSSSLOT"),
)
_OF_A_PIPELINE = re.compile(r"^Command # \d+ \(.*?\) of pipeline caused error: (.*)$", re.S)
_OF_A_SCRIPT = re.compile(r"(?:user_script|Error running script)[^-]*?: -?([A-Z]{2,}) ")


def code_and_text(error: Exception) -> tuple[str, str]:
    """The code of an error reply, ours where Redis has none that says something; and the reply, unwrapped.

    The code is ``ERR`` if the words say nothing either, and empty if the error is no reply of a server.
    """
    said = str(error)
    if (wrapped := _OF_A_PIPELINE.match(said)) is not None:
        said = wrapped[1]
    by_class = next((code for kind, code in _BY_CLASS if isinstance(error, kind)), "")
    given = by_class or getattr(error, "status_code", None) or ""
    first = said.removeprefix("('").removeprefix('("').split(" ", 1)[0].removeprefix("-")
    if not given and first in CODES:
        given = first
    if not given or given == "ERR":
        inner = _OF_A_SCRIPT.search(said)  # Before 7.0 a script's failure is ERR, whatever its command failed with.
        if inner is not None and inner[1] in CODES:
            return inner[1], said
        for words, code in _WORDS:
            if re.search(words, said):
                return code, said
    if not given and isinstance(error, AuthenticationError):
        return "WRONGPASS", said
    if not given and isinstance(error, ResponseError):
        return (first if re.fullmatch(r"[A-Z]{3,}", first) else "ERR"), said
    return given, said


def meaning_of(code: str) -> tuple[Meaning, str]:
    """What a code means, and what is to be said of it; a code that nobody knows is a fault."""
    return CODES.get(code) or OWN_CODES.get(code) or (Meaning.FAULT, "")
