"""HTTP/2 by hand: what no gRPC client would send."""

import socket
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def header(name: bytes, value: bytes) -> bytes:
    """A header that is never indexed, each at most 126 bytes."""
    assert max(len(name), len(value)) < 127
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request(path: bytes, message: bytes = b"", more: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A connection's first bytes: one unary call, whole."""
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"here"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    ]
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, b"".join(header(*h) for h in headers))
        + frame(DATA, END_STREAM, 1, b"\x00" + len(message).to_bytes(4) + message)
    )


def sent(port: int, data: bytes, within_s: float = 3.0) -> bytes:
    """What comes back until the other side hangs up, or nothing comes any more."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), within_s) as connection, suppress(OSError):
        connection.settimeout(within_s)
        connection.sendall(data)
        while more := connection.recv(65_536):
            found += more
    return found
