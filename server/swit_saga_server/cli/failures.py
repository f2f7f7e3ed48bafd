"""What went wrong, in words and as an exit code: the one translator of exceptions for all commands."""

import traceback
from dataclasses import dataclass

import grpc
import typer

from swit_saga.errors import CallError, SagaClientError, TimedOutError, UnavailableError
from swit_saga_server.cli.definition_file import BadDefinitions
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.inputs import Unusable, reason_of
from swit_saga_server.cli.screen import shown
from swit_saga_server.core.errors import NameTaken, SwitSagaError

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""The root of what is wrong with a command line, of whichever click typer uses."""

INTERNAL = "INTERNAL"
"""The reason of what the coordinator did not raise on purpose."""
WORDS = {
    grpc.StatusCode.UNIMPLEMENTED: "what answers there does not know this call: it is no coordinator, or an older one",
    grpc.StatusCode.UNAUTHENTICATED: "what answers there wants to know who you are",
    grpc.StatusCode.PERMISSION_DENIED: "what answers there does not let you do this",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the answer, or the request, is larger than a message may be",
    grpc.StatusCode.CANCELLED: "the call was cut off on its way",
    grpc.StatusCode.INVALID_ARGUMENT: "what answers there could not read the request",
}
"""Refusals that the coordinator gave no reason for: they come from gRPC, or from something in between."""
OTHERWISE = "the call failed on its way, or what answers there is no coordinator"


class Unreachable(Exception):
    """The coordinator could not be reached or did not answer in time; the message says which."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a command ends.

    Attributes:
        code: Its exit code.
        lines: For people, what happened: data in them is shown as such. Empty if there is nothing to say.
        expected: False for what can only be a mistake of the program's own.
        is_help: The lines are a command's help, and nothing went wrong that needs words.
    """

    code: int
    lines: tuple[str, ...] = ()
    expected: bool = True
    is_help: bool = False


def failure_of(error: BaseException) -> Failure:
    """What an exception comes to."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case KeyboardInterrupt() | typer.Abort():
            return Failure(Exit.INTERRUPTED)
        case BrokenPipeError():
            return Failure(Exit.NOBODY_READS)
        case UsageError():
            return _usage(error)
        case BadDefinitions():
            return Failure(Exit.FAILED, (*map(shown, error.lines), "nothing was registered"))
        case Unusable():
            return Failure(Exit.USAGE, (shown(str(error)),))
        case UnicodeEncodeError():
            return Failure(Exit.USAGE, (f"{shown(repr(error.object))} is not text: it holds bytes that are not UTF-8",))
        case Unreachable():
            return Failure(Exit.UNREACHABLE, (shown(str(error)),))
        case CallError():
            late = isinstance(error, UnavailableError | TimedOutError)
            return Failure(Exit.UNREACHABLE if late else Exit.FAILED, (shown(call_words(error)),))
        case NameTaken():
            return Failure(Exit.USAGE, (shown(str(error)),))
        case SwitSagaError() | SagaClientError():
            # These say several things on lines of their own.
            return Failure(Exit.FAILED, tuple(map(shown, str(error).split("\n"))))
        case OSError():
            name = f"{error.filename}: " if error.filename is not None else ""
            return Failure(Exit.FAILED, (shown(f"{name}{reason_of(error)}"),))
        case ModuleNotFoundError() if not (error.name or "").startswith("swit_saga"):
            return Failure(Exit.FAILED, (f"{shown(str(error.name))} is missing: pip install 'swit-saga[server]'",))
        case ValueError():
            # The client's, which looks at what it is given before it is sent.
            return Failure(Exit.USAGE, (shown(str(error)),))
        case MemoryError():
            return Failure(Exit.FAILED, ("there is not enough memory for this",))
        case _:
            return Failure(Exit.FAILED, _unexpected(error), expected=False)


def call_words(error: CallError) -> str:
    """A refused call: the coordinator's own words and its reason; ours for what it did not say itself."""
    if error.reason == INTERNAL:
        return "the coordinator failed on this; its log says why"
    if error.reason:
        return f"{error} [{error.reason}]"
    return WORDS.get(error.code, OTHERWISE)


def _usage(error: Exception) -> Failure:
    words = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        return Failure(Exit.USAGE, tuple(words.split("\n")), is_help=True)
    context = getattr(error, "ctx", None)
    words = words.replace("Value error, ", "")  # Typer's, before words that need none.
    hint = f"; '{context.command_path} --help' says more" if context is not None else ""
    return Failure(Exit.USAGE, (shown(f"{words.rstrip('.')}{hint}"),))


def _unexpected(error: BaseException) -> tuple[str, ...]:
    where = traceback.extract_tb(error.__traceback__)
    at = f" ({where[-1].name}, line {where[-1].lineno})" if where else ""
    said = shown(str(error))
    return (f"this should not have happened{at}: {said}", "set SWIT_SAGA_TRACEBACK=1 to see where, and report it")
