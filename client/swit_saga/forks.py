"""What a process may still use that was forked off another one: nothing whose threads and connections stayed there.

Of gRPC's asyncio side there is one in a process, so whether it was in use when the process was forked is kept here, for
the process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from swit_saga.errors import ForkedError


class Home:
    """The process that something belongs to: the one which uses it first."""

    def __init__(self) -> None:
        self._process = 0

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process has used it before this one was forked off."""
        return self._process not in (0, os.getpid())

    def enter(self, what: str) -> None:
        """To be called before each use of ``what``.

        Raises:
            ForkedError: It is another process's.
        """
        process = os.getpid()
        if self._process != process:
            if self._process:
                raise ForkedError(f"{what} was used before this process was forked off; make another one in here")
            self._process = process


class _AsyncioSide:
    """Whether gRPC's asyncio side is in use, as far as this package knows."""

    def __init__(self) -> None:
        self._process = 0
        self._users = 0

    def open(self) -> None:
        process = os.getpid()
        if self._process != process:
            if self._users:
                # It would not wait for ever, or not only: the process may crash.
                raise ForkedError(
                    "gRPC was in use with asyncio when this process was forked off, and cannot be used with asyncio "
                    "here; fork before the first call, close clients and participants before, or use SagaClient"
                )
            self._process = process
        self._users += 1

    def close(self) -> None:
        if self._process == os.getpid():
            self._users -= 1


_side = _AsyncioSide()


@contextmanager
def grpc_with_asyncio() -> Iterator[None]:
    """Around any use of ``grpc.aio``, from before its first object is made until after all are closed.

    Raises:
        ForkedError: It was in use when this process was forked off.
    """
    _side.open()
    try:
        yield
    finally:
        _side.close()
