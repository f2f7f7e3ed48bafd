"""What importing costs, and the light install."""

import subprocess
import sys

import pytest

import swit_saga


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)


def test_importing_a_message_does_not_import_grpc_or_the_client():
    ran = python(
        "import sys; from swit_saga.v1 import saga_pb2; saga_pb2.Saga(id='x')\n"
        "heavy = {'grpc', 'asyncio', 'swit_saga.client', 'swit_saga.participant.participant', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_the_client_imports_neither_the_server_nor_what_a_light_install_lacks():
    ran = python(
        "import sys\n"
        "for name in ('pydantic', 'opentelemetry', 'grpc_health', 'grpc_reflection', 'apsw', 'structlog', 'yaml'):\n"
        "    sys.modules[name] = None\n"
        "import swit_saga\n"
        "for name in swit_saga.__all__: getattr(swit_saga, name)\n"
        "print([m for m in sys.modules if m.startswith('swit_saga_server')])"
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_every_name_is_there_and_an_unknown_one_is_not():
    assert len(set(swit_saga.__all__)) == len(swit_saga.__all__)
    for name in swit_saga.__all__:
        assert getattr(swit_saga, name).__name__ == name
        assert name in dir(swit_saga)
    with pytest.raises(AttributeError, match="'Sagas'"):
        swit_saga.Sagas  # noqa: B018


RUN = (
    "import sys, runpy; sys.argv = ['swit-saga', 'serve']; sys.modules[{missing!r}] = None; "
    "runpy.run_module('swit_saga', run_name='__main__')"
)


@pytest.mark.parametrize("missing", ["typer", "structlog"])
def test_the_command_in_a_light_install_says_what_to_install(missing):
    ran = python(RUN.format(missing=missing))
    assert ran.returncode == 1
    assert f"{missing} is missing" in ran.stderr
    assert "pip install 'swit-saga[server]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_broken_install_is_not_taken_for_a_light_one():
    ran = python(RUN.format(missing="swit_saga_server.cli"))
    assert "ModuleNotFoundError" in ran.stderr
    assert "pip install" not in ran.stderr
