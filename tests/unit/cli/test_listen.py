"""Where to listen is looked at before the store is: words, and nothing touched."""

import socket

import pytest
import typer

from swit_saga_server.cli.run import run_server
from swit_saga_server.config import ConfigError
from swit_saga_server.rpc.listening import CannotListen, check_listening

WRONG = {
    "50051": "port is missing|neither",
    "nonsense": "port is missing",
    ":99999": "host is missing",
    "127.0.0.1": "port is missing",
    "127.0.0.1:99999": "from 0 to 65535",
    "::1:50051": "brackets",
    "unix:/tmp/x": "number",
    "http://localhost:1": "without a scheme",
    "": "empty",
    "host.invalid:0": "cannot listen at host.invalid:0",
    "192.0.2.1:0": "Cannot assign|cannot listen",
}


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dev", [False, True], ids=["serve", "dev"])
@pytest.mark.parametrize("listen", WRONG)
def test_an_address_that_is_none(folder, dev, listen):
    with pytest.raises((ConfigError, CannotListen), match=WRONG[listen]):
        run_server(None, listen, [], dev=dev)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::]"])
def test_an_address_in_use(folder, monkeypatch, taken, host):
    with pytest.raises(CannotListen, match="in use") as refused:
        run_server(None, f"{host}:{taken}", [], dev=False)
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("SWIT_SAGA_SERVER__LISTEN", f"{host}:{taken}")
    with pytest.raises(CannotListen, match="in use"):
        run_server(None, None, [], dev=False)
    assert list(folder.iterdir()) == [], "the store was not touched"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::]:0"])
def test_a_free_one(address):
    check_listening(address)


def test_in_words_also_without_the_command_line(taken):
    with pytest.raises(CannotListen, match=f"127.0.0.1:{taken}: the address is in use"):
        check_listening(f"127.0.0.1:{taken}")


def test_a_participant_named_twice():
    with pytest.raises(typer.BadParameter, match="twice"):
        run_server(None, None, ["a=x:1", "a=y:1"], dev=False)
