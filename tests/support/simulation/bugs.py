"""Bugs for the simulator to find: plausible mistakes in the real code, or in the simulated store.

Written apart from the simulator and its checker, which were not changed for any of them.
"""

from tests.support.planting import Bug

CORE = "swit_saga_server.core"
PARTICIPANTS = "swit_saga_server.participants"
ENGINE = "swit_saga_server.engine"
WATCHING = "swit_saga_server.service.watching"
STORE = "tests.support.simulation.store"

BUGS = (
    Bug(
        name="no epoch check", invariants="5", module=f"{STORE}.rounds", function="SimRounds.commit",
        right="fenced=not self._memory.is_current(lease)",
        wrong="fenced=lease is None",
        why="the version check looks as if it were enough",
    ),
    Bug(
        name="epoch reuse after a rewind", invariants="5", module=f"{STORE}.leases", function="SimLeases.acquire",
        right='max(old.epoch + 1, now // 1000), f"{self._rng.getrandbits(64):016x}"',
        wrong='old.epoch + 1, f"{old.epoch + 1:016x}"',
        why="a counter is an epoch, as long as the store never goes back",
    ),
    Bug(
        name="intent after send", invariants="6", module=f"{ENGINE}.rounds", function="Rounds.begin",
        right="changed = [entry for entry in entries if entry.pending is not entry.applied]",
        wrong="""
        changed = [entry for entry in entries if entry.pending is not entry.applied]
        outbox = self._applying._outbox
        for e in changed:
            if self._ownership.holds(e.partition) and e.pending is not None and e.definition is not None:
                epoch, now = self._ownership.leases[e.partition].epoch, self._env.clock.now()
                outbox.add(e.applied, e.pending, e.definition, e.partition, epoch, now, e.items)
        outbox.send()
        """,
        why="sending while the store is busy saves a round trip",
    ),
    Bug(
        name="unknown taken for rejected", invariants="10, 11", module=f"{CORE}.executing", function="take",
        right="unanswered(draft, step.index, error)",
        wrong="""
        settled = evolve(step.call, in_flight=False, retry_at=NEVER)
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
        name="lost commit reply taken for a failure", invariants="1, 13",
        module=f"{ENGINE}.rounds", function="Rounds._verdicts",
        right="""
        if not any(held):
            return [None] * len(writes)
        """,
        wrong="""
        from swit_saga_server.core.errors import SagaNotFound
        entries = [self._working_set.find(w.saga.id, self._env.clock.now) for w in writes]
        for item in [i for e in entries if e is not None for i in e.items]:
            self._applying._rejecting.reject(item, SagaNotFound("the write failed"))
        return [None] * len(writes)
        """,
        why="a call that raises has failed",
    ),
    Bug(
        name="superseded command sent", invariants="6, 8", module=f"{CORE}.effects", function="_add_effects",
        right="""
        if new.in_flight:
            found.append(Command(kind, index, new.send_id))
        """,
        wrong="""
        for send in range(old.sends + 1 if old is not None else new.sends, new.sends):
            found.append(Command(kind, index, SendId(new.generation, min(send, new.attempts), send)))
        if new.in_flight or (old is not None and new.sends > old.sends):
            found.append(Command(kind, index, new.send_id))
        """,
        why="whatever was intended is sent",
    ),
    Bug(
        name="compensation out of order", invariants="10", module=f"{CORE}.undo", function="to_undo",
        right="for s in reversed(steps)",
        wrong="for s in steps",
        why="a list is walked from the front",
    ),
    Bug(
        name="lost timer", invariants="14", module=f"{ENGINE}.wakeups", function="Wakeups._fire",
        right="self._mailbox.put(Item(saga_id, Wake()))",
        wrong="""
        if self._working_set.is_busy(saga_id):
            self._mailbox.put(Item(saga_id, Wake()))
        """,
        why="a saga that rests has nothing to do",
    ),
    Bug(
        name="pending saga not recovered", invariants="14", module=f"{CORE}.agenda", function="agenda",
        right="return [(saga.created_at, Do.BEGIN, -1, Kind.EXECUTE)]",
        wrong="return []",
        why="IsActive does not name pending",
    ),
    Bug(
        name="inbox entry acknowledged before its answer", invariants="13",
        module=f"{ENGINE}.remote", function="Remote.ask",
        right="""
        while (reply := await self._patiently(lambda: self._store.answer(entry))) is None:
            if self._env.clock.elapsed() > until:
                raise CoordinatorUnavailable(f"the coordinator that holds saga {saga_id!r} did not answer in time")
            await backoff.wait()
        return open_reply(reply)
        """,
        wrong="return 0\n",
        why="the entry is durable, so it will be done",
    ),
    Bug(
        name="watch gap on resume", invariants="15", module=WATCHING, function="_follow",
        right="engine.store.events(saga.id, after, HISTORY_PAGE)",
        wrong="engine.store.events(saga.id, after + (after > 1), HISTORY_PAGE)",
        why="off by one",
    ),
    Bug(
        name="watch does not look back when it is notified", invariants="15",
        module=WATCHING, function="_follow",
        right="if event.sequence == after + 1:",
        wrong="if event.sequence > after:",
        why="events come in order",
    ),
    Bug(
        name="duplicate start under two coordinators", invariants="13",
        module=f"{ENGINE}.remote", function="Remote.create",
        right="if verdict is not Verdict.CONFLICT:",
        wrong="if verdict is not None:",
        why="the id is new here",
    ),
    Bug(
        name="remote start without looking at its request", invariants="13",
        module=f"{ENGINE}.remote", function="Remote.create",
        right="if known.fingerprint != saga.fingerprint:",
        wrong="if known.id != saga.id:",
        why="the id says it all",
    ),
    Bug(
        name="compensate racing execute", invariants="10, 12", module=f"{CORE}.agenda", function="_undo",
        right="silent_at(step.call) if step.call.doubt else NEVER",
        wrong="0",
        why="why wait",
    ),
    Bug(
        name="cancel acknowledged before it is durable", invariants="13",
        module=f"{ENGINE}.deciding", function="Deciding._fold",
        right="self._working_set.make_ready(entry)",
        wrong="""
        self._working_set.make_ready(entry)
        if item.waiter is not None and not created:
            item.waiter.succeed((decision.saga, False))
        """,
        why="it is decided",
    ),
    Bug(
        name="fence ignored", invariants="5, 6", module=f"{ENGINE}.rounds", function="Rounds._settle",
        right="case Verdict.FENCED:",
        wrong="""
        case Verdict.FENCED if self._ownership.holds(entry.partition):
            applying.apply(entry)
        case Verdict.FENCED:
        """,
        why="the lease has not run out by our clock",
    ),
    Bug(
        name="conflict ignored", invariants="4, 6", module=f"{ENGINE}.rounds", function="Rounds._settle",
        right="applying.conflicted(entry)",
        wrong="applying.apply(entry)",
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
        name="remote start that is never due", invariants="14", module=f"{ENGINE}.remote", function="Remote.create",
        right="due_at=due_at(saga)",
        wrong="due_at=0",
        why="whoever holds it will see it",
    ),
    Bug(
        name="watch ends with the outcome, not with its event", invariants="15",
        module=WATCHING, function="_follow",
        right="if saga.state.is_terminal and after >= saga.last_sequence and not follow:",
        wrong="if saga.state.is_terminal and not follow:",
        why="there is nothing more to come",
    ),
    Bug(
        name="what a broken stream carried goes by the next one", invariants="6",
        module=f"{PARTICIPANTS}.stream", function="StreamTransport._break_off",
        right="self._ledger.answer(send, broken_answer(over.code, over.details))",
        wrong="""
        if give_up:
            self._ledger.answer(send, broken_answer(over.code, over.details))
        else:
            send.carrier = None
            self._ledger._queue.append(send)
        """,
        why="it was not answered",
    ),
    Bug(
        name="broken stream taken for a rejection", invariants="11, 16",
        module=f"{PARTICIPANTS}.stream", function="StreamTransport._break_off",
        right="self._ledger.answer(send, broken_answer(over.code, over.details))",
        wrong="""
        from swit_saga_server.core.inputs import Rejected
        self._ledger.answer(send, Rejected(broken_answer(over.code, over.details).error))
        """,
        why="what was not answered was not done",
    ),
    Bug(
        name="output that cannot be used taken for a rejection", invariants="10, 11",
        module=f"{CORE}.executing", function="take",
        right="_unusable(draft, step, error)",
        wrong="_rejected(draft, step, error)",
        why="the step has failed",
    ),
    Bug(
        name="output that cannot be used tried again", invariants="11",
        module=f"{CORE}.executing", function="take",
        right="_unusable(draft, step, error)",
        wrong="unanswered(draft, step.index, evolve(error, retryable=True))",
        why="the next one may be smaller",
    ),
    Bug(
        name="rejection with a strange error taken for unknown", invariants="11",
        module="swit_saga_server.wire.answer", function="_rejected",
        right="return Rejected(read_error(answer.error, ErrorType.BUSINESS))",
        wrong="""
        try:
            from google.protobuf.json_format import MessageToDict
            MessageToDict(answer.error)
            return Rejected(read_error(answer.error, ErrorType.BUSINESS))
        except Exception as error:
            return failed_here(error)
        """,
        why="an answer that cannot be read is no answer",
    ),
    Bug(
        name="compensation failed for what it returned", invariants="11",
        module="swit_saga_server.wire.answer", function="AnswerReader.compensate",
        right="return _DONE",
        wrong="""
        from swit_saga_server.wire.answer import Unknown
        done = self._completed(response.completed)
        return done if done.error is None else Unknown(evolve(done.error, retryable=True))
        """,
        why="one rule for both",
    ),
    Bug(
        name="answer of the wrong kind taken for done", invariants="11",
        module="swit_saga_server.wire.answer", function="AnswerReader.execute",
        right="""
        if not isinstance(response, ExecuteResponse):
            return _of_wrong_kind("an Execute", response)
        """,
        wrong="""
        if not hasattr(response, "completed"):
            return _of_wrong_kind("an Execute", response)
        """,
        why="completed is completed",
    ),
    Bug(
        name="late answer taken for the next send's", invariants="11",
        module=f"{PARTICIPANTS}.ledger", function="Ledger.enter",
        right="self._numbers = number = self._numbers + 1",
        wrong="number = next(n for n in range(1, 1 << 30) if n not in self._open)",
        why="the number of a send that is over is free again",
    ),
    Bug(
        name="newer record quarantined", invariants="13, 16", module=f"{ENGINE}.loading",
        function="Loading._unreadable",
        right="if isinstance(error, NewerRecord):",
        wrong="if isinstance(error, NewerRecord) and not entry.waiting:",
        why="what cannot be read is damaged",
    ),
    Bug(
        name="partition of a newer saga kept", invariants="14", module=f"{ENGINE}.ownership",
        function="Ownership.decline",
        right="self._shares.met_newer(partition)",
        wrong="self._shares.to_give_up([], self._clock.elapsed())",
        why="the lease is ours, and another version is none of our business",
    ),
    Bug(
        name="what older ones decline is left over", invariants="14", module=f"{ENGINE}.shares",
        function="Shares.left_over",
        right="if not self._is_newest_of_several or now < self._look_at:",
        wrong="if len(held) >= self._share:",
        why="nobody takes more than a fair share",
    ),
)  # fmt: skip
