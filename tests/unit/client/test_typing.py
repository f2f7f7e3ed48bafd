"""What a type checker says to programs that use the client: right ones pass, slips are found."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

USE = """
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from swit_saga import (
    AsyncSagaClient,
    Codecs,
    ErrorView,
    EventView,
    Participant,
    Reject,
    Saga,
    SagaClient,
    SagaHandle,
    SagaView,
    Step,
    StepContext,
    CompensationView,
)
from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga_server.coordinator import Coordinator

@dataclass
class Hold:
    key: str

DEFINITION = Saga("d", [Step("a", "shop")])

def plain() -> None:
    c = SagaClient("x", timeout="5s", metadata={"a": "b"})
    SagaClient("x", tiemout="5s")                                  # refused: call-arg
    SagaClient("x", timeout=5)                                     # refused: arg-type
    SagaClient("x", channel=None)                                  # refused: call-arg
    assert_type(c.start("d", {"n": 1}, timeout=timedelta(seconds=5), labels={"a": "b"}), str)
    c.start("d", timeuot=5)                                        # refused: call-arg
    c.start("d", timeout=5)                                        # refused: arg-type
    c.start(DEFINITION, labels={"a": 1})                           # refused: dict-item
    c.start(17)                                                    # refused: arg-type
    assert_type(c.result("o-1", Hold), Hold)
    assert_type(c.result("o-1", list[Hold]), list[Hold])
    assert_type(c.result("o-1"), Any)
    c.result("o-1", Hold | None)
    c.result("o-1", Hold).kee                                      # refused: attr-defined
    c.result("o-1", kidn=Hold)                                     # refused: call-overload
    assert_type(c.list(active=True, created_from=datetime.now()), Iterator[SagaView])
    c.list(staets=["running"])                                     # refused: call-arg
    c.list(created_from="today")                                   # refused: arg-type
    assert_type(c.watch("o-1", after=3), Iterator[EventView])
    assert_type(c.register(DEFINITION), int)
    assert_type(c.definition("d"), SagaDefinition)
    assert_type(c.definitions.validate(DEFINITION), tuple[tuple[str, str], ...])
    assert_type(c.definitions.list("d"), Iterator[SagaDefinition])
    c.definitions.disable("d")                                     # refused: call-arg
    assert_type(c.operator.retry("o-1", "for the third time"), SagaView)
    c.operator.retyr("o-1")                                        # refused: attr-defined
    c.health()

async def awaited(c: AsyncSagaClient) -> None:
    AsyncSagaClient("x", tiemout="5s")                             # refused: call-arg
    handle = await c.start(DEFINITION, Hold("k"))
    assert_type(handle, SagaHandle)
    await c.start("d", timeuot=5)                                  # refused: call-arg
    assert_type(await handle.result(Hold), Hold)
    assert_type(await c.result("o-1", Hold), Hold)
    (await handle.result(Hold)).kee                                # refused: attr-defined
    assert_type(c.list(states=["running"]), AsyncIterator[SagaView])
    assert_type(handle.watch(after=3), AsyncIterator[EventView])
    assert_type(await c.definitions.get("d", 1), SagaDefinition)

def looked_at(saga: SagaView, event: EventView) -> None:
    assert_type(saga.state, str)
    assert_type(saga.is_active, bool)
    assert_type(saga.created_at, datetime)
    assert_type(saga.deadline, datetime | None)
    assert_type(saga.timeout, timedelta | None)
    assert_type(saga.result_data(Hold), Hold | None)
    assert_type(saga.error, ErrorView | None)
    assert_type(saga.steps[0].input(Hold), Hold | None)
    assert_type(saga.steps[0].compensation_state, CompensationView | None)
    assert_type(event.data(Hold), Hold | None)
    saga.state = "completed"                                       # refused: assignment
    saga.staet                                                     # refused: attr-defined
    saga.deadline.year                                             # refused: union-attr

participant = Participant("shop", threads=4)
Participant("shop", thraeds=4)                                     # refused: call-arg

@participant.step("a")
async def do(hold: Hold, step: StepContext) -> str:
    assert_type(step.initial_data(Hold), Hold | None)
    return step.key

@do.compensate
async def undo(hold: Hold) -> None: ...

@participant.step("b")
def plainly(hold: Hold | None) -> Hold:
    raise Reject("NO_STOCK", "none", details={"n": 1}, type="data")

assert_type(plainly(None), Hold)
Reject("NO_STOCK", ValueError("none"))                             # refused: arg-type
Reject("NO_STOCK", tpye="data")                                    # refused: call-arg
Reject("NO_STOCK", type="dta")                                     # refused: arg-type
participant.step(7)                                                # refused: arg-type
participant.step("c", retires=3)                                   # refused: call-arg

codecs = Codecs()
assert_type(codecs.decode(None, Hold), Hold)
assert_type(codecs.decode(None), Any)
Codecs(hoks=[])                                                    # refused: call-arg
Step("a", "shop", timeuot="5s")                                    # refused: call-arg
Saga("d", [Step("a", "shop")], timeout=5)                          # refused: arg-type

async def embedded() -> None:
    async with Coordinator.open(participants=[participant]) as c:
        assert_type(c, Coordinator)
        handle = await c.start(DEFINITION, Hold("k"), timeout="5s")
        assert_type(handle, SagaHandle)
        assert_type(await handle.result(Hold), Hold)
        assert_type(await c.result("o-1", Hold, timeout="5s"), Hold)
        assert_type(await c.get("o-1"), SagaView)
        await c.start("d", timeuot=5)                              # refused: call-arg
        await c.result("o-1", Hold, tiemout="5s")                  # refused: call-overload
        await handle.wait(tiemout="5s")                            # refused: call-arg
    Coordinator.open(particpants=[participant])                    # refused: call-arg
    Coordinator.open(config={"storage": {}})                       # refused: arg-type

async def tested() -> None:
    assert_type(await do(Hold("k"), StepContext(1)), str)          # refused: call-arg, arg-type
    await undo(Hold("k"))
    await undo("k")                                                # refused: arg-type
"""


def test_right_use_passes_and_slips_are_found(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(USE)
    # Without this project's settings: as a user has it.
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'program'}", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, str(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
    assert ran.stderr == ""
    found: dict[int, set[str]] = {}
    for line in re.finditer(r"^program\.py:(\d+): error: .*\[([a-z-]+)\]$", ran.stdout, re.MULTILINE):
        found.setdefault(int(line[1]), set()).add(line[2])
    expected = {
        number: set(said[1].split(", "))
        for number, line in enumerate(USE.splitlines(), start=1)
        if (said := re.search(r"# refused: (.+)$", line))
    }
    assert found == expected, ran.stdout
