"""What is typed, and what is read: taken as it is, or refused with words that say what is wrong with it."""

import json

import pytest

from swit_saga_server.cli.address import coordinator_address
from swit_saga_server.cli.inputs import MAX_BYTES, Unusable, read_data, read_text, some_time
from tests.support.cli.command import run


@pytest.mark.parametrize(
    "address",
    ["localhost:50051", "pay.svc.cluster.local:1", "10.0.0.1:65535", "[::1]:50051", "unix:/run/s.sock", "dns:///x:1"],
)
def test_addresses(address):
    assert coordinator_address(address) == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://pay:50051", "write HOST:PORT, without a scheme"),
        ("pay", "port is missing; write HOST:PORT"),
        ("", "is empty; write HOST:PORT"),
        (":50051", "host is missing"),
        ("pay:", "port is missing"),
        ("pay:http", "a number from 1 to 65535"),
        (" pay:1", "a space or a control character"),
        ("pay:1 ", "a space or a control character"),
        ("pay:1/x", "a number from 1 to 65535"),
        ("::1:50051", "an IPv6 address in brackets"),
        ("pay:0", "a number from 1 to 65535"),
        ("pay:99999", "a number from 1 to 65535"),
        ("pay:" + "9" * 5_000, "longer than 1000 characters"),
    ],
)
def test_what_is_no_address(address, words):
    with pytest.raises(ValueError, match=words):
        coordinator_address(address)


@pytest.mark.parametrize("text", ["0s", "", "5", "-1s", "inf", "3000000d", "9" * 5_000 + "d", "1s1m", "٣s"])
def test_what_is_no_time_to_wait(text):
    with pytest.raises(ValueError, match=r"is not a duration|must be longer|is too long"):
        some_time(text)


@pytest.mark.parametrize("text", ["{}", "null", "[1, 2.5, -0.1, 1e3, 1.10, 123456789012345678901234567890]", '"x"'])
def test_data(text):
    assert read_data(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notjson", "--data: is not JSON: expecting value .line 1, column 1"),
        ("", "--data: is not JSON"),
        ("{} {}", "--data: is not JSON: extra data"),
        ("NaN", "there is no NaN in it"),
        ('{"a": [-Infinity]}', "there is no -Infinity in it"),
        ("1e400", "the number 1e400 would become inf"),
        ("0.12345678901234567890123", "would become 0.12345678901234568; send it as a string"),
        ("9" * 5_000, "a number of 5000 digits is too long"),
        ("[" * 100_000, "lie too deeply"),
        ("@", "--data @: |: "),
        ("@/nowhere/x", "/nowhere/x: no such file or directory"),
        ("@/", "/: is a directory"),
        ("@x\0y", "cannot be read"),
    ],
)
def test_what_is_no_data(text, words):
    with pytest.raises(Unusable, match=words):
        read_data(text)


def test_files(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"\xef\xbb\xbf{}")
    assert read_data(f"@{file}") == {}
    for content, words in ((b"{\xff}", "is not UTF-8 .byte 1 is 0xff"), (b" " * (MAX_BYTES + 1), "is longer than")):
        file.write_bytes(content)
        with pytest.raises(Unusable, match=words):
            read_text(str(file))
    with pytest.raises(Unusable, match="is longer than"):
        read_text("/dev/zero")


WRONG = [
    (["list", "--state", "bogus"], "'bogus' is not one of 'pending', 'running', 'step_completed'"),
    (["list", "--limit", "0"], "'--limit': it must be at least 1"),
    (["list", "--limit", "many"], "'--limit': it must be a whole number"),
    (["watch", "o", "--after", "-1"], "'--after'"),
    (["watch", "o", "--after", "9" * 30], "'--after'"),
    (["start", "d", "--data", "notjson"], "--data: is not JSON"),
    (["start", "d", "--data", "NaN"], "--data: is not JSON: there is no NaN in it"),
    (["start", "d", "--data", "@/nowhere"], "/nowhere: no such file or directory"),
    (["start", "d", "--id", ""], "'--id': it is empty"),
    (["start", "d", "--label", "novalue"], "KEY=VALUE"),
    (["start", "d", "--label", "a=1", "--label", "a=2"], "is given twice for 'a'"),
    (["get", "o", "--timeout", "5"], "'5' is not a duration"),
    (["get", "o", "--address", "http://x:1"], "without a scheme"),
    (["get", "\udcff"], "is no Unicode text"),
    (["start", "d", "--data", '"\\ud800"'], "holds half a character"),
    (["definitions", "apply", "/nowhere"], "/nowhere: no such file or directory"),
    (["definitions", "apply", "/"], "/: is a directory"),
    (["definitions", "dance"], "No such command 'dance'"),
    (["dance"], "No such command 'dance'"),
    (["get"], "Missing argument 'ID'"),
    (["get", "a", "b"], "unexpected extra argument"),
    (["get", "--bogus", "a"], "No such option: --bogus"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else "")
async def test_wrong_usage_is_one_line_and_exit_code_2(words, message, monkeypatch):
    said = await run(monkeypatch, *words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said
    assert message in said.err


async def test_standard_input(monkeypatch):
    said = await run(monkeypatch, "start", "d", "--data", "-", stdin=b"{")
    assert (said.code, said.err.startswith("swit-saga: --data -: is not JSON")) == (2, True)
    said = await run(monkeypatch, "definitions", "apply", "-", stdin=b"id: 3")
    assert said.err.startswith("swit-saga: standard input: the definition: id: must be text, not 3")


@pytest.mark.parametrize("words", [(), ("definitions",)])
async def test_a_group_alone_shows_its_help(words, monkeypatch):
    said = await run(monkeypatch, *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: swit-saga")
