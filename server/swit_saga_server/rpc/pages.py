"""Pages of lists end where a message may have no more."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

from swit_saga_server.wire.thinning import NESTED

M = TypeVar("M", bound=Message)


class Page(list[M]):
    """What was listed, as far as it fits: the first of it always.

    Attributes:
        next_token: Empty on the last page.
    """

    def __init__(self, room: int, next_token: str, tokens: Sequence[str]) -> None:
        """Begin a page.

        Args:
            room: Bytes that all of it may have.
            next_token: Of the page as the store has it.
            tokens: The store's, one for each item.
        """
        super().__init__()
        self.next_token = next_token
        self._room = room
        self._tokens = tokens

    def add(self, item: M) -> bool:
        """Take the next item; False if there is no room for it, and then the page is at its end."""
        self._room -= item.ByteSize() + NESTED
        if self._room < 0 and self:
            self.next_token = self._tokens[len(self) - 1]
            return False
        self.append(item)
        return True
