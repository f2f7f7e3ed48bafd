"""Whether an address can be listened at, found out before anything else is touched, and said in words."""

from swit_saga import listening
from swit_saga_server.core.errors import SwitSagaError


class CannotListen(SwitSagaError):
    """The address cannot be listened at."""

    reason = "CANNOT_LISTEN"


def check_listening(address: str) -> None:
    """Bind to the address and let go of it again. May wait for a resolver.

    Args:
        address: HOST:PORT, see ``swit_saga.addresses.host_port``.

    Raises:
        CannotListen: It is in use, not ours, or not allowed.
    """
    try:
        listening.check_listening(address, "another coordinator")
    except listening.CannotListen as refused:
        raise CannotListen(str(refused)) from refused
