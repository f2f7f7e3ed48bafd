"""Every command, the registry's own list of them, against data of every kind and output of every kind."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2, status_pb2
from typer.main import get_command

from swit_saga_server.cli.app import app
from tests.support.cli.command import run, run_into_closed_pipe
from tests.support.cli.hostile import CONTROL, HOSTILE, LONG_ID, MARKUP, hostile
from tests.support.rpc.fake import refusal

TALKING = {
    "definitions apply": ("FILE",),
    "start": (LONG_ID, "--id", LONG_ID, "--label", f"k={MARKUP}", "--data", json.dumps(HOSTILE)),
    "start --wait": (LONG_ID, "--wait"),
    "get": (LONG_ID,),
    "get --step": (LONG_ID, "--step", MARKUP),
    "list": ("--label", f"k={MARKUP}", "--definition", MARKUP),
    "watch": (LONG_ID,),
    "cancel": (LONG_ID, "--reason", HOSTILE.replace("\0", "")),
}
"""The commands that talk to a coordinator."""
SERVING = {"serve", "dev"}
"""The commands that are one."""
ASKING = {"health"}
"""Those that show nothing of what they are told."""
GOOD: dict[str, Any] = {"done": True, "violations": None, "valid": True, "next_page_token": ""}
PRINTABLE = re.compile(r"[^\n\x20-\x7e]")


def commands(group: Any = None, path: str = "") -> Iterator[str]:
    root: Any = get_command(app)
    for name, command in (group or root).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}"


STEP = {"id": "s", "participant": "p"}


@pytest.fixture
def words(tmp_path, monkeypatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "d.yaml"
    file.write_text(json.dumps({"id": LONG_ID, "name": MARKUP, "description": MARKUP, "steps": [STEP]}))

    def of(command: str, address: str) -> tuple[str, ...]:
        given = (str(file) if word == "FILE" else word for word in TALKING[command])
        name = command.split(" --")[0].split()
        return (*name, *given, "--address", address, "--timeout", "5s")

    return of


def test_no_command_is_forgotten():
    assert {c.split(" --")[0] for c in TALKING} | SERVING | ASKING == set(commands())


def unescaped(text: str) -> set[str]:
    """Characters that do more on a terminal than stand there."""
    return {c for c in text if not c.isprintable() and c != "\n"}


@pytest.mark.parametrize("command", TALKING)
async def test_data_is_text_and_ids_are_whole(command, words, monkeypatch):
    """Piped, and on a terminal of 80 columns."""
    async with hostile(GOOD) as address:
        for tty in (False, True):
            said = await run(monkeypatch, *words(command, address), tty=tty)
            assert said.code == (3 if command == "start --wait" else 0), said
            assert LONG_ID in said.out
            assert unescaped(said.out + said.err) == set()
            if command not in ("start", "definitions apply"):
                assert ("swit-saga: forged" in said.out, "\nswit-saga: forged" in said.out) == (True, False)
                joined = re.sub(r"\s+", "", said.out)
                assert re.sub(r"\s+", "", MARKUP) in joined, "markup is shown as it is"
                assert "9999-12-31T23:59:59.999Z" in said.out, "times are whole"


@pytest.mark.parametrize("command", TALKING)
async def test_json_is_an_object_a_line(command, words, monkeypatch):
    async with hostile(GOOD) as address:
        said = await run(monkeypatch, *words(command, address), "--json")
    found = [json.loads(line) for line in said.out.splitlines()]
    assert found
    assert all(isinstance(one, dict) and LONG_ID in (one["id"], one.get("saga_id")) for one in found)


@pytest.mark.parametrize("command", TALKING)
async def test_a_refusal_is_one_line_whatever_it_says(command, words, monkeypatch):
    for reason in ("SAGA_NOT_FOUND", ""):
        refused = refusal(code_pb2.NOT_FOUND, reason)
        refused.message = HOSTILE
        async with hostile(refused) as address:
            said = await run(monkeypatch, *words(command, address))
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        assert unescaped(said.err) == set()
        assert (MARKUP in said.err) == bool(reason), "what has no reason is not the coordinator's word"
        assert said.err.startswith("swit-saga: ")


@pytest.mark.parametrize("command", TALKING)
async def test_output_that_knows_ascii_only(command, words, monkeypatch):
    async with hostile(GOOD) as address:
        said = await run(monkeypatch, *words(command, address), encoding="ascii")
    assert said.code in (0, 3)
    assert PRINTABLE.findall(said.out) == []


@pytest.mark.parametrize("command", [*TALKING, "--help", "--version"])
async def test_a_reader_that_has_gone_ends_it_quietly(command, words, monkeypatch):
    async with hostile(GOOD) as address:
        given = words(command, address) if command in TALKING else (command,)
        for more in ((), ("--json",)) if command in TALKING else ((),):
            said = await run_into_closed_pipe(monkeypatch, *given, *more)
            assert (said.code, said.err) == (141, "")


@pytest.mark.parametrize("command", sorted(commands()))
async def test_help_is_plain_text(command, monkeypatch):
    for option in ("-h", "--help"):
        said = await run(monkeypatch, *command.split(), option, encoding="ascii")
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"Usage: swit-saga {command} ")
        assert PRINTABLE.findall(said.out) == []


@pytest.mark.parametrize("command", sorted(commands()))
async def test_what_is_typed_is_text_too(command, monkeypatch):
    for wrong in (f"--no{HOSTILE}", HOSTILE.replace("[", "--", 1)):
        said = await run(monkeypatch, *command.split(), wrong)
        assert (said.code, said.out, unescaped(said.err), said.err.count("\n")) == (2, "", set(), 1)


@pytest.mark.parametrize("command", sorted(SERVING))
async def test_what_a_server_refuses_is_shown_as_text(command, tmp_path, monkeypatch):
    said = await run(monkeypatch, command, "--participant", CONTROL)
    assert (said.code, unescaped(said.err), said.err.count("\n")) == (2, set(), 1)
    if command == "serve":
        (tmp_path / "c.yaml").write_text(json.dumps({"server": {HOSTILE.replace("\ud7a3", ""): 1}}))
        said = await run(monkeypatch, command, "--config", str(Path(tmp_path, "c.yaml")))
        assert (said.code, unescaped(said.err)) == (1, set())


def test_the_hostile_coordinator_is_hostile():
    assert len(unescaped(HOSTILE)) >= 8
    assert isinstance(refusal(5), status_pb2.Status)
