"""The bare pipe's templates are a saga of the benchmark, as it was when they were made."""

import json
import subprocess
import sys
from base64 import b64decode

import msgpack

from bench.drivers.loop import PAYLOAD, STEPS
from bench.pipe import __main__ as pipe
from bench.pipe import record
from swit_saga.payload import Codecs
from swit_saga.v1 import participant_service_pb2, saga_pb2

TEMPLATES = {
    name: [b64decode(one) for one in those] for name, those in json.loads(record.TEMPLATES.read_text()).items()
}


def test_one_write_per_transition():
    writes = [msgpack.unpackb(one, raw=True) for one in TEMPLATES["writes"]]
    versions = [int(w[8].split()[0]) for w in writes]
    assert [w[4] for w in writes] == [0, *versions[:-1]], "each builds on the one before"
    assert versions == list(range(versions[0], 7))
    assert writes[-1][12] == b"completed"
    for one in TEMPLATES["writes"]:
        assert one[3] == 0, "the partition"
        assert one.count(record.COMMIT_ID.encode()) == 2, "as it is compared, and as it is kept"
        assert record.SAGA_ID.encode() in one


def test_four_commands_with_the_payload():
    commands = [participant_service_pb2.ExecuteRequest.FromString(one) for one in TEMPLATES["commands"]]
    assert [c.command.step_id for c in commands] == list(STEPS[:4])
    assert all(c.input == Codecs().encode(PAYLOAD) for c in commands)


def test_the_answers():
    (started,), (result,) = ([saga_pb2.Saga.FromString(one) for one in TEMPLATES[n]] for n in ("started", "result"))
    assert (started.id, result.id) == (record.SAGA_ID, record.SAGA_ID)
    assert result.state == saga_pb2.SAGA_STATE_COMPLETED
    assert result.result_data == Codecs().encode(PAYLOAD)


def test_they_can_be_made_again():
    made = record.record()
    assert {name: len(those) for name, those in made.items()} == {n: len(those) for n, those in TEMPLATES.items()}


def test_it_replaces_what_was_recorded():
    recorded = (record.SAGA_ID.encode(), record.COMMIT_ID.encode(), record.NONCE, record.EPOCH)
    assert recorded == (pipe.SAGA_ID, pipe.COMMIT_ID, pipe.NONCE, pipe.EPOCH)


def test_nothing_of_the_server_is_loaded():
    look = "import sys, bench.pipe.__main__; print([m for m in sys.modules if m.startswith('swit_saga_server')])"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
