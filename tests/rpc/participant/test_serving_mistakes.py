"""Where a participant is to be served, and how: what cannot be meant is said in words, by one exception."""

import socket
from typing import Any

import pytest

from swit_saga import Participant, StepContext
from tests.support.participant.commands import CODECS, execute

WRONG = {
    "50052": "write HOST:PORT, or :PORT",
    "nonsense": "write HOST:PORT, or :PORT",
    "": "write HOST:PORT, or :PORT",
    ":99999": "from 0 to 65535",
    "127.0.0.1:99999": "from 0 to 65535",
    "127.0.0.1:": "port is missing",
    "127.0.0.1:port": "from 0 to 65535",
    "http://:1": "without a scheme",
    "::1:1": "brackets",
    "host.invalid:0": "cannot listen at host.invalid:0",
    "192.0.2.1:0": "cannot listen at 192.0.2.1:0: ",
    "unix:": "unix:PATH",
}


def shop() -> Participant:
    made = Participant("shop")

    @made.step("sell")
    def sell() -> None: ...

    return made


@pytest.mark.parametrize("listen", WRONG)
def test_an_address_that_is_none(listen, capfd):
    with pytest.raises(RuntimeError, match=WRONG[listen]) as refused:
        shop().run(listen)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", ""), "nothing of gRPC's own"


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_an_address_in_use(host, capfd):
    says = "the address is in use; is another 'shop', or another program, running"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RuntimeError, match=says):
        shop().run(f"{host}:{taken.getsockname()[1]}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("listen", [":0", "127.0.0.1:0", "localhost:0", "[::]:0"])
async def test_a_free_one(listen):
    async with shop().serve(listen) as server:
        assert server.port > 0


async def test_a_path(tmp_path):
    async with shop().serve(f"unix:{tmp_path / 'shop'}"):
        assert (tmp_path / "shop").exists()


async def test_a_number_for_an_address():
    port: Any = 50052
    with pytest.raises(TypeError, match="listen must be text such as ':50052', not int: 50052"):
        async with shop().serve(port):
            pass


async def test_run_within_a_loop_says_what_to_write():
    with pytest.raises(RuntimeError, match=r"write 'async with shop.serve\(':50052'\)'"):
        shop().run(":50052")


@pytest.mark.parametrize(("threads", "kind"), [(0, ValueError), ("4", TypeError), (True, TypeError)])
def test_threads(threads, kind):
    with pytest.raises(kind, match="threads "):
        Participant("shop", threads=threads)


def test_a_compensation_of_nothing():
    participant: Any = shop()
    with pytest.raises(TypeError, match=r"@HANDLER\.compensate, not @shop.compensate"):
        participant.compensate("sell")


def test_a_context_by_another_name():
    with pytest.raises(TypeError, match="called 'step' or 'context', is given the StepContext"):

        @shop().step("give")
        def give(order, ctx): ...


@pytest.mark.parametrize("plain", [True, False], ids=["in a thread", "async"])
async def test_a_traceback_begins_at_the_handler(plain, caplog):
    participant = shop()

    def burn(step: StepContext) -> None:
        raise ValueError("on fire")

    async def burn_async(step: StepContext) -> None:
        burn(step)

    participant.step("burn")(burn if plain else burn_async)
    with pytest.raises(ValueError, match="on fire"):
        await participant.execute(execute("burn", CODECS.encode(None), key="k"))
    places = [line for line in caplog.text.splitlines() if line.startswith("  File ")]
    assert [place.rpartition(" in ")[2] for place in places] == (["burn"] if plain else ["burn_async", "burn"])
