"""What a process may still use that was forked off another one: nothing whose threads and connections stayed there.

Of gRPC's asyncio side there is one in a process, so who used it first is kept here, for the process.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

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


def end_child(error: BaseException | None) -> NoReturn:
    """End a process that code of the user's forked off and left to run on into this program's own: a second one of it
    on the same connections would take its commands and answer with it.

    Args:
        error: What that code raised; after ``SystemExit`` the process has its code.
    """
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or type(error.code) is int):
        code = error.code or 0
    elif isinstance(error, SystemExit):
        with suppress(BaseException):
            print(error.code, file=sys.stderr)
    elif error is not None:
        with suppress(BaseException):
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code & 0xFF)


def give_children_their_signals(handlers: Mapping[int, Any]) -> None:
    """From now on a process that is forked off this one has these handlers of signals, and not the event loop's.

    With those, a signal to the child, such as that by which a ``multiprocessing.Pool`` ends its workers, would not end
    it, and would be written into the pipe that it shares with this process's event loop: it would end this one.
    """
    process = os.getpid()
    if _SIGNALS.get("of") == process:
        return
    _SIGNALS["of"] = process
    masks: dict[int, set[int]] = {}  # By thread: several may fork.

    def before() -> None:
        # None may come to the child as long as it has the event loop's.
        if os.getpid() == process:
            masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)

    def restore() -> None:
        mask = masks.pop(threading.get_ident(), None)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def in_child() -> None:
        if threading.get_ident() in masks:
            with suppress(ValueError, OSError):
                signal.set_wakeup_fd(-1)
                for number, handler in handlers.items():
                    signal.signal(number, signal.SIG_DFL if handler is None else handler)
        restore()

    os.register_at_fork(before=before, after_in_parent=restore, after_in_child=in_child)


_SIGNALS: dict[str, int] = {}
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
