"""Where a participant listens, and what it is made of, is looked at before anything is served."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from swit_saga import Participant


@pytest.mark.parametrize(
    "listen",
    ["", "nonsense", "50051", ":99999", ":", "127.0.0.1", "127.0.0.1:-1", "http://a:1", " a:1", "::1:0", None, 1],
)
async def test_an_address_that_is_none_is_refused_and_not_taken_for_another(listen: Any) -> None:
    with pytest.raises((TypeError, RuntimeError), match=r"cannot listen at|listen must be text"):
        async with Participant("shop").serve(listen):
            raise AssertionError


@pytest.mark.parametrize("listen", [":0", "127.0.0.1:0", "[::1]:0", "localhost:0", "unix:{}/shop"])
async def test_addresses(listen: str, tmp_path: Any) -> None:
    async with Participant("shop").serve(listen.format(tmp_path)) as serving:
        assert serving.port > 0


async def test_one_that_is_in_use_is_said_to_be(tmp_path: Any) -> None:
    shop = Participant("shop")
    async with shop.serve("127.0.0.1:0") as serving:
        for other in (Participant("bank"), shop):
            with pytest.raises(RuntimeError, match=f"cannot listen at 127.0.0.1:{serving.port}: the address is in use"):
                async with other.serve(f"127.0.0.1:{serving.port}"):
                    raise AssertionError
        async with shop.serve("127.0.0.1:0") as second:
            assert second.port != serving.port
    async with shop.serve(f"127.0.0.1:{serving.port}") as again:
        assert again.port == serving.port


@pytest.mark.parametrize("threads", [0, -1, "4", 1.5, None, True])
def test_threads_are_a_number_of_them(threads: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"threads (must be a whole number|is .*; it must be at least 1)"):
        Participant("shop", threads=threads)


def test_a_server_that_is_not_async_is_refused() -> None:
    server: Any = grpc.server(ThreadPoolExecutor(1))
    with pytest.raises(TypeError, match="and this server is not"):
        Participant("shop").add_to(server)
