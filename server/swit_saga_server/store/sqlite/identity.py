"""Which file a store has open, by device and inode: whatever it is called, and whatever becomes of its name.

A file that was deleted, moved or replaced is written on by whoever has it open, and nobody will ever read that again.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_open_here: set[tuple[int, int]] = set()
"""Files that this process holds. Opening one of these a second time, and closing it, would drop SQLite's own locks."""


@dataclass(slots=True)
class _Part:
    """One of the files that belong together.

    Attributes:
        key: Device and inode.
        size: The largest that was seen: none of them ever shrinks while it is open.
    """

    path: Path
    key: tuple[int, int]
    size: int


class Held(Exception):
    """Another process, or another store of this one, has the file."""


class Orphaned(Exception):
    """There is a write-ahead log, which may hold what was acknowledged, and no file that it belongs to."""


class FileIdentity:
    """One database file, held for as long as it is open."""

    def __init__(self, path: str) -> None:
        """Take it, creating it if need be. Its symbolic links are resolved now: the log stands beside the file itself.

        Raises:
            Held: Another has it, by whatever name.
            Orphaned: Its log is there, and it is not.
            OSError: It cannot be opened for writing.
        """
        self.named = Path(path).absolute()
        self.real = Path(os.path.realpath(path))
        self._fds: list[int] = []
        self._parts: list[_Part] = []
        self._key = (0, 0)
        try:
            # Beside the file, for coordinators of before that know of no other lock.
            self._lock(f"{self.real}-lock", os.O_APPEND | os.O_WRONLY)
            log = Path(f"{self.real}-wal")
            if (not self.real.exists() or not self.real.stat().st_size) and log.exists() and log.stat().st_size:
                raise Orphaned(log)
            if self.real.exists() and _key(os.stat(self.real)) in _open_here:
                raise Held
            fd = self._lock(str(self.real), os.O_RDWR)
        except BaseException:
            self.close()
            raise
        self._key = _key(os.fstat(fd))
        _open_here.add(self._key)

    @property
    def names(self) -> int:
        """How many names the file has: hard links."""
        return os.fstat(self._fds[-1]).st_nlink

    def _lock(self, path: str, flags: int) -> int:
        fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._fds.append(fd)
        try:
            # The system lets go of it when this process dies, however it dies.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise Held from held
        return fd

    def watch(self) -> None:
        """SQLite has all its files now: from here on they must stay what they are."""
        self._parts = []
        for path in (self.real, Path(f"{self.real}-wal"), Path(f"{self.real}-shm")):
            found = os.stat(path)
            self._parts.append(_Part(path, _key(found), found.st_size))

    def what_is_wrong(self) -> str:
        """Why nothing that is written now would be found again; empty if it would be."""
        for part in self._parts:
            try:
                found = os.stat(part.path)
            except OSError as gone:
                return f"{part.path} is gone ({gone.strerror})"
            if _key(found) != part.key:
                return f"{part.path} was replaced by another file"
            if found.st_size < part.size and not part.path.name.endswith("-shm"):
                return f"{part.path} was cut off from {part.size} to {found.st_size} bytes"
            part.size = found.st_size
        try:
            if self._parts and _key(os.stat(self.named)) != self._key:
                return f"{self.named} is another file now"
        except OSError as gone:
            return f"{self.named} is gone ({gone.strerror})"
        return ""

    def close(self) -> None:
        """Let go of it; only once SQLite has. Safe to call twice."""
        while self._fds:
            os.close(self._fds.pop())
        _open_here.discard(self._key)


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
