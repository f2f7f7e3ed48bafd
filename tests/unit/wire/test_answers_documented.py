"""The documents say how each answer is taken; this holds them to it. What codes mean: ``tests/unit/test_codes.py``."""

import re
from pathlib import Path

import pytest

from swit_saga.v1.error_pb2 import SagaError
from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answer, Completed, Rejected, Unknown
from swit_saga_server.wire import decoding
from swit_saga_server.wire.answer import AnswerReader
from tests.support.wire.hostile import COMPLETED, LIMIT, REJECTED, UNKNOWN, UNUSABLE, tagged

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
READER = AnswerReader(LIMIT)


def execute(raw: bytes) -> Answer:
    return READER.execute(decoding.execute_response(raw))


def compensate(raw: bytes) -> Answer:
    return READER.compensate(decoding.compensate_response(raw))


def failed(code: str) -> Answer:
    return READER.streamed(StreamAnswer(command_id=1, unknown=SagaError(code=code)), Kind.EXECUTE)


def of_another_kind() -> Answer:
    return READER.streamed(StreamAnswer(command_id=1, compensate={"completed": {}}), Kind.EXECUTE)  # type: ignore[arg-type]


def unusable(code: str) -> list[Answer]:
    return [execute(raw) for raw, found in UNUSABLE.values() if found == code]


SAID: dict[str, list[Answer]] = {
    "completed": [read(raw) for raw in COMPLETED.values() for read in (execute, compensate)],
    "completed, and has an output over `max_payload_bytes`": unusable("OUTPUT_TOO_LARGE"),
    "completed, and has an output that is none: no content_type, not decodable, left out": unusable("OUTPUT_INVALID"),
    "completed, and has an `output_error`": [execute(tagged(1, tagged(2, tagged(1, b"ITS_OWN"))))],
    "completed, to a Compensate, whatever it returns": [compensate(raw) for raw, _ in UNUSABLE.values()],
    "rejected, whatever its error": [
        *(read(raw) for raw in REJECTED.values() for read in (execute, compensate)),
    ],
    "pending": [read(UNKNOWN["pending"][0]) for read in (execute, compensate)],
    "nothing": [read(b"") for read in (execute, compensate)],
    "something to another kind of command, or what is no message": [of_another_kind(), READER.execute(None)],
    "that its handler failed": [failed("ITS_OWN")],
}


def taken(answer: Answer) -> str:
    match answer:
        case Completed(error=None):
            return "completed"
        case Completed():
            return "done, step fails"
        case Rejected():
            return "rejected"
        case Unknown(error):
            return "unknown" if error.retryable else "unknown, not tried again"


def rows() -> dict[str, tuple[str, str]]:
    text = (DOCS / "participants.md").read_text()
    table = text[text.index("<!-- certainty -->") : text.index("<!-- /certainty -->")]
    return {said: (how, code) for said, how, code in re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", table, re.M)[1:]}


def test_the_table_has_every_answer() -> None:
    assert set(rows()) == {*SAID}


@pytest.mark.parametrize("said", SAID)
def test_each_answer_is_taken_as_documented(said: str) -> None:
    how, code = rows()[said]
    assert SAID[said]
    for answer in SAID[said]:
        assert taken(answer) == how
        if code.isupper():
            assert answer.error is not None
            assert answer.error.code == code
