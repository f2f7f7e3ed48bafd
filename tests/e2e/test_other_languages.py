"""Participants in Go and TypeScript, written from the protos by docs/participants.md, on stock gRPC servers."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from swit_saga import Participant, Reject, Saga, Step, fixed
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.link import Link, linked
from tests.support.other_languages import COMMANDS, Told, participant

STEP_S = float(os.environ.get("OTHER_LANGUAGES_STEP_S", "1.5"))
"""How long the long steps take. Servers take pings for abuse after some minutes only, so `make other-languages
STEP_S=180` is worth something."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60 + 3 * STEP_S),
    pytest.mark.parametrize("language", COMMANDS),
]

ORDER = {"product": "apple", "seconds": 0}
LONG = {"product": "apple", "seconds": STEP_S}


def reserving(timeout_s: float = STEP_S + 30, max_attempts: int = 5) -> Saga:
    retry = fixed("50ms", max_attempts=max_attempts)
    return Saga("order", [Step("reserve", "inventory", timeout=f"{timeout_s}s", retry=retry)])


def paying() -> Saga:
    return Saga("order", [Step("reserve", "inventory"), Step("pay", "payment", compensation=False)])


def poor() -> Participant:
    payment = Participant("payment")

    @payment.step("pay")
    async def pay() -> None:
        raise Reject("NO_FUNDS", "no money")

    return payment


@asynccontextmanager
async def running(language: str, folder: Path) -> AsyncIterator[tuple[Coordinator, Told, Link]]:
    """The participant, a coordinator, and the link between them."""
    async with participant(language) as told, linked(Link(told.port)) as link:
        config = SagaConfig.load(
            overrides={
                "storage": {"connection": str(folder / "saga.db")},
                "participants": {"inventory": {"address": f"127.0.0.1:{link.port}"}},
            }
        )
        async with Coordinator.open(config, participants=[poor()]) as coordinator:
            yield coordinator, told, link


def key_of(told: Told) -> str:
    """Of the first command."""
    return told.lines[0].split()[1]


async def test_a_saga_completes_or_is_rejected(language, tmp_path):
    async with running(language, tmp_path) as (coordinator, told, _):
        first = await coordinator.start(reserving(), ORDER)
        hold: dict[str, Any] = await first.result(dict)
        assert hold == {"key": key_of(told), "product": "apple", "left": 0}
        second = await (await coordinator.start(reserving(), ORDER)).wait()
        assert second.state == "compensated"
        assert second.error is not None
        assert (second.error.code, second.error.message) == ("OUT_OF_STOCK", "no apple left")
        assert (second.steps[0].attempts, second.steps[0].effect) == (1, "none")


async def test_what_was_done_is_undone(language, tmp_path):
    async with running(language, tmp_path) as (coordinator, _, _link):
        undone = await (await coordinator.start(paying(), ORDER)).wait()
        assert undone.state == "compensated"
        assert undone.error is not None
        assert undone.error.code == "NO_FUNDS"
        again: dict[str, Any] = await (await coordinator.start(reserving(), ORDER)).result(dict)
        assert again["left"] == 0, "the one there was is back"


async def test_a_duplicate_joins_what_is_under_way(language, tmp_path):
    async with running(language, tmp_path) as (coordinator, told, link):
        handle = await coordinator.start(reserving(), LONG)
        await told.until("began")
        link.cut()
        await told.until("joined")
        hold: dict[str, Any] = await handle.result(dict)
        assert hold["left"] == 0
        assert told.of(key_of(told)) == ["began", "joined"]
        assert link.fired["cut"] == 1


async def test_a_long_step_is_left_alone(language, tmp_path):
    """No pings that a stock server takes for abuse: it would end the connection in mid-step."""
    async with running(language, tmp_path) as (coordinator, told, _):
        saga = await (await coordinator.start(reserving(), LONG)).wait()
        assert saga.state == "completed"
        assert saga.steps[0].attempts == 1
        assert told.lines == [f"began {key_of(told)} attempt 1"]


async def test_an_undo_waits_for_what_is_under_way(language, tmp_path):
    """The coordinator has given up: the participant still runs when its Compensate comes."""
    async with running(language, tmp_path) as (coordinator, _, _link):
        slow: dict[str, Any] = {"product": "apple", "seconds": 3.5}
        undone = await (await coordinator.start(reserving(timeout_s=1, max_attempts=1), slow)).wait()
        assert undone.state == "compensated"
        assert undone.error is not None
        assert undone.error.code == "RETRY_EXHAUSTED"
        assert undone.completed_at is not None
        # Sent after the timeout and two seconds, it is answered when the step has ended.
        assert undone.completed_at - undone.created_at > timedelta(seconds=slow["seconds"])
        again: dict[str, Any] = await (await coordinator.start(reserving(), ORDER)).result(dict)
        assert again["left"] == 0, "the effect came before its undo"
