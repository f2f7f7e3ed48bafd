"""The Dockerfile and docs/docker.md against what they speak of. What a build does is tried by hand."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from swit_saga_server.cli.app import app
from swit_saga_server.config import SagaConfig
from swit_saga_server.core.units import SECOND

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
PAGE = (ROOT / "docs" / "docker.md").read_text()
LINES = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
COPIED = [arg.split()[:-1] for name, arg in LINES if name == "COPY" and not arg.startswith("--from")]
GRACE_S = 30


def of(name: str) -> str:
    [found] = [arg for n, arg in LINES if n == name]
    return found


def test_what_is_copied_is_there_and_let_in():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = {file for files in COPIED for file in files}
    assert files == let_in
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_all_that_the_package_is_built_from_is_copied():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, wheel = settings["project"], settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["readme"], *project["license-files"], *(p.partition("/")[0] for p in wheel["packages"])}
    files = {file for files in COPIED for file in files}
    assert needed <= files


def test_dependencies_have_a_layer_of_their_own():
    assert COPIED[0] == ["pyproject.toml", "constraints.txt"]
    names = [name for name, _ in LINES]
    assert names.index("RUN") < [i for i, name in enumerate(names) if name == "COPY"][1]


def test_no_option_is_set_in_the_image():
    assert "SWIT_SAGA_" not in of("ENV")


def test_the_commands_exist():
    commands: Any = get_command(app)
    program, command = json.loads(of("HEALTHCHECK").partition("CMD")[2])
    assert (program, command) == ("swit-saga", "health")
    assert json.loads(of("ENTRYPOINT")) == ["swit-saga"]
    assert {command, *json.loads(of("CMD"))} <= set(commands.commands)


def test_nobody_is_root_and_the_port_is_the_default():
    assert int(of("USER")) > 0
    assert SagaConfig.load(variables={}).server.listen.endswith(f":{of('EXPOSE')}")
    assert of("VOLUME") == "/data"


def test_the_grace_is_longer_than_the_drain():
    assert SagaConfig.load(variables={}).server.drain_timeout < GRACE_S * SECOND
    said = re.findall(r"(?:--stop-timeout|stop -t|stop_grace_period:|terminationGracePeriodSeconds:) (\d+)", PAGE)
    assert len(said) >= 4
    assert set(said) == {str(GRACE_S)}


def variables_of(page: str) -> list[dict[str, str]]:
    """By block: the variables that it sets."""
    found = []
    for block in re.findall(r"^```(?:sh|yaml)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        pairs = re.findall(r"(SWIT_SAGA_\w+)(?:=|: |, value: )\"?([^\s\"}]+)", block)
        found.append(dict(pairs))
    return [variables for variables in found if variables]


@pytest.mark.parametrize("variables", variables_of(PAGE))
def test_the_variables_on_the_page_are_options(variables):
    assert SagaConfig.load(variables=variables).participants["inventory"].address == "inventory:50052"


def test_the_yaml_on_the_page_is_yaml():
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert [set(yaml.safe_load(block)) for block in blocks] == [{"containers"}, {"services", "volumes"}]
