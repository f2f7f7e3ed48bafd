"""Whether an address can be listened at, found out before anything else is touched, and said in words."""

import errno
import socket

from swit_saga.addresses import check_target, host_port

WILDCARDS = ("0.0.0.0", "::")


class CannotListen(RuntimeError):
    """The address cannot be listened at."""


def check_listening(address: str, running: str) -> None:
    """Bind to the address and let go of it again. May wait for a resolver.

    Args:
        address: HOST:PORT, see ``swit_saga.addresses.host_port``.
        running: What may have it already, for the message, such as "another coordinator".

    Raises:
        CannotListen: It is no address, is in use, not ours, or not allowed.
    """
    try:
        at = host_port(address, port_from=0)
    except ValueError as wrong:
        raise CannotListen(f"cannot listen at {address}: {wrong}") from None
    try:
        # Of all of a machine's addresses gRPC takes those of both families, whichever way they are written.
        hosts = WILDCARDS if at.host in WILDCARDS else (at.host,)
        found = [i for host in hosts for i in socket.getaddrinfo(host, at.port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as unknown:
        said = getattr(unknown, "strerror", None) or "no such host"
        raise CannotListen(f"cannot listen at {address}: {said}") from unknown
    failed: list[OSError] = []
    for family, kind, protocol, _, where in found:
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family is socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(where)
        except OSError as wrong:
            if wrong.errno == errno.EADDRINUSE:
                # Also where another address of the host is free: who asks for the host would meet either.
                raise CannotListen(
                    f"cannot listen at {address}: the address is in use; is {running} running?"
                ) from wrong
            failed.append(wrong)
    if failed and len(failed) == len(found):
        raise CannotListen(f"cannot listen at {address}: {failed[0].strerror}") from failed[0]


def checked_listening(listen: str, running: str) -> str:
    """An address as gRPC takes it, once it is known that it can be listened at.

    Args:
        listen: ``HOST:PORT``; ``:PORT`` for all of this machine's addresses; ``unix:PATH`` or ``unix-abstract:NAME``.
        running: As for ``check_listening``.

    Raises:
        TypeError: It is no text.
        CannotListen: As for ``check_listening``.
    """
    if not isinstance(listen, str):
        raise TypeError(f"listen must be text such as ':50052', not {type(listen).__name__}: {listen!r}")
    if listen.startswith(("unix:", "unix-abstract:")):
        try:
            return check_target(listen)
        except ValueError as wrong:
            raise CannotListen(f"cannot listen at {listen}: {wrong}") from None
    if ":" not in listen:
        raise CannotListen(
            f"cannot listen at {listen!r}: write HOST:PORT, or :PORT for all of this machine's addresses"
        )
    address = f"[::]{listen}" if listen.startswith(":") and listen.count(":") == 1 else listen
    check_listening(address, running)
    return address
