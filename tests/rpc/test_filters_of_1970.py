"""The first moment there is, as an end: nothing is before it. It is not "no end"."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from swit_saga.v1 import coordinator_service_pb2 as pb
from swit_saga.v1 import coordinator_service_pb2_grpc
from tests.support.rpc.serve import ORDER, serve


@pytest.mark.parametrize("field", ["created_to", "updated_to"])
async def test_an_end_in_1970_matches_nothing(tmp_path, field):
    async with serve(tmp_path) as s:
        await s.client.start(ORDER, {}, saga_id="o-1")
        stub = coordinator_service_pb2_grpc.CoordinatorServiceStub(s.channel)
        for at, expected in ((Timestamp(), []), (Timestamp(seconds=4_000_000_000), ["o-1"])):
            wanted = pb.SagaFilter()
            getattr(wanted, field).CopyFrom(at)
            found = await stub.ListSagas(pb.ListSagasRequest(filter=wanted))
            assert [saga.id for saga in found.sagas] == expected
