"""``health``: whether a coordinator takes sagas and drives them, for whoever watches over its process."""

import typer

from swit_saga import AsyncSagaClient
from swit_saga.addresses import host_port
from swit_saga.errors import TimedOutError, UnavailableError
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.failures import Unreachable
from swit_saga_server.cli.reaching import Way, why
from swit_saga_server.cli.screen import say

ANYWHERE = ("0.0.0.0", "::")


def own_address(config_file: str | None) -> str:
    """Where a coordinator of this configuration can be asked from its own machine.

    Raises:
        ConfigError: The configuration is not valid.
        typer.BadParameter: It listens on a port that is not known before it does.
    """
    from swit_saga_server.config import SagaConfig

    listens = host_port(SagaConfig.load(config_file).server.listen, port_from=0)
    if listens.port == 0:
        raise typer.BadParameter("the configuration has port 0, any that is free; say which it is by --address")
    host = "localhost" if listens.host in ANYWHERE else f"[{listens.host}]" if ":" in listens.host else listens.host
    return f"{host}:{listens.port}"


async def health(way: Way) -> int:
    """Ask once.

    Raises:
        Unreachable: It does not take sagas now, or there is none.
    """
    try:
        async with AsyncSagaClient(way.address, service="swit-saga-cli", timeout=way.timeout or "5s") as sagas:
            await sagas.health()
    except (UnavailableError, TimedOutError) as error:
        answered = error.__cause__ is None  # By a coordinator that says no; else this is gRPC's.
        raise Unreachable(f"{way.address}: {error if answered else why(str(error))}") from error
    say("serving")
    return Exit.DONE
