"""Sagas and events as a program reads them: aware datetimes, plain strings for states, values decoded on demand.

``proto`` holds everything, for what has no property here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.payload import Codecs
from swit_saga.v1 import error_pb2, event_pb2, saga_pb2

TERMINAL = frozenset({"completed", "compensated", "failed", "cancelled", "timed_out"})


def state_name(value: "saga_pb2.SagaState.ValueType") -> str:
    """``running`` for SAGA_STATE_RUNNING."""
    return saga_pb2.SagaState.Name(value).removeprefix("SAGA_STATE_").lower()


def state_value(name: str) -> "saga_pb2.SagaState.ValueType":
    """The reverse of ``state_name``.

    Raises:
        ValueError: There is no such state.
    """
    return saga_pb2.SagaState.Value(f"SAGA_STATE_{name.upper()}")


def _time(message: Any, field: str) -> datetime | None:
    at: Timestamp = getattr(message, field)
    return at.ToDatetime(UTC) if message.HasField(field) else None


class ErrorView:
    """An error on record."""

    def __init__(self, proto: error_pb2.SagaError) -> None:
        self.proto = proto

    @property
    def code(self) -> str:
        """Stable UPPER_SNAKE code."""
        return self.proto.code

    @property
    def message(self) -> str:
        """For a person."""
        return self.proto.message

    @property
    def type(self) -> str:
        """``business``, ``timeout``, ..."""
        return error_pb2.ErrorType.Name(self.proto.type).removeprefix("ERROR_TYPE_").lower()

    @property
    def details(self) -> Mapping[str, Any]:
        """What the participant attached."""
        return MessageToDict(self.proto.details)

    @property
    def cause(self) -> "ErrorView | None":
        """The error behind this one."""
        return ErrorView(self.proto.cause) if self.proto.HasField("cause") else None

    def __repr__(self) -> str:
        return f"<{self.code}: {self.message}>"


class StepView:
    """One step of a saga."""

    def __init__(self, proto: saga_pb2.StepState, codecs: Codecs) -> None:
        self.proto = proto
        self._codecs = codecs

    @property
    def id(self) -> str:
        """The step's id in the definition."""
        return self.proto.id

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``completed``, ``failed``, ``compensating``, ``compensated`` or ``skipped``."""
        return saga_pb2.StepStatus.Name(self.proto.state).removeprefix("STEP_STATUS_").lower()

    @property
    def attempts(self) -> int:
        """Attempts intended so far."""
        return self.proto.attempts

    @property
    def error(self) -> ErrorView | None:
        """The latest failure."""
        return ErrorView(self.proto.error) if self.proto.HasField("error") else None

    def input(self, kind: Any = None) -> Any:
        """What it was given."""
        return self._codecs.decode(self.proto.input_data if self.proto.HasField("input_data") else None, kind)

    def output(self, kind: Any = None) -> Any:
        """What it returned."""
        return self._codecs.decode(self.proto.output_data if self.proto.HasField("output_data") else None, kind)

    def __repr__(self) -> str:
        return f"<step {self.id} {self.state}>"


class SagaView:
    """One saga as it was when read."""

    def __init__(self, proto: saga_pb2.Saga, codecs: Codecs) -> None:
        self.proto = proto
        self._codecs = codecs

    @property
    def id(self) -> str:
        """Unique for ever."""
        return self.proto.id

    @property
    def definition_id(self) -> str:
        """The definition it runs."""
        return self.proto.definition_id

    @property
    def state(self) -> str:
        """One of the nine states, such as ``running`` or ``compensated``."""
        return state_name(self.proto.state)

    @property
    def is_terminal(self) -> bool:
        """It has its outcome."""
        return self.state in TERMINAL

    @property
    def version(self) -> int:
        """Transitions so far."""
        return self.proto.version

    @property
    def error(self) -> ErrorView | None:
        """Why it stopped or failed."""
        return ErrorView(self.proto.error) if self.proto.HasField("error") else None

    @property
    def steps(self) -> list[StepView]:
        """In definition order; empty if read in the basic view."""
        return [StepView(step, self._codecs) for step in self.proto.step_states]

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return dict(self.proto.labels)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""
        return MessageToDict(self.proto.metadata)

    @property
    def created_at(self) -> datetime:
        """When it was accepted."""
        return self.proto.created_at.ToDatetime(UTC)

    @property
    def updated_at(self) -> datetime:
        """When it last changed."""
        return self.proto.updated_at.ToDatetime(UTC)

    @property
    def completed_at(self) -> datetime | None:
        """When its outcome was recorded."""
        return _time(self.proto, "completed_at")

    @property
    def due_at(self) -> datetime | None:
        """When the coordinator next acts by itself."""
        return _time(self.proto, "due_at")

    def initial_data(self, kind: Any = None) -> Any:
        """What it was started with."""
        return self._codecs.decode(self.proto.initial_data if self.proto.HasField("initial_data") else None, kind)

    def result_data(self, kind: Any = None) -> Any:
        """The last step's output, once completed."""
        return self._codecs.decode(self.proto.result_data if self.proto.HasField("result_data") else None, kind)

    def __repr__(self) -> str:
        return f"<saga {self.id} {self.state}>"


class EventView:
    """One event of a saga."""

    def __init__(self, proto: event_pb2.SagaEvent, codecs: Codecs) -> None:
        self.proto = proto
        self._codecs = codecs

    @property
    def sequence(self) -> int:
        """From 1 without gaps; where to resume a watch."""
        return self.proto.sequence

    @property
    def saga_id(self) -> str:
        """The saga it happened to."""
        return self.proto.saga_id

    @property
    def type(self) -> str:
        """For example ``saga.step.completed``."""
        return self.proto.type

    @property
    def step_id(self) -> str:
        """Empty for the saga as a whole."""
        return self.proto.step_id

    @property
    def attempt(self) -> int:
        """Of the step; 0 for the saga as a whole."""
        return self.proto.attempt

    @property
    def at(self) -> datetime:
        """When it was decided."""
        return self.proto.timestamp.ToDatetime(UTC)

    @property
    def error(self) -> ErrorView | None:
        """What went wrong."""
        return ErrorView(self.proto.error) if self.proto.HasField("error") else None

    def data(self, kind: Any = None) -> Any:
        """The initial data or the step's output."""
        return self._codecs.decode(self.proto.data if self.proto.HasField("data") else None, kind)

    def __repr__(self) -> str:
        return f"<{self.saga_id}/{self.sequence} {self.type} {self.step_id}>"
