"""Answers of megabytes of tiny values: what they say for certain is read, and what they cost is bounded."""

import pytest
from google.protobuf.message import DecodeError

from swit_saga.v1.participant_stream_service_pb2 import StreamAnswer
from swit_saga_server.core.errors import ErrorType
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Completed, Rejected, Unknown
from swit_saga_server.wire.answer import AnswerReader
from swit_saga_server.wire.decoding import LARGE, MAX_ANSWERS, compensate_response, execute_response, stream_response
from tests.support.wire.hostile import tagged

NULL = b"\x0a\x02\x08\x00"
"""One value of a list."""
KEYS = b"".join(tagged(1, tagged(1, b"%06d" % n) + tagged(2, b"\x08\x00")) for n in range(100_000))
BOMBS = {
    "a list": tagged(1, tagged(1, b"k") + tagged(2, tagged(6, NULL * (LARGE // 4)))),
    "keys": KEYS,
    "the same key": tagged(1, tagged(1, b"k") + tagged(2, b"\x08\x00")) * 200_000,
}


def error(details: bytes) -> bytes:
    return tagged(1, b"NO") + tagged(2, b"none left") + tagged(7, details)


def said(number: int, response: bytes) -> bytes:
    """An Execute's answer of a stream."""
    return tagged(1, StreamAnswer(command_id=number).SerializeToString() + tagged(2, response))


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_rejection_is_one_and_its_details_are_not_read(bomb):
    assert len(BOMBS[bomb]) > LARGE
    raw = tagged(2, tagged(1, error(BOMBS[bomb])))
    for made, read in ((execute_response(raw), AnswerReader().execute), (compensate_response(raw), None)):
        assert not made.rejected.error.details.fields, "not one value was made of it"
        assert made.rejected.error.omitted_bytes == len(BOMBS[bomb])
        if read is not None:
            answer = read(made)
            assert isinstance(answer, Rejected)
            assert (answer.error.code, answer.error.message) == ("NO", "none left")
            assert answer.error.details == {"omitted_bytes": len(BOMBS[bomb])}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_output_error_is_done(bomb):
    answer = AnswerReader().execute(execute_response(tagged(1, tagged(2, error(BOMBS[bomb])))))
    assert isinstance(answer, Completed)
    assert answer.error is not None
    assert (answer.error.code, answer.error.type) == ("NO", ErrorType.DATA)


def test_one_large_answer_of_a_message_costs_the_others_nothing():
    small = tagged(1, tagged(1, b"k") + tagged(2, b"\x20\x01"))
    output = tagged(1, tagged(1, tagged(1, b"text/plain") + tagged(2, b"x" * (LARGE + 9))))
    raw = b"".join(
        [
            said(1, tagged(2, tagged(1, error(BOMBS["a list"])))),
            said(2, tagged(2, tagged(1, error(small)))),
            said(3, output),
            tagged(1, StreamAnswer(command_id=4).SerializeToString() + tagged(4, error(BOMBS["keys"]))),
            said(5, tagged(1, b"")),
        ]
    )
    message = stream_response(raw)
    assert [a.command_id for a in message.answers] == [1, 2, 3, 4, 5]
    reader = AnswerReader(max_payload_bytes=2 * LARGE)
    first, second, third, fourth, fifth = [reader.streamed(answer, Kind.EXECUTE) for answer in message.answers]
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert second.error.details == {"k": True}
    assert isinstance(third, Completed)
    assert third.output is not None
    assert third.output.data == "x" * (LARGE + 9)
    assert isinstance(fourth, Unknown)
    assert fourth.error.code == "NO"
    assert fifth == Completed()


def test_many_answers_of_much_detail_are_read_as_far_as_one_message_may_cost():
    half = tagged(1, tagged(1, b"k") + tagged(2, tagged(6, NULL * (LARGE // 10))))
    message = stream_response(b"".join(said(n, tagged(2, tagged(1, error(half)))) for n in range(1, 20)))
    read = [bool(answer.execute.rejected.error.details.fields) for answer in message.answers]
    assert read == [True] * 2 + [False] * 17
    assert {answer.execute.rejected.error.code for answer in message.answers} == {"NO"}


@pytest.mark.parametrize("answer", [b"\x0a\x00", b"\x0a\x02\x08\x7f", b"\x10\x07", b"\x1d\x00\x00\x00\x00"], ids=repr)
def test_no_message_has_more_answers_than_commands_can_be_out(answer):
    # Short of that by what is in front of it.
    stream_response(b"\x10\x05" + answer * (MAX_ANSWERS - 1))
    with pytest.raises(DecodeError, match="more than 65536 answers"):
        stream_response(answer * (MAX_ANSWERS + 1))


@pytest.mark.parametrize("raw", [b"\x0b" * 70_000, b"\x0a\xff\xff\xff\xff\x7f" * 20_000, b"\xff" * 70_000], ids=repr)
def test_what_is_no_message_is_refused(raw):
    with pytest.raises(DecodeError):
        stream_response(raw)
