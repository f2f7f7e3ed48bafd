"""Bugs to be found: plausible mistakes, put into the real code (or the simulated store) for the length of a run.

Written apart from the simulator and its checker, which were not changed for any of them.
``python -m tests.support.simulation.planted --table`` counts the seeds each needs and writes docs/reliability.md;
``--only NAME`` runs one and tells what it led to.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from swit_saga_server.core import machine
from swit_saga_server.engine import loop, remote
from swit_saga_server.service import watching
from tests.support.simulation import store
from tests.support.simulation.oracle import wrong
from tests.support.simulation.world import plan, run

SEEDS = 10_000
DOCUMENT = Path(__file__).parents[3] / "docs" / "reliability.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One mistake.

    Attributes:
        name: What it is.
        invariants: That it should break, by its nature.
        module: Where.
        right: The right text; stands there exactly once.
        wrong: What is put in its place.
        why: How one comes to write this.
    """

    name: str
    invariants: str
    module: ModuleType
    right: str
    wrong: str
    why: str

    @contextmanager
    def installed(self) -> Iterator[None]:
        """In force while the context lasts: the functions whose code differs get the broken code."""
        changes = _changes(self)
        try:
            for function, _, broken in changes:
                function.__code__ = broken
            yield
        finally:
            for function, sound, _ in changes:
                function.__code__ = sound


@cache
def _changes(bug: Bug) -> list[tuple[FunctionType, CodeType, CodeType]]:
    """The functions that a bug changes, with their sound and their broken code."""
    source = inspect.getsource(bug.module)
    assert source.count(bug.right) == 1, f"{bug.name}: {bug.right!r} stands {source.count(bug.right)} times"
    broken = _codes(compile(source.replace(bug.right, bug.wrong), inspect.getfile(bug.module), "exec"))
    found = [(f, f.__code__, broken[name]) for name, f in _functions(bug.module) if name in broken]
    changes = [(f, sound, code) for f, sound, code in found if not _same(sound, code)]
    assert changes, f"{bug.name}: no function differs"
    return changes


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """All functions and methods of a module, by qualified name."""
    owners = [module, *(v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)]
    for owner in owners:
        for value in vars(owner).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                yield value.__qualname__, value


def _codes(code: CodeType) -> dict[str, CodeType]:
    found: dict[str, CodeType] = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found[constant.co_qualname] = constant
            found |= _codes(constant)
    return found


def _same(one: CodeType, other: CodeType) -> bool:
    """Equal but for the lines they stand on."""

    def plain(code: CodeType) -> tuple[Any, ...]:
        constants = tuple(plain(c) if isinstance(c, CodeType) else (type(c), c) for c in code.co_consts)
        return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars

    return plain(one) == plain(other)


BUGS = (
    Bug(
        name="no epoch check", invariants="5", module=store,
        right="judged.append((write, lease, self._judge(write, fenced=not self._is_current(lease))))",
        wrong="judged.append((write, lease, self._judge(write, fenced=lease is None)))",
        why="the version check looks as if it were enough",
    ),
    Bug(
        name="epoch reuse after a rewind", invariants="5", module=store,
        right="max(old.epoch + 1, now // 1000), f\"{self._rng.getrandbits(64):016x}\"",
        wrong="old.epoch + 1, f\"{old.epoch + 1:016x}\"",
        why="a counter is an epoch, as long as the store never goes back",
    ),
    Bug(
        name="intent after send", invariants="6", module=loop,
        right="            writes = [self._write(entry) for entry in entries]\n",
        wrong="            writes = [self._write(entry) for entry in entries]\n"
        "            for e in entries:\n"
        "                if self.ownership.holds(e.partition) and e.pending is not None and e.definition is not None:\n"
        "                    now = self.around.clock.now()\n"
        "                    self._take_effect(e.applied, e.pending, e.definition, e.partition, now)\n"
        "            self._send()\n",
        why="sending while the store is busy saves a round trip",
    ),
    Bug(
        name="unknown taken for rejected", invariants="10, 11", module=machine,
        right="            case Unknown(error):\n                if latest:\n"
        "                    self._unanswered(step, error)\n"
        "            case _:\n                assert_never(answer)\n\n    def compensated",
        wrong="            case Unknown(error):\n                if latest:\n"
        "                    settled = evolve(call, in_flight=False, retry_at=0)\n"
        "                    self._set(step, call=settled, effect=Effect.NONE)\n"
        "                    if step.status is StepStatus.RUNNING:\n"
        "                        self._give_up(step, error)\n"
        "            case _:\n                assert_never(answer)\n\n    def compensated",
        why="an error is an error",
    ),
    Bug(
        name="rejected after unknown taken for certain", invariants="10, 11", module=machine,
        right="                certain = only or not call.doubt\n",
        wrong="                certain = True\n",
        why="the participant said that nothing happened",
    ),
    Bug(
        name="lost commit reply taken for a failure", invariants="1, 13", module=loop,
        right="                if not any(held):\n                    return [None] * len(writes)\n",
        wrong="                if writes:\n"
        "                    entries = [self.working_set.find(w.saga.id, self.around.clock.now()) for w in writes]\n"
        "                    for item in [i for e in entries if e is not None for i in e.items]:\n"
        "                        self._turn_away(item, SagaNotFound('the write failed'))\n"
        "                    return [None] * len(writes)\n",
        why="a call that raises has failed",
    ),
    Bug(
        name="superseded command sent", invariants="6, 8", module=loop,
        right="        entry.pending = decision.saga\n        entry.events += decision.events\n",
        wrong="        if entry.pending is not None and entry.definition is not None:\n"
        "            old, d, p, was = entry.pending, entry.definition, entry.partition, entry.applied\n"
        "            entry.notify.append(lambda s: self.ownership.holds(p) and self._take_effect(was, old, d, p))\n"
        "        entry.pending = decision.saga\n        entry.events += decision.events\n",
        why="each decision has its effects",
    ),
    Bug(
        name="compensation out of order", invariants="10", module=machine,
        right="    undo = [s for s in reversed(steps) if s.effect is not Effect.NONE]\n",
        wrong="    undo = [s for s in steps if s.effect is not Effect.NONE]\n",
        why="a list is walked from the front",
    ),
    Bug(
        name="lost timer", invariants="14", module=loop,
        right="            self._put(Item(saga_id, Wake()))\n        self._set_timer()\n",
        wrong="            if self.working_set.is_busy(saga_id):\n                self._put(Item(saga_id, Wake()))\n"
        "        self._set_timer()\n",
        why="a saga that rests has nothing to do",
    ),
    Bug(
        name="pending saga not recovered", invariants="14", module=machine,
        right="    if saga.state is SagaState.PENDING:\n        return saga.created_at\n",
        wrong="    if saga.state is SagaState.PENDING:\n        return 0\n",
        why="IsActive does not name pending",
    ),
    Bug(
        name="inbox entry acknowledged before its answer", invariants="13", module=remote,
        right="        while (reply := await self._patiently(lambda: self._store.answer(entry))) is None:\n",
        wrong="        reply = b\"\"\n        while False:\n",
        why="the entry is durable, so it will be done",
    ),
    Bug(
        name="watch gap on resume", invariants="15", module=watching,
        right="while page := await engine.store.events(saga.id, after, HISTORY_PAGE):\n",
        wrong="while page := await engine.store.events(saga.id, after + (after > 1), HISTORY_PAGE):\n",
        why="off by one",
    ),
    Bug(
        name="watch does not look back when it is poked", invariants="15", module=watching,
        right="                if event.sequence == after + 1:\n",
        wrong="                if event.sequence > after:\n",
        why="events come in order",
    ),
    Bug(
        name="duplicate start under two coordinators", invariants="13", module=remote,
        right="        if verdict is not Verdict.CONFLICT:\n            return saga, True\n",
        wrong="        if verdict is not None:\n            return saga, True\n",
        why="the id is new here",
    ),
    Bug(
        name="start elsewhere without looking at its request", invariants="13", module=remote,
        right="        if known.fingerprint != saga.fingerprint:\n", wrong="        if known.id != saga.id:\n",
        why="the id says it all",
    ),
    Bug(
        name="compensate racing execute", invariants="10, 12", module=machine,
        right="                if step.call.doubt and not self._expired(step.call):\n                    return\n"
        "                self._intend_compensation(step, CompensationState())\n",
        wrong="                self._intend_compensation(step, CompensationState())\n",
        why="why wait",
    ),
    Bug(
        name="cancel acknowledged before it is durable", invariants="13", module=loop,
        right="        self._make_ready(entry)\n        self._wait_for_apply(entry, item, created=created)\n",
        wrong="        self._make_ready(entry)\n        if not created:\n"
        "            self._resolve(item, decision.saga, created=False)\n"
        "        self._wait_for_apply(entry, item, created=created)\n",
        why="it is decided",
    ),
    Bug(
        name="fence ignored", invariants="5, 6", module=loop,
        right="                    case Verdict.FENCED:\n",
        wrong="                    case Verdict.FENCED if self.ownership.holds(entry.partition):\n"
        "                        self._apply(entry)\n                    case Verdict.FENCED:\n",
        why="the lease has not run out by our clock",
    ),
    Bug(
        name="conflict ignored", invariants="4, 6", module=loop,
        right="                    case Verdict.CONFLICT:\n                        if entry.applied is not None:\n"
        "                            self._ahead[entry.saga_id] = entry.applied.version\n"
        "                        self._forget(entry, again=True)\n",
        wrong="                    case Verdict.CONFLICT:\n                        self._apply(entry)\n",
        why="we hold the partition, so nobody else can have written",
    ),
    Bug(
        name="attempts counted anew after a takeover", invariants="4, 18", module=machine,
        right="                self._set(step, call=_resent(step.call, self._execute_limit(step)))\n",
        wrong="                resent = _resent(step.call, self._execute_limit(step))\n"
        "                self._set(step, call=evolve(resent, attempts=1))\n",
        why="a new driver begins with a fresh budget",
    ),
    Bug(
        name="started elsewhere and never due", invariants="14", module=remote,
        right="            due_at=due_at(saga),\n", wrong="            due_at=0,\n",
        why="whoever holds it will see it",
    ),
    Bug(
        name="watch ends with the outcome, not with its event", invariants="15", module=watching,
        right="            if saga.state.is_terminal and after >= saga.last_sequence and not follow:\n",
        wrong="            if saga.state.is_terminal and not follow:\n",
        why="there is nothing more to come",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """``seeds`` is how many it took; None if none of them showed it."""

    name: str
    seeds: int | None
    why: str


def hunt(name: str, limit: int = SEEDS) -> Found:
    """Run worlds with a bug until one shows it."""
    bug = next(b for b in BUGS if b.name == name)
    for seed in range(limit):
        if why := wrong(run(plan(seed), planted=bug)):
            return Found(name, seed + 1, why)
    return Found(name, None, "")


def table(found: list[Found]) -> str:
    """As Markdown."""
    lines = ["| bug | breaks | seeds needed | reported |", "|---|---|---|---|"]
    bugs = {b.name: b for b in BUGS}
    for f in found:
        numbers = ", ".join(dict.fromkeys(re.findall(r"invariant (\d+)", f.why))) or f.why.split(":")[0]
        lines.append(f"| {f.name} | {bugs[f.name].invariants} | {f.seeds or f'none of {SEEDS}'} | {numbers} |")
    return "\n".join(lines)


def main() -> int:
    """Exit status: 0 if all were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation.planted", description=__doc__)
    parser.add_argument("--table", action="store_true", help="all bugs; writes docs/reliability.md")
    parser.add_argument("--only", help="one bug, by name")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    names = [given.only] if given.only else [b.name for b in BUGS]
    found = []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for one in pool.map(hunt, names):
            found.append(one)
            print(f"{one.name}: {one.seeds or 'not found'}: {one.why[:200]}", flush=True)
    if given.table:
        text = DOCUMENT.read_text()
        begin, end = "<!-- planted -->\n", "<!-- /planted -->"
        head, tail = text[: text.index(begin) + len(begin)], text[text.index(end) :]
        DOCUMENT.write_text(f"{head}{table(found)}\n{tail}")
    return 0 if all(f.seeds for f in found) else 1


if __name__ == "__main__":
    sys.exit(main())
