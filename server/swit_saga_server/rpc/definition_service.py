"""DefinitionService, free of gRPC: a request in, a response out, refusals as the core's errors."""

from swit_saga.v1 import definition_service_pb2 as dpb
from swit_saga_server.core.errors import InvalidDefinition, InvalidRequest, PayloadTooLarge
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.shielding import to_the_end
from swit_saga_server.service import SagaService
from swit_saga_server.wire.definition import definition, read_definition
from swit_saga_server.wire.door import admit


class DefinitionHandlers:
    """DefinitionService."""

    def __init__(self, service: SagaService) -> None:
        self._definitions = service.definitions

    async def register_definition(
        self, request: dpb.RegisterDefinitionRequest, caller: Caller
    ) -> dpb.RegisterDefinitionResponse:
        """RegisterDefinition."""
        admit(request.definition, InvalidDefinition)
        stored, created = await to_the_end(self._definitions.register(read_definition(request.definition)))
        return dpb.RegisterDefinitionResponse(definition=definition(stored), created=created)

    async def get_definition(self, request: dpb.GetDefinitionRequest, caller: Caller) -> dpb.GetDefinitionResponse:
        """GetDefinition."""
        stored = await self._definitions.get(request.definition_id, request.version)
        return dpb.GetDefinitionResponse(definition=definition(stored))

    async def list_definitions(
        self, request: dpb.ListDefinitionsRequest, caller: Caller
    ) -> dpb.ListDefinitionsResponse:
        """ListDefinitions."""
        size = requests.page_size(request.page_size)
        page, token = await self._definitions.list(
            request.definition_id, request.include_disabled, size, request.page_token
        )
        return dpb.ListDefinitionsResponse(definitions=[definition(d) for d in page], next_page_token=token)

    async def validate_definition(
        self, request: dpb.ValidateDefinitionRequest, caller: Caller
    ) -> dpb.ValidateDefinitionResponse:
        """ValidateDefinition: what is wrong is the answer, not an error."""
        try:
            admit(request.definition, InvalidDefinition)
            self._definitions.validate(read_definition(request.definition))
        except InvalidRequest as invalid:
            violations = [dpb.DefinitionViolation(field=v.field, description=v.description) for v in invalid.violations]
            return dpb.ValidateDefinitionResponse(valid=False, violations=violations)
        except PayloadTooLarge as large:
            violation = dpb.DefinitionViolation(field="definition", description=str(large))
            return dpb.ValidateDefinitionResponse(valid=False, violations=[violation])
        return dpb.ValidateDefinitionResponse(valid=True)

    async def disable_definition(
        self, request: dpb.DisableDefinitionRequest, caller: Caller
    ) -> dpb.DisableDefinitionResponse:
        """DisableDefinition."""
        stored = await to_the_end(self._definitions.disable(request.definition_id, request.version, not request.enable))
        return dpb.DisableDefinitionResponse(definition=definition(stored))
