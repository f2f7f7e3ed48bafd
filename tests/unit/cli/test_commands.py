"""The commands against a real server: what they print, and their exit codes."""

import json
import re
from collections.abc import Iterator
from functools import partial

import pytest

from swit_saga import Saga, Step
from tests.support.cli.command import Cli, Said, run
from tests.support.logs import logged
from tests.support.rpc.serve import serve

FILE = """
definitions:
  - id: order
    timeout: 30m
    retry_policy: {backoff: fixed, initial_delay: 20ms, max_attempts: 2}
    steps:
      - {id: reserve, participant: shop, timeout: 5s}
      - {id: pay, participant: shop, timeout: 1m30s, compensation: {retry_policy: {jitter: none}}}
  - id: other
    steps: [{id: reserve, participant: shop}]
"""


@pytest.fixture
def cli(monkeypatch) -> Iterator[Cli]:
    monkeypatch.setenv("COLUMNS", "200")
    with logged():  # The server's, which is in this process; they would be in the output.
        yield partial(run, monkeypatch)


async def test_a_saga_by_hand(tmp_path, monkeypatch, cli):
    (tmp_path / "order.yaml").write_text(FILE)
    (tmp_path / "data.json").write_text('{"n": 1}')
    async with serve(tmp_path) as s:
        monkeypatch.setenv("SWIT_SAGA_ADDRESS", s.address)
        for _ in range(2):
            applied = await cli("definitions", "apply", str(tmp_path / "order.yaml"))
            assert applied == Said(0, "order version 1\nother version 1\n", "")
        stored = await s.client.definition("order")
        assert stored.timeout.ToSeconds() == 1800
        assert stored.steps[1].timeout.ToSeconds() == 90

        started = await cli("start", "order", "--data", f"@{tmp_path / 'data.json'}", "--id", "o-1", "--label", "r=eu")
        assert started == Said(0, "o-1\n", "")
        again = await cli("start", "order", "--data", '{"n": 1}', "--id", "o-1", "--label", "r=eu", "--json")
        assert json.loads(again.out) == {"id": "o-1", "created": False}

        watched = await cli("watch", "o-1")
        lines = [line.split() for line in watched.out.splitlines()]
        assert [int(words[0]) for words in lines] == list(range(1, len(lines) + 1))
        assert (lines[0][2], lines[-1][2]) == ("saga.started", "saga.completed")
        rest = await cli("watch", "o-1", "--after", "2", "--json")
        assert [json.loads(line)["sequence"] for line in rest.out.splitlines()] == [str(w[0]) for w in lines[2:]]

        got = await cli("get", "o-1")
        assert re.search(r"^state +completed$", got.out, re.M)
        assert re.search(r"^ *pay +completed +1/2", got.out, re.M)
        shown = json.loads((await cli("get", "o-1", "--json")).out)
        assert (shown["state"], shown["labels"]) == ("SAGA_STATE_COMPLETED", {"r": "eu"})
        assert len(shown["step_states"]) == 2

        listed = await cli("list", "--state", "completed", "--label", "r=eu", "--json")
        assert [json.loads(line)["id"] for line in listed.out.splitlines()] == ["o-1"]
        assert "o-1" in (await cli("list")).out
        assert (await cli("list", "--state", "failed", "--json")).out == ""


async def test_exit_codes_of_outcomes(tmp_path, cli):
    (tmp_path / "order.yaml").write_text(FILE)
    async with serve(tmp_path) as s:
        to = ("--address", s.address)
        await cli("definitions", "apply", str(tmp_path / "order.yaml"), *to)
        fine = await cli("start", "order", "--data", "{}", "--wait", *to)
        assert (fine.code, "completed" in fine.out) == (0, True)
        undone = await cli("start", "order", "--data", '{"pay": "rejected"}', "--wait", "--json", *to)
        assert undone.code == 3
        assert json.loads(undone.out)["state"] == "SAGA_STATE_COMPENSATED"


async def test_a_step_that_could_not_be_undone_shows_both_errors(tmp_path, cli):
    (tmp_path / "order.yaml").write_text(FILE)
    async with serve(tmp_path) as s:
        to = ("--address", s.address)
        await cli("definitions", "apply", str(tmp_path / "order.yaml"), *to)
        data = '{"pay": "rejected", "release": "rejected"}'
        got = await cli("start", "order", "--data", data, "--wait", *to)
    assert got.code == 3
    reserve, pay = (line for line in got.out.splitlines() if re.match("(reserve|pay) ", line))
    assert re.match(r"reserve +failed +1/2 +undoing it failed \(1/\d+\): STUCK: cannot be put back", reserve)
    assert re.match(r"pay +failed +1/2 +NO_FUNDS: no money$", pay)
    error, *because = re.findall(r"^(?:error|because) +(\w+):", got.out, re.M)
    assert (error, because[:2]) == ("COMPENSATION_FAILED", ["STUCK", "NO_FUNDS"])


async def test_cancel(tmp_path, cli):
    async with serve(tmp_path) as s:
        handle = await s.client.start(Saga("slow", [Step("reserve", "shop", delay="1h")]), {})
        cancelled = await cli("cancel", handle.id, "--reason", "not wanted", "--json", "--address", s.address)
        assert cancelled.code == 0
        assert json.loads(cancelled.out)["stop_reason"] == "not wanted"
        assert (await handle.wait()).state == "cancelled"


async def test_refusals_are_a_line_with_a_reason(tmp_path, cli):
    async with serve(tmp_path) as s:
        to = ("--address", s.address)
        for words in (("get", "nope"), ("cancel", "nope"), ("watch", "nope")):
            refused = await cli(*words, *to)
            assert (refused.code, refused.out) == (1, "")
            assert re.fullmatch(r"swit-saga: .* \[SAGA_NOT_FOUND\]\n", refused.err)
        unknown = await cli("start", "nope", *to)
        assert (unknown.code, unknown.err.endswith("[DEFINITION_NOT_FOUND]\n")) == (1, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: x\nsteps: [{id: a, participant: p, timeuot: 3s}]", r"steps\[0\]: there is no 'timeuot'; known are id, "),
        ("id: x\nsteps: [{id: a, timeout: 30}]", r"steps\[0\].timeout: 30 is not a duration"),
        ("id: x\nretry_policy: {backoff: never}", r"backoff: 'never' is not one of none, fixed, linear, exponential"),
        ("id: x\nid: y", r"'id' comes twice \(line 2, column 1\)"),
        ("definitions: 3", r"'definitions' must be a list"),
        ("[]", r"must be a mapping"),
        ("id: 3", r"x\.yaml: "),
    ],
)
async def test_a_bad_definition_file(tmp_path, cli, text, message):
    """Found before anything is sent: nobody listens at the address."""
    (tmp_path / "x.yaml").write_text(text)
    refused = await cli("definitions", "apply", str(tmp_path / "x.yaml"), "--address", "127.0.0.1:1")
    assert (refused.code, refused.out) == (1, "")
    assert re.match(r"swit-saga: .*x\.yaml: ", refused.err)
    assert re.search(message, refused.err)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["start", "order", "--label", "novalue"], 2, "KEY=VALUE"),
        (["serve", "--participant", "novalue"], 2, "NAME=ADDRESS"),
        (["dance"], 2, "No such command"),
        (["get"], 2, "Missing argument"),
        (["start", "order", "--data", "{"], 2, "swit-saga: --data: is not JSON: "),
        (["start", "order", "--data", "@nowhere.json"], 2, "nowhere.json"),
    ],
)
async def test_wrong_usage(cli, words, code, message):
    refused = await cli(*words)
    assert (refused.code, message in refused.err) == (code, True), refused
    assert "Traceback" not in refused.err


async def test_a_bad_configuration(tmp_path, cli):
    (tmp_path / "saga.yaml").write_text("server: {listne: x}\nmonitoring: {}\n")
    refused = await cli("serve", "--config", str(tmp_path / "saga.yaml"))
    assert (refused.code, refused.out) == (1, "")
    assert re.match(r"swit-saga: .*saga\.yaml: server\.listne: .*did you mean listen\?", refused.err)


@pytest.mark.parametrize("command", ["serve", "dev", "start", "list", "watch"])
async def test_help(cli, command):
    helped = await cli(command, "--help")
    assert helped.code == 0
    assert re.search(rf"Usage: .*{command}", helped.out)
    assert "--" in helped.out
