"""How an address is written: of a coordinator, of a participant, and to listen at. One rule for all of them.

What is wrong is said without repeating the address: it may hold a password that was meant for somewhere else.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

MAX_ADDRESS_LENGTH = 1_000

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?)*\.?")
_LISTED = "dns:///, ipv4:, ipv6:, unix:, unix-abstract: or xds:///"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host with a port.

    Attributes:
        host: A name, an IPv4 address, or an IPv6 address without its brackets.
        port: 0 to 65535.
    """

    host: str
    port: int


def check_target(text: str) -> str:
    """An address to connect to: ``HOST:PORT``, or one with a scheme that gRPC knows.

    Those are ``dns:///HOST:PORT`` (also with a server to ask, ``dns://SERVER/HOST:PORT``), ``ipv4:A:PORT,B:PORT``,
    ``ipv6:[A]:PORT,[B]:PORT``, ``unix:PATH``, ``unix:///PATH``, ``unix-abstract:NAME`` and ``xds:///NAME``.

    Returns:
        The address, as it was given.

    Raises:
        ValueError: It is none of these; the message says how to write it, and does not repeat it.
    """
    _check_characters(text)
    name, _, rest = text.partition(":")
    match name:
        case "dns":
            _dns(rest)
        case "ipv4" | "ipv6":
            _listed(name, rest)
        case "unix" | "unix-abstract":
            if not rest.strip("/") or (name == "unix" and rest.startswith("//") and not rest.startswith("///")):
                raise ValueError("write unix:PATH or unix:///PATH, or unix-abstract:NAME")
        case "xds":
            if not re.fullmatch(r"//[^/]*/.+", rest):
                raise ValueError("write xds:///NAME")
        case _ if rest.startswith("//"):
            known = "" if name.lower() in ("http", "https") else f", or one of {_LISTED}"
            raise ValueError(f"write HOST:PORT, without a scheme and without a path{known}")
        case _:
            host_port(text, port_from=1)
    return text


def host_port(text: str, *, port_from: int) -> HostPort:
    """``HOST:PORT``: a name, an IPv4 address, or an IPv6 address in brackets.

    Args:
        text: As it was given.
        port_from: The least port there is: 0 to listen, where it stands for any that is free, 1 to connect.

    Raises:
        ValueError: As ``check_target``.
    """
    _check_characters(text)
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("write an IPv6 address as [ADDRESS]:PORT")
        _ipv6(inner)
        return HostPort(inner, _port(rest[1:], port_from))
    if "://" in text:
        raise ValueError("write HOST:PORT, without a scheme")
    if text.count(":") > 1:
        raise ValueError("write HOST:PORT, and an IPv6 address in brackets: [ADDRESS]:PORT")
    host, _, port = text.partition(":")
    if not host:
        raise ValueError("the host is missing; write HOST:PORT")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            IPv4Address(host)
        except AddressValueError:
            # Not chained: its text repeats the address.
            raise ValueError("the host is neither a name nor an IPv4 address; write HOST:PORT") from None
    elif not _HOST.fullmatch(host):
        raise ValueError("the host is neither a name nor an address; write HOST:PORT")
    return HostPort(host, _port(port, port_from))


def _check_characters(text: str) -> None:
    if not isinstance(text, str):
        raise ValueError("must be text: HOST:PORT")
    if not text:
        raise ValueError("is empty; write HOST:PORT")
    if len(text) > MAX_ADDRESS_LENGTH:
        raise ValueError(f"is longer than {MAX_ADDRESS_LENGTH} characters")
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("has a space or a control character in it; write HOST:PORT")
    if "@" in text and not text.startswith("unix"):
        raise ValueError("write HOST:PORT; there is no user and no password in an address")


def _dns(rest: str) -> None:
    if rest.startswith("//"):
        server, slash, name = rest[2:].partition("/")
        if not slash or not name:
            raise ValueError("write dns:///HOST:PORT")
        if server and ":" in server:
            host_port(server, port_from=1)
        host_port(name, port_from=1)
    else:
        host_port(rest, port_from=1)


def _listed(scheme: str, rest: str) -> None:
    """Addresses, no names, of one kind."""
    for one in rest.split(","):
        found = host_port(one, port_from=1)
        if one.startswith("[") != (scheme == "ipv6") or (scheme == "ipv4" and not re.fullmatch(r"[0-9.]+", found.host)):
            how = "ipv6:[ADDRESS]:PORT" if scheme == "ipv6" else "ipv4:ADDRESS:PORT"
            raise ValueError(f"write {how}, several with commas between them")


def _ipv6(text: str) -> None:
    try:
        IPv6Address(text)
    except AddressValueError:
        raise ValueError("what is in brackets is not an IPv6 address") from None


def _port(text: str, port_from: int) -> int:
    if not text:
        raise ValueError("the port is missing; write HOST:PORT")
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and port_from <= int(text) <= 65_535):
        raise ValueError(f"the port must be a number from {port_from} to 65535")
    return int(text)
