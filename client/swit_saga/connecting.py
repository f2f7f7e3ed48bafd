"""What gRPC says by itself of a call that did not get through, in words. What a server said is left as it is."""

import re

import grpc

NO_ANSWER = "no answer in time"
_REASONS = (
    (r"connection refused", "nothing listens there (connection refused)"),
    (r"no such (file|socket)", "there is no such socket"),
    (r"permission denied", "permission denied"),
    (
        r"domain name not found|could not resolve|name resolution|no address|misformatted|no such host",
        "there is no such host",
    ),
    (r"unreachable|no route|no way to", "there is no way to that host"),
    (r"timed? ?out|deadline|silent|in time", "it did not answer in time"),
    (r"wrong_version_number|unknown_protocol|does not encrypt", "what answers there does not encrypt (TLS)"),
    (r"certificate", "its certificate is not accepted (TLS)"),
    (r"reset|closed|broke|eof|goaway|frame|settings|http|handshake|ssl", "the connection broke"),
)
_CONNECTING = re.compile(r"failed to connect to all addresses; last error: (?P<why>.*)", re.S)
_ADDRESS = re.compile(r"(?:ipv4|ipv6):(?P<address>[^ ]+:\d+): |(?P<socket>unix(?:-abstract)?:[^ ]+): ")
_RESOLVING = re.compile(r"errors resolving (?P<address>\S+): \[.*\]", re.S)
_UNKNOWN_CALL = re.compile(
    r"Method not found!|unknown (?:service|method) .*|The server does not implement the method .*"
)


def why(details: str) -> str:
    """Why there is no connection, in a few words; ``no connection`` where gRPC's are not known."""
    return next((words for sign, words in _REASONS if re.search(sign, details, re.I)), "no connection")


def in_words(code: grpc.StatusCode, details: str, expected: str) -> str:
    """A status's text; where gRPC made it rather than a server, what it means.

    Args:
        code: The status.
        details: Its text.
        expected: What should be at the other end, such as "coordinator".
    """
    match code:
        case grpc.StatusCode.UNAVAILABLE if (found := _CONNECTING.fullmatch(details)) is not None:
            at = _ADDRESS.search(found["why"])
            known = why(found["why"])
            said = known if known != "no connection" else found["why"]
            return f"cannot reach {at['address'] or at['socket']}: {said}" if at else f"no connection: {said}"
        case grpc.StatusCode.UNAVAILABLE if (found := _RESOLVING.fullmatch(details)) is not None:
            return f"cannot reach {found['address']}: {why(details)}"
        case grpc.StatusCode.UNIMPLEMENTED if _UNKNOWN_CALL.fullmatch(details):
            return f"what answers there does not know this call: it is no {expected}, or an older one"
        case grpc.StatusCode.DEADLINE_EXCEEDED if details == "Deadline Exceeded":
            return NO_ANSWER
    return details
