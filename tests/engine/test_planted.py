"""Bugs planted in the loop, each caught by the tests beside this one, which pass without it."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import pytest

from swit_saga_server.engine import loop
from tests.engine import test_loop
from tests.support.engine import harness as bench

Story = Callable[[Path], Awaitable[None]]

PLANTED: dict[str, tuple[str, str, Story]] = {
    "effect before commit (6)": (
        "            writes = [self._write(entry) for entry in entries]\n",
        "            writes = [self._write(entry) for entry in entries]\n"
        "            for e in entries:\n"
        "                now = self.around.clock.now()\n"
        "                self._take_effect(e.applied, e.pending, e.definition, e.partition, now)\n"
        "            self._send()\n",
        test_loop.test_an_n_step_saga_costs_n_plus_1_writes,
    ),
    "acknowledged before it is durable (1)": (
        "        self._ready[entry.saga_id] = entry\n",
        "        self._ready[entry.saga_id] = entry\n        self._resolve(item, decision.saga, created=created)\n",
        test_loop.test_nothing_is_acknowledged_before_it_is_durable,
    ),
    "duplicate start (13)": (
        "            if known.fingerprint != begin.saga.fingerprint:",
        "            if False:",
        test_loop.TestDuplicateStarts().test_different_request_is_refused,
    ),
    "lost commit reply taken for a failure (4)": (
        "                if not any(held):\n",
        "                if True:\n",
        lambda folder: test_loop.test_a_commit_without_a_verdict_is_made_again_unchanged(folder, "lose_after"),
    ),
    "resubmission is a new commit (4)": (
        "                verdicts = await self.store.commit(writes, leases)\n",
        "                from dataclasses import replace\n"
        "                writes = [replace(w, commit_id=self.around.hex(16)) for w in writes]\n"
        "                verdicts = await self.store.commit(writes, leases)\n",
        lambda folder: test_loop.test_a_commit_without_a_verdict_is_made_again_unchanged(folder, "lose_after"),
    ),
    "restart forgets what was in flight (14)": (
        "                self._put(Item(saga_id, TakenOver()))",
        "                pass",
        test_loop.TestRestart().test_in_flight_steps_are_sent_again,
    ),
    "lost timer (14)": (
        "            self._put(Item(saga_id, Wake()))",
        "            pass",
        test_loop.TestRestart().test_a_pending_saga_is_set_going,
    ),
    "fence taken for success (5)": (
        "                    case Verdict.APPLIED | Verdict.ALREADY_APPLIED:",
        "                    case Verdict.APPLIED | Verdict.ALREADY_APPLIED | Verdict.FENCED:",
        test_loop.test_a_fenced_engine_changes_nothing_and_takes_up_the_saga_again,
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
@pytest.mark.timeout(20)
async def test_planted_bug_is_found(bug, monkeypatch, tmp_path_factory):
    right, wrong, story = PLANTED[bug]
    await story(tmp_path_factory.mktemp("right"))
    source = inspect.getsource(loop)
    assert source.count(right) == 1, f"{right!r} stands {source.count(right)} times in the loop"
    broken = ModuleType("swit_saga_server.engine.broken_loop")
    monkeypatch.setitem(__import__("sys").modules, broken.__name__, broken)
    exec(compile(source.replace(right, wrong), "broken_loop", "exec"), broken.__dict__)
    monkeypatch.setattr(bench, "loop", broken)
    # Whichever way it shows: a failed check, a wrong answer, or none within the time.
    with pytest.raises((Exception, pytest.fail.Exception)):
        async with asyncio.timeout(8):
            await story(tmp_path_factory.mktemp("wrong"))
