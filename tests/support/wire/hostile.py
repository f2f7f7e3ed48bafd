"""Answers that a participant can give within its protocol, and that nobody expects: as bytes, with their certainty."""

import math
from typing import Any

from swit_saga.v1.command_pb2 import Pending
from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_service_pb2 import ExecuteResponse
from swit_saga.v1.payload_pb2 import Payload

LIMIT = 1_000
"""Bytes of an output, where these answers are read."""


def tagged(number: int, value: bytes) -> bytes:
    """A field of bytes, as protobuf writes it: by hand, for what its own library refuses to write."""
    size, length = bytearray(), len(value)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + value


def rejected(error: bytes) -> bytes:
    """An answer to an Execute or a Compensate."""
    return tagged(2, tagged(1, error))


def completed(output: bytes) -> bytes:
    """The same."""
    return tagged(1, tagged(1, output))


def causes(depth: int) -> bytes:
    """An error with so many errors behind it."""
    made = tagged(1, b"INNERMOST")
    for number in range(depth):
        made = tagged(1, b"C%d" % (depth - number)) + tagged(8, made)
    return made


def nested(depth: int) -> bytes:
    """Mappings within each other."""
    made = b""
    for _ in range(depth):
        made = tagged(1, tagged(1, b"a") + tagged(2, tagged(5, made)))
    return made


def details(**values: Any) -> bytes:
    """An error with these details."""
    made = SagaError(code="NO")
    made.details.update(values)
    return made.SerializeToString()


def deep(depth: int) -> bytes:
    """An error whose details nest so deep."""
    return tagged(1, b"NO") + tagged(7, nested(depth))


def error(**fields: object) -> bytes:
    """An error."""
    return SagaError(**fields).SerializeToString()  # type: ignore[arg-type]


TIME_FAR_AWAY = tagged(5, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40")
"""2**62 seconds."""
MINUS_ONE = b"\xff" * 9 + b"\x01"
LONE_SURROGATE = b"\xed\xa0\x80"

REJECTED: dict[str, bytes] = {
    "nothing": tagged(2, b""),
    "an empty error": rejected(b""),
    "no code": rejected(error(message="no")),
    "2**62 seconds": rejected(tagged(1, b"NO") + TIME_FAR_AWAY),
    "negative nanoseconds": rejected(
        tagged(1, b"NO") + tagged(5, b"\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
    ),
    "NaN": rejected(details(price=math.nan)),
    "infinities": rejected(details(a=math.inf, b=[-math.inf, {"c": math.nan}])),
    "1e300": rejected(details(n=1e300, m=-1e300, k=2.0**63)),
    "details 28 deep": rejected(deep(28)),
    "details 200 deep": rejected(deep(200)),
    "details 5,000 deep": rejected(deep(5_000)),
    "details of 20 MB": rejected(details(blob="x" * 20_000_000)),
    "100,000 details": rejected(details(**{f"k{n}": n for n in range(100_000)})),
    "a list of 1,000,000": rejected(details(many=[0] * 1_000_000)),
    "control characters": rejected(details(a="\x00" * 10_000)),
    "a key of 1 MB": rejected(details(**{"k" * 1_000_000: 1})),
    "a value of no kind": rejected(tagged(1, b"NO") + tagged(7, tagged(1, tagged(1, b"a") + tagged(2, b"")))),
    "30 causes": rejected(causes(30)),
    "10,000 causes": rejected(causes(10_000)),
    "a message of 20 MB": rejected(error(code="NO", message="ü" * 10_000_000)),
    "a code of 1 MB": rejected(error(code="N" * 1_000_000)),
    "a code that cannot be shown": rejected(error(code="\x1b[31mNO\n\u202e")),
    "a stack trace of 5 MB": rejected(error(code="NO", stack_trace="at x\n" * 1_000_000)),
    "an unknown type": rejected(tagged(1, b"NO") + b"\x18\x63"),
    "a negative type": rejected(tagged(1, b"NO") + b"\x18" + MINUS_ONE),
    "no UTF-8 in the message": rejected(tagged(1, b"NO") + tagged(2, LONE_SURROGATE)),
    "no UTF-8 in the code": rejected(tagged(1, b"\xff\xfe")),
    "no UTF-8 in the details": rejected(tagged(1, b"NO") + tagged(7, tagged(1, tagged(1, b"\xff") + tagged(2, b"")))),
    "an error that is garbage": rejected(b"\xff\xff\xff\xff"),
    "garbage": tagged(2, b"\xff\xff\xff\xff"),
    "everything cut": rejected(error(code="NO", omitted_bytes=2**64 - 1, cause=SagaError(omitted_bytes=2**64 - 1))),
    "characters that look odd": rejected(error(code="NO", message="\x00\u202e\ufffe\U0010ffff[red]")),
    "unknown fields around": rejected(error(code="NO")) + tagged(15, b"later"),
}
"""By what is odd about them: each says *rejected*."""


def of(**fields: object) -> bytes:
    """An answer with this payload for an output."""
    return completed(Payload(**fields).SerializeToString())  # type: ignore[arg-type]


INVALID, TOO_LARGE = "OUTPUT_INVALID", "OUTPUT_TOO_LARGE"

UNUSABLE: dict[str, tuple[bytes, str]] = {
    "no content type": (of(text="x"), INVALID),
    "only a content type too long": (of(content_type="t" * 201), INVALID),
    "a content type that no caller may send": (of(content_type="text/plän", text="x"), INVALID),
    "a content type with a line feed": (of(content_type="text/plain\nx", text="x"), INVALID),
    "an empty payload": (completed(b""), INVALID),
    "left out": (of(content_type="a/b", omitted_bytes=1), INVALID),
    "too large": (of(content_type="a/b", text="x" * 1_001), TOO_LARGE),
    "too many bytes": (of(content_type="a/b", text="ü" * 501), TOO_LARGE),
    "too large, binary": (of(content_type="a/b", binary=bytes(1_001)), TOO_LARGE),
    "17 MB": (of(content_type="a/b", binary=bytes(17_000_000)), TOO_LARGE),
    "no UTF-8": (completed(tagged(1, b"text/plain") + tagged(2, b"\xff")), INVALID),
    "garbage": (tagged(1, b"\xff\xff\xff\xff"), INVALID),
    "an output that is garbage": (completed(b"\xff\xff\xff\xff"), INVALID),
    "its own error": (tagged(1, tagged(2, tagged(1, b"NOT_JSON"))), "NOT_JSON"),
    "its own error, retryable": (tagged(1, tagged(2, error(code="NOT_JSON", retryable=True, type=3))), "NOT_JSON"),
    "its own error, empty": (tagged(1, tagged(2, b"")), INVALID),
    "its own error, 10,000 causes": (tagged(1, tagged(2, causes(10_000))), "C1"),
    "its own error beside an output": (
        of(content_type="a/b", text="x") + tagged(1, tagged(2, tagged(1, b"MINE"))),
        "MINE",
    ),
}
"""Answers that say *completed* with what cannot be used, and the code of the error that follows."""

COMPLETED: dict[str, bytes] = {
    "nothing": tagged(1, b""),
    "an output": completed(Payload(content_type="a/b", text="x").SerializeToString()),
    "as large as may be": completed(Payload(content_type="a/b", text="ü" * 500).SerializeToString()),
    "empty": completed(Payload(content_type="t" * 200).SerializeToString()),
    "NUL": completed(Payload(content_type="a/b", text="\x00").SerializeToString()),
    "unknown fields around": tagged(1, tagged(15, b"later")) + tagged(14, b"later"),
    "said last": rejected(b"") + tagged(1, b""),
}

UNKNOWN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "EMPTY_ANSWER"),
    "a later answer": (tagged(9, b"later"), "EMPTY_ANSWER"),
    "pending": (ExecuteResponse(pending=Pending(note="x" * 10_000_000)).SerializeToString(), "PENDING_NOT_SUPPORTED"),
}
