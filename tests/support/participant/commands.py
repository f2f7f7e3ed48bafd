"""Commands as a coordinator sends them."""

import time
from typing import Any

from swit_saga import Codecs
from swit_saga.v1 import command_pb2
from swit_saga.v1.participant_service_pb2 import CompensateRequest, ExecuteRequest

CODECS = Codecs()


def execute(
    action: str = "reserve",
    value: Any = None,
    *,
    key: str = "o-1/reserve",
    left_s: float = 30,
    compensatable: bool = False,
) -> ExecuteRequest:
    made = ExecuteRequest(command=_command(action, key, left_s), input=CODECS.encode(value))
    made.command.compensatable = compensatable
    return made


def compensate(
    action: str = "reserve",
    value: Any = None,
    output: Any = None,
    *,
    key: str = "o-1/reserve/undo",
    execute_key: str = "o-1/reserve",
    left_s: float = 30,
) -> CompensateRequest:
    return CompensateRequest(
        command=_command(action, key, left_s),
        input=CODECS.encode(value),
        output=CODECS.encode(output),
        execute_idempotency_key=execute_key,
        certainty=command_pb2.CERTAINTY_UNKNOWN if output is None else command_pb2.CERTAINTY_COMPLETED,
        initial_data=CODECS.encode({"initial": True}),
        reason="no money",
    )


def _command(action: str, key: str, left_s: float) -> command_pb2.CommandContext:
    made = command_pb2.CommandContext(
        saga_id="o-1",
        step_id=action,
        participant="shop",
        action=action,
        attempt=2,
        resend=1,
        idempotency_key=key,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        correlation_id="c-1",
        labels={"region": "eu"},
    )
    made.not_after.FromNanoseconds(time.time_ns() + round(left_s * 1e9))
    made.metadata.update({"shelf": 7})
    return made
