"""Bugs planted in the loop, each caught by the tests beside this one, which pass without it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from swit_saga_server.core.errors import CoordinatorUnavailable
from tests.engine import test_loop
from tests.support.planting import Bug, caught

Story = Callable[[Path], Awaitable[None]]

ENGINE = "swit_saga_server.engine"


async def a_reply_is_lost(folder: Path) -> None:
    try:
        await test_loop.test_a_commit_without_a_verdict_is_made_again_unchanged(folder, "lose_after")
    except CoordinatorUnavailable as refused:
        pytest.fail(f"a start was given up before there was a verdict: {refused}")


PLANTED: tuple[tuple[Bug, Story], ...] = (
    (
        Bug(
            name="effect before commit",
            invariants="6",
            module=f"{ENGINE}.rounds",
            function="Rounds.begin",
            right="changed = [entry for entry in entries if entry.pending is not entry.applied]",
            wrong="""
                changed = [entry for entry in entries if entry.pending is not entry.applied]
                for e in changed:
                    epoch, now = self._ownership.leases[e.partition].epoch, self._env.clock.now()
                    outbox = self._applying._outbox
                    outbox.add(e.applied, e.pending, e.definition, e.partition, epoch, now, e.items)
                    outbox.send()
                """,
        ),
        test_loop.test_an_n_step_saga_costs_n_plus_1_writes,
    ),
    (
        Bug(
            name="acknowledged before it is durable",
            invariants="1",
            module=f"{ENGINE}.deciding",
            function="Deciding._fold",
            right="self._working_set.make_ready(entry)",
            wrong="""
                self._working_set.make_ready(entry)
                if item.waiter is not None:
                    item.waiter.succeed((decision.saga, created))
                """,
        ),
        test_loop.test_nothing_is_acknowledged_before_it_is_durable,
    ),
    (
        Bug(
            name="duplicate start",
            invariants="13",
            module=f"{ENGINE}.deciding",
            function="Deciding._begin",
            right="if known.fingerprint != begin.saga.fingerprint:",
            wrong="if False:",
        ),
        test_loop.TestDuplicateStarts().test_different_request_is_refused,
    ),
    (
        Bug(
            name="lost commit reply taken for a failure",
            invariants="4",
            module=f"{ENGINE}.rounds",
            function="Rounds._verdicts",
            right="if not any(held):",
            wrong="if True:",
        ),
        a_reply_is_lost,
    ),
    (
        Bug(
            name="resubmission is a new commit",
            invariants="4",
            module=f"{ENGINE}.rounds",
            function="Rounds._verdicts",
            right="verdicts = await self._store.commit(writes, leases)",
            wrong="""
                from dataclasses import replace
                writes = [replace(w, commit_id=self._env.hex(16)) for w in writes]
                verdicts = await self._store.commit(writes, leases)
                """,
        ),
        a_reply_is_lost,
    ),
    (
        Bug(
            name="restart forgets what was in flight",
            invariants="14",
            module=f"{ENGINE}.takeover",
            function="Takeover.taken",
            right="self._mailbox.put(Item(saga_id, TakenOver()))",
            wrong="pass",
        ),
        test_loop.TestRestart().test_in_flight_steps_are_sent_again,
    ),
    (
        Bug(
            name="lost timer",
            invariants="14",
            module=f"{ENGINE}.wakeups",
            function="Wakeups._fire",
            right="self._mailbox.put(Item(saga_id, Wake()))",
            wrong="pass",
        ),
        test_loop.TestRestart().test_a_pending_saga_is_set_going,
    ),
    (
        Bug(
            name="fence taken for success",
            invariants="5",
            module=f"{ENGINE}.rounds",
            function="Rounds._settle",
            right="case Verdict.APPLIED | Verdict.ALREADY_APPLIED:",
            wrong="case Verdict.APPLIED | Verdict.ALREADY_APPLIED | Verdict.FENCED:",
        ),
        test_loop.test_a_fenced_engine_changes_nothing_and_takes_up_the_saga_again,
    ),
)


@pytest.mark.parametrize(("bug", "story"), PLANTED, ids=[bug.name for bug, _ in PLANTED])
@pytest.mark.timeout(20)
async def test_planted_bug_is_found(bug, story, tmp_path_factory):
    await story(tmp_path_factory.mktemp("right"))
    with caught(bug):
        async with asyncio.timeout(8):
            await story(tmp_path_factory.mktemp("wrong"))
