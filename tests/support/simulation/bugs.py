"""Bugs for the simulator to find: plausible mistakes in the real code, or in the simulated store.

Written apart from the simulator and its checker, which were not changed for any of them.
"""

from tests.support.planting import Bug

CORE = "swit_saga_server.core"
LOOP = "swit_saga_server.engine.loop"
FOREIGN = "swit_saga_server.engine.foreign"
SERVICE = "swit_saga_server.service"
STORE = "tests.support.simulation.store"

BUGS = (
    Bug(
        name="no epoch check", invariants="5", module=STORE, function="SimStore.commit",
        right="fenced=not self._is_current(lease)",
        wrong="fenced=lease is None",
        why="the version check looks as if it were enough",
    ),
    Bug(
        name="epoch reuse after a rewind", invariants="5", module=STORE, function="SimStore.acquire",
        right='max(old.epoch + 1, now // 1000), f"{self._rng.getrandbits(64):016x}"',
        wrong='old.epoch + 1, f"{old.epoch + 1:016x}"',
        why="a counter is an epoch, as long as the store never goes back",
    ),
    Bug(
        name="intent after send", invariants="6", module=LOOP, function="Engine._begin_rounds",
        right="writes = [self._write(entry) for entry in entries]",
        wrong="""
        writes = [self._write(entry) for entry in entries]
        for e in entries:
            if self.ownership.holds(e.partition) and e.pending is not None and e.definition is not None:
                now = self.around.clock.now()
                self._take_effect(e.applied, e.pending, e.definition, e.partition, now, e.items)
        self._send()
        """,
        why="sending while the store is busy saves a round trip",
    ),
    Bug(
        name="unknown taken for rejected", invariants="10, 11", module=f"{CORE}.executing", function="take",
        right="unanswered(draft, step.index, error)",
        wrong="""
        settled = evolve(step.call, in_flight=False, retry_at=0)
        draft.set_step(step.index, call=settled, effect=Effect.NONE)
        if step.status is StepStatus.RUNNING:
            _give_up(draft, step.index, error)
        """,
        why="an error is an error",
    ),
    Bug(
        name="rejected after unknown taken for certain", invariants="10, 11",
        module=f"{CORE}.executing", function="_rejected",
        right="step.call.sends == 1 or not step.call.doubt",
        wrong="True",
        why="the participant said that nothing happened",
    ),
    Bug(
        name="lost commit reply taken for a failure", invariants="1, 13", module=LOOP, function="Engine._verdicts",
        right="""
        if not any(held):
            return [None] * len(writes)
        """,
        wrong="""
        entries = [self.working_set.find(w.saga.id, self.around.clock.now) for w in writes]
        for item in [i for e in entries if e is not None for i in e.items]:
            self._turn_away(item, SagaNotFound("the write failed"))
        return [None] * len(writes)
        """,
        why="a call that raises has failed",
    ),
    Bug(
        name="superseded command sent", invariants="6, 8", module=LOOP, function="Engine._fold",
        right="entry.pending = decision.saga",
        wrong="""
        if entry.pending is not None and entry.definition is not None:
            old, d, p, was = entry.pending, entry.definition, entry.partition, entry.applied
            now = self.around.clock.now()
            entry.notify.append(lambda s: self.ownership.holds(p) and self._take_effect(was, old, d, p, now, ()))
        entry.pending = decision.saga
        """,
        why="each decision has its effects",
    ),
    Bug(
        name="compensation out of order", invariants="10", module=f"{CORE}.undo", function="to_undo",
        right="for s in reversed(steps)",
        wrong="for s in steps",
        why="a list is walked from the front",
    ),
    Bug(
        name="lost timer", invariants="14", module=LOOP, function="Engine._fire",
        right="self._put(Item(saga_id, Wake()))",
        wrong="""
        if self.working_set.is_busy(saga_id):
            self._put(Item(saga_id, Wake()))
        """,
        why="a saga that rests has nothing to do",
    ),
    Bug(
        name="pending saga not recovered", invariants="14", module=f"{CORE}.agenda", function="agenda",
        right="return [Item(saga.created_at, Do.BEGIN)]",
        wrong="return []",
        why="IsActive does not name pending",
    ),
    Bug(
        name="inbox entry acknowledged before its answer", invariants="13", module=FOREIGN, function="Foreign.ask",
        right="""
        while (reply := await self._patiently(lambda: self._store.answer(entry))) is None:
            if self._around.clock.elapsed() > until:
                raise CoordinatorUnavailable(f"the coordinator that holds saga {saga_id!r} did not answer in time")
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)
        open_reply(reply)
        """,
        wrong="pass\n",
        why="the entry is durable, so it will be done",
    ),
    Bug(
        name="watch gap on resume", invariants="15", module=SERVICE, function="SagaService._follow",
        right="self._store.events(saga.id, after, HISTORY_PAGE)",
        wrong="self._store.events(saga.id, after + (after > 1), HISTORY_PAGE)",
        why="off by one",
    ),
    Bug(
        name="watch does not look back when it is poked", invariants="15",
        module=SERVICE, function="SagaService._follow",
        right="if event.sequence == after + 1:",
        wrong="if event.sequence > after:",
        why="events come in order",
    ),
    Bug(
        name="duplicate start under two coordinators", invariants="13", module=FOREIGN, function="Foreign.create",
        right="if verdict is not Verdict.CONFLICT:",
        wrong="if verdict is not None:",
        why="the id is new here",
    ),
    Bug(
        name="start elsewhere without looking at its request", invariants="13",
        module=FOREIGN, function="Foreign.create",
        right="if known.fingerprint != saga.fingerprint:",
        wrong="if known.id != saga.id:",
        why="the id says it all",
    ),
    Bug(
        name="compensate racing execute", invariants="10, 12", module=f"{CORE}.agenda", function="_undo",
        right="silent_at(step.call) if step.call.doubt else 0",
        wrong="0",
        why="why wait",
    ),
    Bug(
        name="cancel acknowledged before it is durable", invariants="13", module=LOOP, function="Engine._fold",
        right="self._make_ready(entry)",
        wrong="""
        self._make_ready(entry)
        if not created:
            self._resolve(item, decision.saga, created=False)
        """,
        why="it is decided",
    ),
    Bug(
        name="fence ignored", invariants="5, 6", module=LOOP, function="Engine._commit",
        right="case Verdict.FENCED:",
        wrong="""
        case Verdict.FENCED if self.ownership.holds(entry.partition):
            self._apply(entry)
        case Verdict.FENCED:
        """,
        why="the lease has not run out by our clock",
    ),
    Bug(
        name="conflict ignored", invariants="4, 6", module=LOOP, function="Engine._commit",
        right="""
        case Verdict.CONFLICT:
            if entry.applied is not None:
                self._ahead[entry.saga_id] = entry.applied.version
            self._forget(entry, again=True)
        """,
        wrong="""
        case Verdict.CONFLICT:
            self._apply(entry)
        """,
        why="we hold the partition, so nobody else can have written",
    ),
    Bug(
        name="attempts counted anew after a takeover", invariants="4, 18",
        module=f"{CORE}.attempts", function="resend",
        right="sends=call.sends + 1",
        wrong="attempts=1, sends=call.sends + 1",
        why="a new driver begins with a fresh budget",
    ),
    Bug(
        name="started elsewhere and never due", invariants="14", module=FOREIGN, function="Foreign.create",
        right="due_at=due_at(saga)",
        wrong="due_at=0",
        why="whoever holds it will see it",
    ),
    Bug(
        name="watch ends with the outcome, not with its event", invariants="15",
        module=SERVICE, function="SagaService._follow",
        right="if saga.state.is_terminal and after >= saga.last_sequence and not follow:",
        wrong="if saga.state.is_terminal and not follow:",
        why="there is nothing more to come",
    ),
)  # fmt: skip
