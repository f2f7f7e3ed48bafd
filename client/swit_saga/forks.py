"""What a process may still use that was forked off another one: nothing whose threads and connections stayed there.

Of gRPC's asyncio side there is one in a process, so who used it first is kept here, for the process.
"""

import os

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


_ASYNCIO_SIDE = Home()


def enter_grpc_with_asyncio() -> None:
    """To be called before anything of ``grpc.aio`` is made. What another process did with it cannot be mended here.

    Raises:
        ForkedError: It was used before this process was forked off.
    """
    if _ASYNCIO_SIDE.is_elsewhere:
        # It would not only wait for ever: the process may crash.
        raise ForkedError(
            "gRPC was used with asyncio before this process was forked off, and cannot be used with asyncio in here; "
            "fork before the first call and before a participant serves, or use SagaClient"
        )
    _ASYNCIO_SIDE.enter("gRPC")
