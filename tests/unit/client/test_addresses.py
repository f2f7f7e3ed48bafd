"""Addresses: one rule for coordinators, participants and listening, checked before anything is connected."""

import pytest

from swit_saga import AsyncSagaClient, SagaClient
from swit_saga.addresses import HostPort, check_target, host_port

TAKEN = [
    "localhost:50051", "pay:1", "pay.shop.svc.cluster.local.:65535", "my_pay-1:50051", "127.0.0.1:50051",
    "[::1]:50051", "[fe80::1%eth0]:50051", "dns:///pay:50051", "dns:pay:50051", "dns://8.8.8.8/pay:50051",
    "dns://[::1]:53/pay:50051", "ipv4:10.0.0.1:1,10.0.0.2:2", "ipv6:[::1]:1,[::2]:2", "unix:/run/pay.sock",
    "unix:pay.sock", "unix:///run/pay.sock", "unix-abstract:pay", "xds:///pay", "unix:50051", "http:80",
]  # fmt: skip
REFUSED = {
    "": "empty",
    "pay": "port is missing",
    "pay:": "port is missing",
    ":50051": "host is missing",
    "50051": "neither",
    "nonsense": "port is missing",
    "pay:notaport": "from 1 to 65535",
    "pay:0": "from 1 to 65535",
    "pay:99999": "from 1 to 65535",
    "pay:-1": "from 1 to 65535",
    "pay:00000080": "from 1 to 65535",
    "pay:٣": "from 1 to 65535",
    "127.0.0.1": "port is missing",
    "999.1.1.1:80": "neither a name nor an IPv4",
    "1.2.3:80": "neither a name nor an IPv4",
    "::1": "brackets",
    "fe80::1:50051": "brackets",
    "[::1]": "port is missing",
    "[::1]50051": r"\[ADDRESS\]:PORT",
    "[::1": r"\[ADDRESS\]:PORT",
    "[pay]:1": "not an IPv6",
    " pay:1 ": "space",
    "pay:1\n": "space",
    "p\0y:1": "control character",
    "http://pay:50051": "without a scheme",
    "https://pay:50051/x": "without a scheme",
    "HTTP://pay": "without a scheme",
    "grpc://pay:1": "without a scheme",
    "redis://pay:1": "without a scheme.*, or one of",
    "dns:///pay": "port is missing",
    "dns://pay:1": "dns:///HOST:PORT",
    "dns:///": "dns:///HOST:PORT",
    "ipv4:pay:1": "ipv4:ADDRESS:PORT",
    "ipv4:[::1]:1": "ipv4:ADDRESS:PORT",
    "ipv6:127.0.0.1:1": "ipv6:",
    "ipv6:::1": "brackets|host is missing",
    "unix:": "unix:PATH",
    "unix://run/pay.sock": "unix:PATH",
    "xds:pay": "xds:///NAME",
    "redis:/pay": "from 1 to 65535",
    "PAY": "port is missing",
    "u:s3cret@pay:1": "no user and no password",
    "pay/x:1": "neither a name nor an address",
    "-pay:1": "neither a name nor an address",
    "pay..shop:1": "neither a name nor an address",
    "pay,hotel:1": "neither a name nor an address",
    "a" * 2000 + ":1": "longer than",
}


@pytest.mark.parametrize("text", TAKEN)
def test_taken(text):
    assert check_target(text) == text


@pytest.mark.parametrize("text", REFUSED)
def test_refused_in_words_without_repeating_it(text):
    with pytest.raises(ValueError, match=REFUSED[text]) as refused:
        check_target(text)
    for part in ("s3cret", "50051", "nonsense"):
        assert part not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("text", REFUSED)
async def test_a_client_refuses_it_when_it_is_made(text):
    with pytest.raises(ValueError, match=f"target: .*{REFUSED[text]}"):
        SagaClient(text)
    with pytest.raises(ValueError, match=f"target: .*{REFUSED[text]}"):
        AsyncSagaClient(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.0.0.0:0", HostPort("0.0.0.0", 0)),
        ("[::]:50051", HostPort("::", 50051)),
        ("localhost:65535", HostPort("localhost", 65535)),
    ],
)
def test_where_to_listen(text, found):
    assert host_port(text, port_from=0) == found


@pytest.mark.parametrize(
    "text", ["50051", ":50051", ":99999", "h:99999", "127.0.0.1", "unix:/x", "dns:///h:1", "::", "*:50051", "h:"]
)
def test_where_nobody_can_listen(text):
    with pytest.raises(ValueError, match=r"HOST:PORT|port"):
        host_port(text, port_from=0)
