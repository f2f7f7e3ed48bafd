"""What the documents print can be used as it stands: Python by a type checker, commands and YAML by the product."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from swit_saga_server.cli.app import app
from swit_saga_server.cli.definition_file import read_definitions
from swit_saga_server.config import SagaConfig

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
LENIENT = ("--allow-any-generics", "--no-warn-return-any")
STANDS_FOR = {"FILE.yaml": __file__, "FILE": __file__, "N": "1", "HOST:PORT": "localhost:1", "NAME=ADDRESS": "p=h:1"}
STANDS_FOR |= {"S": "running", "KEY=VALUE": "k=v", "JSON|@FILE|-": "{}"}
"""Placeholders of options that are judged, and something that may stand there."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for document in DOCUMENTS:
        for found in re.finditer(rf"^( *)```{language}\n(.*?)^ *```", document.read_text(), re.DOTALL | re.MULTILINE):
            yield document, re.sub(rf"^{found[1]}", "", found[2], flags=re.MULTILINE)


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_python_passes_a_type_checker(tmp_path):
    programs: dict[str, str] = {}
    for number, (document, text) in enumerate(blocks("python")):
        # A page is one program; each of the README's is one of its own.
        name = f"readme_{number}" if document.stem == "README" else document.stem
        programs[name] = programs.get(name, "") + text
    assert {"client", "participants"} < programs.keys()
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-incremental", *LENIENT]
    done = subprocess.run([*command, "."], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout


# ---- commands --------------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of swit-saga that is printed, with where."""
    for document in DOCUMENTS:
        text = document.read_text()
        printed = [line for _, block in blocks("sh") if _ == document for line in block.splitlines()]
        printed += [code.replace("\\|", "|") for code in re.findall(r"`([^`\n]+)`", text)]
        for line in printed:
            found = re.search(r"(?:^|[\s/])(swit-saga (?:[a-z]+|--?\w).*)", line.split(" #")[0])
            if found is not None and "docker" not in line:
                yield name_of(document), found[1].split(" | ")[0].strip()


def given(line: str) -> list[str]:
    """A printed line as it could be typed: options that may be left out are there, once."""
    words = shlex.split(re.sub(r"[\[\]…]", "", line))
    return [STANDS_FOR.get(word, word) for word in words[1:]]


@pytest.mark.parametrize(("where", "line"), sorted(set(commands())), ids=lambda text: text)
def test_a_command_is_one(where, line):
    command: Any = get_command(app)
    words = given(line)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{where}: {line}"
        command, words = command.commands[words[0]], words[1:]
    if len(words) > 0 or not command.params:
        with suppress(typer.Exit):  # --version
            assert command.make_context("swit-saga", list(words)).args == []


def test_there_are_commands():
    found = {line.split()[1] for _, line in commands()}
    assert {"serve", "dev", "start", "get", "list", "watch", "cancel", "definitions"} <= found


@pytest.mark.parametrize("line", sorted({x for _, b in blocks("sh") for x in b.splitlines() if x.startswith("make ")}))
def test_a_target_is_one(line):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [word for word in line.split("#")[0].split()[1:] if "=" not in word]
    assert set(named) <= targets
    assert named


# ---- YAML ------------------------------------------------------------------------------------------------------------


def test_yaml_is_read(tmp_path):
    found = {name_of(document): text for document, text in blocks("yaml")}
    (tmp_path / "saga.yaml").write_text(found["docs/configuration.md"])
    assert SagaConfig.load(tmp_path / "saga.yaml").participants["inventory"].address == "inventory:50052"
    (definition,) = read_definitions(found["docs/cli.md"], "cli.md")
    assert [step.id for step in definition.definition.steps] == ["reserve", "pay", "notify"]
