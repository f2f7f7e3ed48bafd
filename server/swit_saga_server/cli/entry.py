"""The command line from beginning to end: whatever happens in a command, it ends with an exit code and in words."""

import os
import sys
import traceback
from contextlib import suppress

import typer
from typer.main import get_command

from swit_saga_server.cli.app import app
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.failures import Failure, failure_of
from swit_saga_server.cli.screen import let_go, prepare


def main() -> None:
    """Run the command line; always exits. See ``cli.exits`` for the codes."""
    prepare()
    try:
        code = _run(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        # A coordinator that ends by a mistake of its own says in its log where; nobody may be there to ask again.
        if not failure.expected and (os.environ.get("SWIT_SAGA_TRACEBACK") or sys.argv[1:2] in (["serve"], ["dev"])):
            traceback.print_exc()
        code = _tell(failure)
    _leave(code)


def _run(words: list[str]) -> int:
    """Run a command. Typer's own ``main`` would take a broken pipe, Ctrl-C and the end of input for itself."""
    command = get_command(app)
    try:
        with command.make_context("swit-saga", words) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
    return Exit.DONE


def _tell(failure: Failure) -> int:
    with suppress(OSError):
        for n, line in enumerate(failure.lines):
            before = "" if failure.is_help else "  " if n else "swit-saga: "
            print(f"{before}{line}", file=sys.stderr, flush=True)
    return failure.code


def _leave(code: int) -> None:
    """Exit, and let Python's own end find nothing that it could fail to write."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            let_go(stream)
    sys.exit(code)
