"""What a log or a traceback may show of a value: what it is and how large, never what is in it."""

from typing import Any

import pytest

from swit_saga import Codecs, ErrorView, EventView, Payload, SagaCompensated, SagaView, StepContext, StepView
from swit_saga.v1 import error_pb2, event_pb2, participant_service_pb2, saga_pb2
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.events import SagaEvent
from swit_saga_server.core.inputs import Completed, Rejected
from swit_saga_server.core.model import StepState
from swit_saga_server.core.payload import Payload as CorePayload
from swit_saga_server.core.start import StartRequest
from tests.support.core.drive import T0

SECRET = "4711-secret"
CODECS = Codecs()
PAYLOAD = CODECS.encode({"card": SECRET})
ERROR = error_pb2.SagaError(code="NO_FUNDS", message=SECRET, stack_trace=SECRET)
ERROR.details.update({"card": SECRET})
SAGA = saga_pb2.Saga(id="o-1", initial_data=PAYLOAD, current_data=PAYLOAD, result_data=PAYLOAD)
STEP = saga_pb2.StepState(id="pay", input_data=PAYLOAD, output_data=PAYLOAD, error=ERROR)
EXECUTE = participant_service_pb2.ExecuteRequest(input=PAYLOAD)
CORE_PAYLOAD = CorePayload("application/json", SECRET)
CORE_ERROR = SagaError(code="NO_FUNDS", message=SECRET, type=ErrorType.BUSINESS, details={"card": SECRET})

SHOWN: dict[str, Any] = {
    "payload": PAYLOAD,
    "binary payload": CODECS.encode(SECRET.encode()),
    "payloads": [{"a": PAYLOAD}],
    "saga": SagaView(SAGA, CODECS),
    "step": StepView(STEP, CODECS),
    "event": EventView(event_pb2.SagaEvent(saga_id="o-1", data=PAYLOAD, error=ERROR), CODECS),
    "error": ErrorView(ERROR),
    "outcome": SagaCompensated(SagaView(SAGA, CODECS)),
    "context": StepContext(EXECUTE, CODECS),
    "decode": SagaView(SAGA, CODECS).result_data,
    "core payload": CORE_PAYLOAD,
    "core error": CORE_ERROR,
    "core event": SagaEvent(sequence=1, type="t", at=T0, data=CORE_PAYLOAD, error=CORE_ERROR, metadata={"a": SECRET}),
    "core start": StartRequest(initial_data=CORE_PAYLOAD, metadata={"a": SECRET}),
    "core step": StepState(id="pay", index=0, output=CORE_PAYLOAD, error=CORE_ERROR),
    "core answer": (Completed(CORE_PAYLOAD), Rejected(CORE_ERROR)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_it_shows_no_data(name):
    assert SECRET not in repr(SHOWN[name])


def test_a_payload_says_what_and_how_large_it_is():
    assert repr(Payload(content_type="a/b", text="ü")) == "<Payload a/b, 2 bytes>"
    assert repr(Payload(content_type="a/b", binary=b"abc")) == "<Payload a/b, 3 bytes>"
    assert repr(Payload(content_type="a/b", omitted_bytes=7)) == "<Payload a/b, 7 bytes>"
    assert repr(Payload()) == "<Payload without a content type, 0 bytes>"
    assert repr(CorePayload("a/b", "ü")) == "<Payload a/b, 2 bytes>"
