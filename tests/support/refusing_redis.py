"""A link to Redis that answers chosen commands itself, with an error of one's choice; the rest goes through."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tests.support.link import Filter, Link

Refuse: TypeAlias = Callable[[Sequence[bytes]], str | None]
"""Given a command, the error that answers it in the server's place; None lets it through."""

LOGIN = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING")
_PING = b"*1\r\n$4\r\nPING\r\n"


def everything(error: str, *, login: bool = False) -> Refuse:
    """Refuse all; what makes a connection only if ``login``."""
    return lambda command: None if command[0].upper() in LOGIN and not login else error


def only(error: str, *names: str) -> Refuse:
    """Refuse these commands."""
    return lambda command: error if command[0].decode().upper() in names else None


def nothing(command: Sequence[bytes]) -> str | None:
    """Let everything through."""
    return None


class RefusingLink(Link):
    """See the module.

    Attributes:
        refuse: Looks at every command.
        refused: How many of each were answered here.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target, make_both=self._both)
        self.refuse: Refuse = nothing
        self.refused: Counter[str] = Counter()

    def _both(self) -> tuple[Filter, Filter]:
        asked: deque[str | None] = deque()
        up, down = bytearray(), bytearray()

        def ask(data: bytes) -> tuple[bytes, bool]:
            up.extend(data)
            out = bytearray()
            while (end := _end(up, 0)) is not None:
                command, error = _strings(up[:end]), None
                error = self.refuse(command)
                asked.append(error)
                if error is not None:
                    self.refused[command[0].decode().upper()] += 1
                out += _PING if error is not None else up[:end]
                del up[:end]
            return bytes(out), False

        def answer(data: bytes) -> tuple[bytes, bool]:
            down.extend(data)
            out = bytearray()
            while (end := _end(down, 0)) is not None:
                reply = bytes(down[:end])
                del down[:end]
                is_pushed = reply[:1] == b">"
                if is_pushed and not _answers_a_subscribe(reply):
                    out += reply
                    continue
                error = asked.popleft() if asked else None
                out += reply if error is None else f"-{error}\r\n".encode()
            return bytes(out), False

        return ask, answer


def _answers_a_subscribe(reply: bytes) -> bool:
    return b"subscribe\r\n" in reply[:32]


def _end(data: bytearray, at: int) -> int | None:
    """Where the value that begins at ``at`` ends; None if it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, number, end = bytes(data[at : at + 1]), bytes(data[at + 1 : line]), line + 2
    if kind in (b"$", b"=", b"!"):
        if int(number) < 0:
            return end
        end += int(number) + 2
        return end if len(data) >= end else None
    if kind in (b"*", b"~", b">", b"%"):
        inner: int | None = end
        for _ in range(max(int(number), 0) * (2 if kind == b"%" else 1)):
            inner = _end(data, inner) if inner is not None else None
        return inner
    return end


def _strings(command: bytearray) -> list[bytes]:
    """The words of a command, an array of strings."""
    words, at = [], command.find(b"\r\n") + 2
    while at < len(command):
        line = command.find(b"\r\n", at)
        length = int(command[at + 1 : line])
        words.append(bytes(command[line + 2 : line + 2 + length]))
        at = line + 2 + length + 2
    return words
