"""``python -m bench.pipe.record``: what a saga of the benchmark sends and writes, byte for byte, as templates.

Run once, when the pipe is made anew; its result is committed, so that later changes of the project are measured against
what it was.
"""

import json
from base64 import b64encode
from pathlib import Path

from bench.drivers.loop import PAYLOAD, STEPS
from swit_saga.payload import Codecs
from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1.participant_service_pb2 import ExecuteRequest
from swit_saga_server.core.agenda import due_at
from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.effects import Command, effects
from swit_saga_server.core.identity import FIRST_SEND, Kind
from swit_saga_server.core.inputs import Answered, Completed, Input, Wake
from swit_saga_server.core.machine import decide
from swit_saga_server.core.model import Settings, TraceContext, is_in_flight, same_origin
from swit_saga_server.core.start import StartRequest, new_saga
from swit_saga_server.core.units import NEVER, Instant, Span
from swit_saga_server.engine.commands import fill
from swit_saga_server.store.codec import PRESENT
from swit_saga_server.store.contract import Lease, Write
from swit_saga_server.store.levels import LEVEL
from swit_saga_server.store.redis.encode import encode_write
from swit_saga_server.wire import command, saga
from swit_saga_server.wire.basic import read_payload

SAGA_ID, COMMIT_ID, NONCE, EPOCH = "I" * 32, "C" * 16, "N" * 16, 1_790_000_000_000
"""Of the lengths of real ones; the first two are replaced when a template is used."""
NOW, STEP_TAKES, SENT_AFTER = Instant(4_000_000_000_780_020), Span(8_139), Span(1_317)
"""Microseconds, all with as many digits as real ones, which every number on the wire takes room by. It is 2096, for the
participant refuses what comes after its time.
"""
TEMPLATES = Path(__file__).with_name("templates.json")


def record() -> dict[str, list[str]]:
    """Base64 of: ``writes`` (of one transition each, of partition 0), ``commands`` (an ExecuteRequest each),
    ``started`` (the saga in the answer to the start) and ``result`` (in the answer to the wait).
    """
    definition = Definition(id="four", steps=tuple(StepDefinition(id=n, participant="shop") for n in STEPS[:4]))
    encoded = Codecs().encode(PAYLOAD)
    assert encoded is not None
    data = read_payload(encoded)
    now = new_saga(
        StartRequest(saga_id=SAGA_ID, definition_id="four", initial_data=data),
        definition,
        saga_id=SAGA_ID,
        version=1,
        digest="d" * 64,
        fingerprint="f" * 64,
        defaults=Settings(),
        trace=TraceContext(trace_id="1" * 32, span_id="2" * 16),
        source="host-1234",
        now=NOW,
    )
    made: dict[str, list[bytes]] = {"writes": [], "commands": [], "started": [], "result": []}
    before = None
    inputs: list[Input] = [Wake(), *(Answered(Kind.EXECUTE, n, FIRST_SEND, Completed(data)) for n in range(4))]
    for number, given in enumerate(inputs):
        at = NOW + Span(153) + STEP_TAKES * number
        found = decide(now, definition, given, at, 0.5)
        old = before.steps if before is not None else ()
        after = found.saga
        write = Write(
            saga=after,
            base_version=before.version if before is not None else 0,
            commit_id=COMMIT_ID,
            changed_steps=tuple(i for i, s in enumerate(after.steps) if i >= len(old) or old[i] is not s),
            events=found.events,
            due_at=due_at(after),
            in_flight=is_in_flight(after),
            changed_origin=before is None or not same_origin(before, after),
        )
        made["writes"].append(encode_write(write, 0, Lease(0, EPOCH, NONCE, NEVER), PRESENT.at(LEVEL)))
        for effect in effects(before, after):
            if isinstance(effect, Command):
                sent: ExecuteRequest = command.execute_request(fill(after, definition, effect, EPOCH, at + SENT_AFTER))
                made["commands"].append(sent.SerializeToString())
        if before is None:
            made["started"] = [saga.saga(after, None).SerializeToString()]
        before = now = after
    made["result"] = [pb.WaitSagaResponse(saga=saga.result(now), done=True).saga.SerializeToString()]
    return {name: [b64encode(one).decode() for one in those] for name, those in made.items()}


if __name__ == "__main__":
    TEMPLATES.write_text(json.dumps(record(), indent=1) + "\n")
