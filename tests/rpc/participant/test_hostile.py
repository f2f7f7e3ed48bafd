"""A participant that answers what nobody expects, by calls and by the stream: each saga ends as it should, whatever was
said to the others, and can be got, listed, watched and shown.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from swit_saga import Saga, Step, fixed
from swit_saga.v1.participant_service_pb2 import CompensateRequest
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.participant.raw import Asked, raw_participant
from tests.support.wire.hostile import COMPLETED, LIMIT, REJECTED, UNKNOWN, UNUSABLE, completed, tagged

DONE = tagged(1, b"")
RETRY = fixed("10ms", max_attempts=2)
TWO = Saga("two", [Step("a", "p"), Step("b", "p")], retry=RETRY, compensation_retry=RETRY, timeout="60s")
DOUBTED = Saga("doubted", [Step("a", "p"), Step("b", "p", timeout="300ms")], retry=RETRY, timeout="60s")
"""What is in doubt is undone once its time is over."""

EXPECTED: dict[str, tuple[bytes, str]] = {
    **{f"rejected: {name}": (raw, "compensated") for name, raw in REJECTED.items()},
    **{f"unusable: {name}": (raw, "compensated") for name, (raw, _) in UNUSABLE.items()},
    **{f"completed: {name}": (raw, "completed") for name, raw in COMPLETED.items()},
    **{f"unknown: {name}": (raw, "compensated") for name, (raw, _) in UNKNOWN.items()},
    "unknown: garbage": (b"\xff\xff\xff", "compensated"),
}


def config(folder: Path, port: int, **coordinator: Any) -> SagaConfig:
    return SagaConfig.load(
        overrides={
            "coordinator": {"step_timeout": "20s", **coordinator},
            "storage": {"connection": str(folder / "saga.db")},
            "participants": {"p": {"address": f"127.0.0.1:{port}"}},
        }
    )


@pytest.mark.parametrize("streams", [False, True], ids=["calls", "stream"])
async def test_every_saga_ends_as_it_should_and_can_be_read(streams: bool, tmp_path: Path) -> None:
    undone: dict[str, list[str]] = {}

    def says(asked: Asked) -> bytes:
        c = asked.command
        if isinstance(asked, CompensateRequest):
            undone.setdefault(c.saga_id, []).append(f"{c.step_id} {asked.certainty}")
            return EXPECTED[names[c.saga_id]][0] if names[c.saga_id].startswith("completed") else DONE
        return DONE if c.step_id == "a" else EXPECTED[names[c.saga_id]][0]

    names = {f"s{n}": name for n, name in enumerate(EXPECTED)}
    async with (
        raw_participant(says, streams=streams) as port,
        Coordinator.open(config(tmp_path, port, max_payload_bytes=LIMIT)) as c,
    ):
        async with asyncio.timeout(60):
            handles = {
                id_: await c.start(DOUBTED if name.startswith("unknown") else TWO, {}, saga_id=id_)
                for id_, name in names.items()
            }
            ended = {names[id_]: (await handle.wait()).state for id_, handle in handles.items()}
        assert ended == {name: state for name, (_, state) in EXPECTED.items()}
        for id_, name in names.items():
            view = await c.get(id_)
            json.dumps(MessageToDict(view.proto))
            kind, _, what = name.partition(": ")
            attempts = [step.attempts for step in view.steps]
            match kind:
                case "rejected":
                    assert undone[id_] == ["a 1"], "b has no effect, and nobody asks for it to be undone"
                    assert attempts[1] == 1
                case "unusable":
                    assert undone[id_] == ["b 1", "a 1"], "b was done for certain"
                    assert attempts[1] == 1
                    assert view.steps[1].error is not None
                    assert view.steps[1].error.code == UNUSABLE[what][1]
                case "unknown":
                    assert undone[id_] == ["b 2", "a 1"], "b may have been done"
                case "completed":
                    assert id_ not in undone
            assert [e.sequence async for e in handles[id_].watch()] == list(range(1, view.last_sequence + 1))
        assert len([saga async for saga in c.list()]) == len(names)


@pytest.mark.parametrize("streams", [False, True], ids=["calls", "stream"])
async def test_a_compensation_is_done_or_not_whatever_it_returns(streams: bool, tmp_path: Path) -> None:
    """Also what cannot be used as an output."""

    def says(asked: Asked) -> bytes:
        if isinstance(asked, CompensateRequest):
            return bodies[asked.command.saga_id]
        return DONE if asked.command.step_id == "a" else tagged(2, b"")

    bodies = {f"{n}-done": raw for n, (raw, _) in enumerate(UNUSABLE.values())}
    bodies |= {f"{n}-stuck": raw for n, raw in enumerate(REJECTED.values())}
    async with raw_participant(says, streams=streams) as port, Coordinator.open(config(tmp_path, port)) as c:
        for id_ in bodies:
            await c.start(TWO, {}, saga_id=id_)
        for id_ in bodies:
            ended = await c.handle(id_).wait()
            assert ended.state == ("compensated" if id_.endswith("done") else "failed")
            assert ended.steps[0].compensation_state is not None
            assert ended.steps[0].compensation_state.attempts == 1


async def test_an_output_that_is_exactly_the_limit_is_handed_on(tmp_path: Path) -> None:
    raw = completed(b"\x0a\x03a/b" + tagged(2, b"x" * LIMIT))
    async with (
        raw_participant(lambda _: raw, streams=True) as port,
        Coordinator.open(config(tmp_path, port, max_payload_bytes=LIMIT)) as c,
    ):
        assert (await (await c.start(TWO, {})).wait()).state == "completed"
