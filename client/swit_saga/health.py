"""Asks a server by ``grpc.health.v1`` whether it can be used.

The messages are made here: the light install has no grpcio-health-checking, and where it is installed, too, its own
messages must not meet these in one descriptor pool.
"""

from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from swit_saga.errors import UnavailableError
from swit_saga.v1 import coordinator_service_pb2

SERVICE: str = coordinator_service_pb2.DESCRIPTOR.services_by_name["CoordinatorService"].full_name
"""What is asked about."""
CHECK = "/grpc.health.v1.Health/Check"
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
"""By number."""
SERVING = STATUSES.index("SERVING")


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3")
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=FieldDescriptorProto.TYPE_STRING, label=optional)
    response = file.message_type.add(name="HealthCheckResponse")
    # An enum on the wire is an int32.
    response.field.add(name="status", number=1, type=FieldDescriptorProto.TYPE_INT32, label=optional)
    return file


_pool = DescriptorPool()
_pool.Add(_file())
Request: Any = GetMessageClass(_pool.FindMessageTypeByName("grpc.health.v1.HealthCheckRequest"))
Response: Any = GetMessageClass(_pool.FindMessageTypeByName("grpc.health.v1.HealthCheckResponse"))


class HealthStub:
    """Looks like the generated stub, for blocking channels and grpc.aio's."""

    def __init__(self, channel: Any) -> None:
        self.Check: Any = channel.unary_unary(
            CHECK, request_serializer=Request.SerializeToString, response_deserializer=Response.FromString
        )


def health_request() -> Any:
    """The question about the coordinator."""
    return Request(service=SERVICE)


def refuse_unless_serving(response: Any) -> None:
    """Return if the answer is SERVING.

    Raises:
        UnavailableError: It is not.
    """
    if response.status != SERVING:
        status = STATUSES[response.status] if 0 <= response.status < len(STATUSES) else response.status
        raise UnavailableError(f"the coordinator's health is {status}", code=grpc.StatusCode.UNAVAILABLE)
