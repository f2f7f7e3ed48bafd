"""What gRPC itself says of a call is told in words; what a server said is left as it is."""

import grpc
import pytest

from swit_saga.connecting import in_words, why

UNAVAILABLE, UNIMPLEMENTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED
FAILED = "failed to connect to all addresses; last error: "
SAID = {
    f"{FAILED}UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused": (
        "cannot reach 127.0.0.1:1: nothing listens there (connection refused)"
    ),
    f"{FAILED}UNAVAILABLE: ipv6:%5B::1%5D:1: Failed to connect to remote host: Connection refused": (
        "cannot reach %5B::1%5D:1: nothing listens there (connection refused)"
    ),
    f"{FAILED}UNKNOWN: unix:/run/x: No such file or directory": "cannot reach unix:/run/x: there is no such socket",
    f"{FAILED}UNKNOWN: ipv4:10.1.1.1:1: connection attempt timed out before receiving SETTINGS frame": (
        "cannot reach 10.1.1.1:1: it did not answer in time"
    ),
    f"{FAILED}UNKNOWN: ipv4:1.1.1.1:1: Tls handshake failed: OPENSSL_internal:WRONG_VERSION_NUMBER: certificate": (
        "cannot reach 1.1.1.1:1: what answers there does not encrypt (TLS)"
    ),
    f"{FAILED}UNKNOWN: ipv4:1.1.1.1:1: something new": "cannot reach 1.1.1.1:1: UNKNOWN: ipv4:1.1.1.1:1: something new",
    f"{FAILED}something new": "no connection: something new",
    "errors resolving x.invalid:5: [field:hostname lookup error:address lookup failed for x: Domain name not found]": (
        "cannot reach x.invalid:5: there is no such host"
    ),
    "the store is away": "the store is away",
}


@pytest.mark.parametrize("details", SAID)
def test_what_did_not_get_through(details):
    said = in_words(UNAVAILABLE, details, "coordinator")
    assert said == SAID[details]
    assert in_words(UNAVAILABLE, said, "coordinator") == said


@pytest.mark.parametrize("details", [d for d in SAID if "something new" not in d and "store" not in d])
def test_the_reason_is_found_again_in_the_words(details):
    assert why(in_words(UNAVAILABLE, details, "coordinator")) == why(details)


@pytest.mark.parametrize(
    "details",
    [
        "Method not found!",
        "unknown service swit_saga.v1.ParticipantService",
        "unknown method Execute for service swit_saga.v1.ParticipantService",
        "The server does not implement the method /swit_saga.v1.ParticipantService/Execute",
    ],
)
def test_what_answers_is_something_else(details):
    words = "what answers there does not know this call: it is no participant, or an older one"
    assert in_words(UNIMPLEMENTED, details, "participant") == words


def test_what_a_server_says_is_left():
    assert in_words(UNIMPLEMENTED, "pending belongs to a later version", "participant").startswith("pending")
    assert in_words(grpc.StatusCode.DEADLINE_EXCEEDED, "the bank is slow", "participant") == "the bank is slow"
    assert in_words(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "participant") == "no answer in time"
    assert in_words(grpc.StatusCode.INTERNAL, "Method not found!", "participant") == "Method not found!"
