"""Where the coordinator is, as it is typed."""

import re

SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
"""gRPC's own ways to name an address, which go to it as they are."""
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s\[\]:/@?#]+):([0-9]+)")


def coordinator_address(text: str) -> str:
    """``HOST:PORT``, ``[IPv6]:PORT``, or one of gRPC's own names such as ``unix:/run/saga.sock``.

    Raises:
        ValueError: It is none; the message says how to write it.
    """
    if text.startswith(SCHEMES) and not any(c.isspace() for c in text):
        return text
    if "://" in text:
        raise ValueError(f"{text!r} has a scheme; write HOST:PORT alone, such as localhost:50051")
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        hint = ", and an IPv6 address in brackets, such as [::1]:50051" if text.count(":") > 1 else ""
        raise ValueError(f"{text!r} is not an address; write HOST:PORT, such as localhost:50051{hint}")
    if not 1 <= int(found[2][:6]) <= 65_535:
        raise ValueError(f"{text!r}: there is no port {found[2]}; ports are 1 to 65535")
    return text
