"""Which process this is among all that may share a store, and whether another one, of this machine, still lives."""

import os
import secrets
import socket
from pathlib import Path

_SEPARATOR = "/"


def this_instance() -> str:
    """Unique to one coordinator in one process; begins with HOST/PID, for people."""
    return _SEPARATOR.join((socket.gethostname(), str(os.getpid()), *_place(os.getpid()), secrets.token_hex(4)))


def is_gone(instance: str) -> bool:
    """Whether that one certainly lives no more. Of another machine or container nobody can tell: then it is False."""
    host, pid, boot, space, *born = [*instance.split(_SEPARATOR), "", "", "", ""][:5]
    here = _place(os.getpid())
    if not pid.isdecimal() or host != socket.gethostname() or not all(here) or (boot, space) != here[:2]:
        return False
    return _born(int(pid)) != born[0]


def shown(instance: str) -> str:
    """HOST and PID in words."""
    host, _, rest = instance.partition(_SEPARATOR)
    return f"process {rest.partition(_SEPARATOR)[0]} on {host}"


def _place(pid: int) -> tuple[str, str, str]:
    """The machine's boot, the space in which PIDs count, and when the process began; empty where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "", "", ""
    return boot, space, _born(pid)


def _born(pid: int) -> str:
    """In ticks since the machine's start: a PID may be given again. Empty if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]  # Nobody took in yet how a zombie ended; it is dead.
