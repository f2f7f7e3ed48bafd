"""``swit-saga health``: code 0 if the coordinator takes sagas, 4 if not; asked where it is configured to listen."""

from functools import partial

import pytest

from swit_saga_server.cli.health import own_address
from swit_saga_server.core.errors import StoreUnavailable
from swit_saga_server.service.service import SagaService
from tests.support.cli.command import run
from tests.support.logs import logged
from tests.support.redis_server import free_port
from tests.support.rpc.serve import serve


@pytest.fixture
def health(monkeypatch):
    for name in ("SWIT_SAGA_ADDRESS", "SWIT_SAGA_CONFIG", "SWIT_SAGA_SERVER__LISTEN"):
        monkeypatch.delenv(name, raising=False)
    with logged():
        yield partial(run, monkeypatch, "health")


async def test_a_coordinator_that_takes_sagas(tmp_path, health, monkeypatch):
    async with serve(tmp_path) as s:
        port = s.address.rpartition(":")[2]
        (tmp_path / "saga.yaml").write_text(f"server: {{listen: '127.0.0.1:{port}'}}\n")
        ways: list[tuple[tuple[str, ...], dict[str, str]]] = [
            (("--address", s.address), {}),
            ((), {"SWIT_SAGA_ADDRESS": s.address}),
            (("--config", str(tmp_path / "saga.yaml")), {}),
            ((), {"SWIT_SAGA_CONFIG": str(tmp_path / "saga.yaml")}),
            ((), {"SWIT_SAGA_SERVER__LISTEN": f"0.0.0.0:{port}"}),
        ]
        for words, variables in ways:
            with monkeypatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                said = await health(*words)
            assert (said.code, said.out, said.err) == (0, "serving\n", "")


async def test_one_that_does_not(tmp_path, health, monkeypatch):
    async with serve(tmp_path) as s:

        async def unhealthy(_: SagaService) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(SagaService, "health", unhealthy)
        said = await eventually_not_serving(health, s.address)
    assert said.err == f"swit-saga: {s.address}: the coordinator's health is NOT_SERVING\n"


async def eventually_not_serving(health, address):
    while (said := await health("--address", address)).code == 0:
        pass
    assert (said.code, said.out) == (4, "")
    return said


async def test_none_at_all(health):
    address = f"127.0.0.1:{free_port()}"
    said = await health("--address", address, "--timeout", "2s")
    assert (said.code, said.out) == (4, "")
    assert said.err == f"swit-saga: {address}: nothing listens there (connection refused)\n"


@pytest.mark.parametrize(
    ("listen", "asked"),
    [
        ("0.0.0.0:50051", "localhost:50051"),
        ("[::]:7", "localhost:7"),
        ("[::1]:7", "[::1]:7"),
        ("10.1.2.3:7", "10.1.2.3:7"),
        ("localhost:7", "localhost:7"),
    ],
)
def test_where_it_is_asked(listen, asked, monkeypatch):
    monkeypatch.setenv("SWIT_SAGA_SERVER__LISTEN", listen)
    assert own_address(None) == asked


async def test_a_port_that_nobody_knows_is_wrong_usage(health, monkeypatch):
    monkeypatch.setenv("SWIT_SAGA_SERVER__LISTEN", "127.0.0.1:0")
    said = await health()
    assert (said.code, said.out) == (2, "")
    assert "--address" in said.err
