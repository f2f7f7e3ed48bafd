"""ValidateDefinition: what is wrong is the answer, and nothing is registered."""

from typing import Any

import pytest

from swit_saga.v1 import definition_pb2, definition_service_pb2_grpc
from swit_saga.v1 import definition_service_pb2 as pb
from tests.support.rpc.serve import Served, serve


def definition(**more: Any) -> definition_pb2.SagaDefinition:
    steps = [definition_pb2.StepDefinition(id="reserve", participant="shop")]
    return definition_pb2.SagaDefinition(**{"id": "order", "steps": steps} | more)


def step(**more: Any) -> definition_pb2.StepDefinition:
    return definition_pb2.StepDefinition(**{"id": "reserve", "participant": "shop"} | more)


async def validate(s: Served, sent: definition_pb2.SagaDefinition) -> pb.ValidateDefinitionResponse:
    stub: Any = definition_service_pb2_grpc.DefinitionServiceStub(s.channel)
    found: pb.ValidateDefinitionResponse = await stub.ValidateDefinition(pb.ValidateDefinitionRequest(definition=sent))
    return found


WORDY = [step(id=f"s-{n}", action="reserve", description="x" * 4_000) for n in range(300)]
WRONG = {
    "two things at once": (definition(id="", steps=[step(), step()]), ["id", "steps[1].id"]),
    "a participant that nobody is": (definition(steps=[step(participant="nobody")]), ["steps[0].participant"]),
    "an action that it does not know": (definition(steps=[step(action="fly")]), ["steps[0].participant"]),
    "what is not supported": (definition(steps=[step(depends_on=["x"])]), ["steps[0].depends_on"]),
    "too large": (definition(steps=WORDY), ["definition"]),
}


@pytest.mark.parametrize(("sent", "fields"), WRONG.values(), ids=WRONG)
async def test_everything_wrong_is_named(tmp_path, sent, fields):
    async with serve(tmp_path) as s:
        answer = await validate(s, sent)
        assert not answer.valid
        assert [v.field for v in answer.violations] == fields
        assert all(v.description for v in answer.violations)


async def test_nothing_is_registered(tmp_path):
    async with serve(tmp_path) as s:
        answer = await validate(s, definition())
        assert answer.valid
        assert not answer.violations
        stub: Any = definition_service_pb2_grpc.DefinitionServiceStub(s.channel)
        assert not (await stub.ListDefinitions(pb.ListDefinitionsRequest())).definitions


async def test_more_is_wrong_than_one_message_can_name(tmp_path):
    """The first are named, and how many more there are."""
    async with serve(tmp_path) as s:
        answer = await validate(s, definition(steps=[step(id="x" * 900, participant="y" * 900) for _ in range(900)]))
        assert not answer.valid
        assert answer.ByteSize() <= s.runtime.service.limits.message
        assert len(answer.violations) <= 301
        last = answer.violations[-1]
        assert last.field == ""
        assert last.description.startswith("and ")
