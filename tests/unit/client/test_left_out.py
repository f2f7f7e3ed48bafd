"""A value that was left out of an answer is never taken for none."""

import pickle
from typing import Any

import pytest

from swit_saga import AsyncSagaClient, CodecError, Codecs, EventView, Payload, PayloadLeftOut, SagaClient, SagaView
from swit_saga.v1 import event_pb2, saga_pb2

MARK = Payload(content_type="application/json", omitted_bytes=2_300_000)
CODECS = Codecs()
SAGA = SagaView(
    saga_pb2.Saga(
        id="o-1",
        initial_data=MARK,
        current_data=MARK,
        result_data=MARK,
        step_states=[saga_pb2.StepState(id="reserve", saga_id="o-1", input_data=MARK, output_data=MARK)],
    ),
    CODECS,
)


@pytest.mark.parametrize("kind", [None, dict, dict[str, Any] | None, Payload], ids=str)
@pytest.mark.parametrize(
    ("read", "how"),
    [
        (SAGA.initial_data, r"get\('o-1', steps=\['reserve'\]\), as the first step's input, reads it"),
        (SAGA.current_data, r"get\('o-1', steps=\['…'\]\), as the latest completed step's output, reads it"),
        (SAGA.result_data, r"result\('o-1'\) reads it"),
        (SAGA.step("reserve").input, r"get\('o-1', steps=\['reserve'\]\) reads it"),
        (SAGA.step("reserve").output_data, r"get\('o-1', steps=\['reserve'\]\) reads it"),
        (EventView(event_pb2.SagaEvent(saga_id="o-1", step_id="reserve", data=MARK), CODECS).data, "reads it"),
    ],
)
def test_reading_it_says_its_size_and_how_to_read_it(read: Any, how: str, kind: Any) -> None:
    assert read.omitted_bytes == 2_300_000
    with pytest.raises(PayloadLeftOut, match=f"2300000 bytes and was left out.*{how}") as left_out:
        read(kind)
    assert left_out.value.size == 2_300_000
    assert isinstance(left_out.value, CodecError)
    again = pickle.loads(pickle.dumps(left_out.value))
    assert (str(again), again.size) == (str(left_out.value), 2_300_000)


@pytest.mark.parametrize("content_type", ["application/json", ""])
def test_codecs_do_not_take_it_for_none(content_type: str) -> None:
    with pytest.raises(PayloadLeftOut, match="7 bytes"):
        CODECS.decode(Payload(content_type=content_type, omitted_bytes=7))


def test_what_is_there_has_nothing_left_out() -> None:
    saga = SagaView(saga_pb2.Saga(initial_data=CODECS.encode({"n": 1})), CODECS)
    assert (saga.initial_data.omitted_bytes, saga.initial_data()) == (0, {"n": 1})
    assert (saga.result_data.omitted_bytes, saga.result_data()) == (0, None)


def test_a_step_that_is_not_shown() -> None:
    with pytest.raises(ValueError, match="saga 'o-1' has no step 'pay' in this view"):
        SAGA.step("pay")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [({"steps": "reserve"}, "a list of ids"), ({"steps": ["reserve"], "full": False}, "only in the full view")],
)
async def test_steps_that_make_no_sense_are_refused(wanted: dict[str, Any], why: str) -> None:
    async with AsyncSagaClient("127.0.0.1:1") as client:
        with pytest.raises(ValueError, match=why):
            await client.get("o-1", **wanted)
        with pytest.raises(ValueError, match=why):
            await client.handle("o-1").get(**wanted)
    with SagaClient("127.0.0.1:1") as plain, pytest.raises(ValueError, match=why):
        plain.get("o-1", **wanted)
