"""What a handler raised, told so that telling cannot fail: an exception's own code may raise anything, too."""

import asyncio
import concurrent.futures
import dis
import functools
import os
import signal
import traceback
import types
from pathlib import Path
from typing import Any

from swit_saga.errors import Portable

MESSAGE_TEXT, TRACE_TEXT = 500, 3_000
"""Characters of an exception and of its traceback that are passed on."""


_CALLING = tuple(f"{Path(file).parent}{os.sep}" for file in (__file__, asyncio.__file__, concurrent.futures.__file__))
"""Where the code lies that calls handlers; its places in a traceback tell nobody anything."""


class TooLate(Portable):
    """The command came after its not-after time; nothing was started. Means *unknown* to the coordinator."""


class HandlerCancelled(Portable):
    """The handler was cancelled from within; how far it came is not known. Means *unknown* to the coordinator."""

    def __init__(self, action: str) -> None:
        super().__init__(f"the handler of {action!r} was cancelled from within")


class HandlerStopped(Portable):
    """The handler raised what would have ended the program, such as SystemExit. Means *unknown* to the coordinator."""

    def __init__(self, action: str, raised: BaseException) -> None:
        super().__init__(f"the handler of {action!r} raised {describe(raised)}")


def describe(error: BaseException) -> str:
    """``ValueError: broken``; the class alone where the exception cannot say what it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as broken:
        return f"{type(error).__name__}: (its text cannot be had: {type(broken).__name__})"


def trace_of(error: BaseException) -> str:
    """The traceback as text, from the handler on; where that cannot be made, the places without words."""
    try:
        return "".join(traceback.format_exception(type(error), error, _from_the_handler(error)))
    except BaseException:
        try:
            return "".join([*traceback.format_tb(_from_the_handler(error)), describe(error), "\n"])
        except BaseException:
            return describe(error)


def _from_the_handler(error: BaseException) -> types.TracebackType | None:
    """The places without those that only lead to the handler; all of them if there are no others."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename.startswith(_CALLING):
        place = place.tb_next
    return place or error.__traceback__


def writable(text: str) -> str:
    """Protobuf takes no lone surrogates, such as file names can hold."""
    return text.encode(errors="backslashreplace").decode()


def is_signalled(error: BaseException) -> bool:
    """Whether a signal to this process raised it, such as Ctrl-C, and not the code that happened to run."""
    if not isinstance(error, KeyboardInterrupt | SystemExit):
        return False
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code in handlers:
            return True
        if place.tb_next is None and isinstance(error, KeyboardInterrupt):
            return signal.getsignal(signal.SIGINT) is signal.default_int_handler and not _raises(place)
        place = place.tb_next
    return False


def _code(handler: Any) -> types.CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return getattr(getattr(handler, "__func__", handler), "__code__", None)


def _raises(place: types.TracebackType) -> bool:
    """Whether the line raised it by a ``raise``: Python's own Ctrl-C comes between any two instructions."""
    code = place.tb_frame.f_code.co_code
    return 0 <= place.tb_lasti < len(code) and code[place.tb_lasti] == dis.opmap["RAISE_VARARGS"]
