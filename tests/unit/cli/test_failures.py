"""Exceptions in words: none says what only a programmer knows, and every exit code is in the documentation."""

import errno
import re
from pathlib import Path

import grpc
import pytest
import typer

from swit_saga import errors as client_errors
from swit_saga.errors import CallError, CodecError, OverloadedError, TimedOutError, UnavailableError
from swit_saga.v1 import saga_pb2
from swit_saga_server.cli.app import StateName
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.failures import Unreachable, failure_of
from swit_saga_server.cli.inputs import Unusable
from swit_saga_server.config import ConfigError
from swit_saga_server.core import errors as core_errors
from tests.support.cli.command import run

INTERNAL = re.compile(r"StatusCode|_pb2?\b|Traceback|Error\b|Exception|grpc|AioRpc|Enum |\bNone\b|<.*object at")
"""Words that a message for people does not have."""
KNOWN = [
    (KeyboardInterrupt(), Exit.INTERRUPTED, ""),
    (typer.Abort(), Exit.INTERRUPTED, ""),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), Exit.NOBODY_READS, ""),
    (typer.BadParameter("no"), Exit.USAGE, "Invalid value: no"),
    (Unusable("--data: no"), Exit.USAGE, "--data: no"),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), Exit.USAGE, "not UTF-8"),
    (Unreachable("cannot reach x"), Exit.UNREACHABLE, "cannot reach x"),
    (UnavailableError("not now", reason="STORE_UNAVAILABLE"), Exit.UNREACHABLE, "not now [STORE_UNAVAILABLE]"),
    (TimedOutError("late"), Exit.UNREACHABLE, "on its way"),
    (OverloadedError("full", reason="COORDINATOR_OVERLOADED"), Exit.FAILED, "full [COORDINATOR_OVERLOADED]"),
    (CodecError("cannot be read"), Exit.FAILED, "cannot be read"),
    (ConfigError("a.yaml: one\n  two"), Exit.FAILED, "a.yaml: one"),
    (core_errors.StoreRefused("held"), Exit.FAILED, "held"),
    (OSError(errno.ENOSPC, "No space"), Exit.FAILED, "no space left on device"),
    (FileNotFoundError(errno.ENOENT, "No such file", "/x"), Exit.FAILED, "/x: no such file or directory"),
    (ExceptionGroup("of tasks", [ConfigError("inside")]), Exit.FAILED, "inside"),
    (ModuleNotFoundError("No module named 'redis'", name="redis"), Exit.FAILED, "pip install 'swit-saga[server]'"),
    (ValueError("saga_id must not be empty"), Exit.USAGE, "saga_id must not be empty"),
    (MemoryError(), Exit.FAILED, "not enough memory"),
]


@pytest.mark.parametrize(("error", "code", "words"), KNOWN, ids=lambda v: type(v).__name__)
def test_what_it_comes_to(error, code, words):
    failure = failure_of(error)
    assert (failure.code, failure.expected) == (code, True)
    assert words in "\n".join(failure.lines)
    assert bool(words) == bool(failure.lines), "quiet where there is nothing to say"
    assert not INTERNAL.search("\n".join(failure.lines))


@pytest.mark.parametrize("status", list(grpc.StatusCode))
def test_every_status_that_comes_without_a_reason_is_told_in_words(status):
    """From gRPC itself, or from something in between: its own words say nothing to people."""
    failure = failure_of(CallError(f"RST_STREAM with StatusCode.{status.name}", code=status))
    assert failure.code == Exit.FAILED
    assert len(failure.lines) == 1
    assert not INTERNAL.search(failure.lines[0])
    assert "RST_STREAM" not in failure.lines[0]


@pytest.mark.parametrize(
    "kind", [k for k in vars(client_errors).values() if isinstance(k, type) and issubclass(k, CallError)]
)
def test_every_refusal_ends_with_its_reason(kind):
    failure = failure_of(kind("in words", reason="A_REASON"))
    assert failure.lines == ("in words [A_REASON]",)
    assert failure.code == (Exit.UNREACHABLE if kind in (UnavailableError, TimedOutError) else Exit.FAILED)


async def test_a_mistake_of_the_programs_own_is_a_line_with_a_way_to_see_more(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("x\x1b[31m")

    monkeypatch.setattr("swit_saga_server.cli.app.coordinator_address", broken)
    said = await run(monkeypatch, "get", "o")
    assert (said.code, "this should not have happened" in said.err, "Traceback" in said.err) == (1, True, False)
    assert "\x1b" not in said.err
    monkeypatch.setenv("SWIT_SAGA_TRACEBACK", "1")
    assert "Traceback" in (await run(monkeypatch, "get", "o")).err


def test_the_documentation_has_every_exit_code():
    text = Path("docs/cli.md").read_text()
    table = text[text.index("| exit code |") :].split("\n\n")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)] == sorted(Exit)


def test_the_states_that_can_be_typed_are_the_contracts():
    named = {v.name.removeprefix("SAGA_STATE_").lower() for v in saga_pb2.SagaState.DESCRIPTOR.values}
    assert {s.value for s in StateName} == named - {"unspecified"}
