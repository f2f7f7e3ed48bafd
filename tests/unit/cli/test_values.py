"""Values that steps were given and returned, and those too large for a message, at the command line."""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from swit_saga import Participant, Saga, Step
from tests.support.cli.command import Cli, run
from tests.support.logs import logged
from tests.support.rpc.serve import serve

MIB = 1 << 20


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    with logged():
        yield partial(run, monkeypatch)


def store() -> Participant:
    made = Participant("store")

    @made.step("pack")
    async def pack(data: Any) -> dict[str, str]:
        return {"box": "[red]" + "x" * (MIB - 100)}

    @made.step("seal")
    async def seal(data: Any) -> bytes:
        return bytes(MIB)

    @made.step("name")
    async def name() -> str:
        return "a\x1b[31m"

    return made


async def test_what_was_left_out_can_be_asked_for(tmp_path, monkeypatch, cli):
    names = ("pack", "pack 2", "seal", "name")
    steps = [Step(name, "store", name.split()[0], compensation=False) for name in names]
    async with serve(tmp_path, [store()]) as s:
        monkeypatch.setenv("SWIT_SAGA_ADDRESS", s.address)
        handle = await s.client.start(Saga("parcel", steps), "i" * MIB, saga_id="o 1")
        assert (await handle.wait()).state == "completed"

        said = await cli("get", "o 1")
        assert said.code == 0
        last = said.out.splitlines()[-1]
        found = re.fullmatch(r"1\.0 MB of values left out, .*; swit-saga get 'o 1' --step (.*)", last)
        assert found is not None, last
        step = {"pack": "pack", "'pack 2'": "pack 2", "seal": "seal"}[found[1]]
        proto = json.loads((await cli("get", "o 1", "--json")).out)
        shown = {s["id"]: s for s in proto["step_states"]}[step]
        assert shown["output_data"].keys() == {"content_type", "omitted_bytes"}

        one = await cli("get", "o 1", "--step", "pack 2")
        assert "1.0 MB in all; --json has it" in one.out
        assert 'output  {"box":"[red]xxx' in one.out
        assert "left out" not in one.out
        whole = json.loads((await cli("get", "o 1", "--json", "--step", "pack 2")).out)
        assert len(whole["step_states"][0]["output_data"]["text"]) > MIB - 100

        end = await cli("get", "o 1", "--step", "seal", "--step", "name")
        assert "  input   (1.0 MB of application/octet-stream)" in end.out
        assert r"  output  a\x1b[31m" in end.out
        wrong = await cli("get", "o 1", "--step", "nobody")
        assert (wrong.code, wrong.out) == (1, "")
        assert "has no step 'nobody'" in wrong.err


async def test_a_saga_that_fits_has_nothing_left_out(tmp_path, monkeypatch, cli):
    async with serve(tmp_path, [store()]) as s:
        monkeypatch.setenv("SWIT_SAGA_ADDRESS", s.address)
        handle = await s.client.start(Saga("small", [Step("name", "store", compensation=False)]), saga_id="o-1")
        await handle.wait()
        assert "left out" not in (await cli("get", "o-1")).out
        assert "input   (none)" in (await cli("get", "o-1", "--step", "name")).out
