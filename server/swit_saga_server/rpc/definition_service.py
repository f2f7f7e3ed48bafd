"""DefinitionService, free of gRPC: a request in, a response out, refusals as the core's errors."""

from collections.abc import Iterator, Sequence

from swit_saga.v1 import definition_service_pb2 as dpb
from swit_saga.v1.definition_pb2 import SagaDefinition
from swit_saga_server.core.errors import InvalidDefinition, InvalidRequest, PayloadTooLarge, Violation
from swit_saga_server.rpc import requests
from swit_saga_server.rpc.callers import Caller
from swit_saga_server.rpc.pages import Page
from swit_saga_server.rpc.shielding import to_the_end
from swit_saga_server.rpc.views import WRAPPING
from swit_saga_server.service import SagaService
from swit_saga_server.wire.definition import definition, read_definition
from swit_saga_server.wire.door import admit

MAX_VIOLATIONS, VIOLATION_LENGTH = 300, 1_000
"""What one answer names, and characters of each: it fits a message, and nobody reads more."""


class DefinitionHandlers:
    """DefinitionService."""

    def __init__(self, service: SagaService) -> None:
        self._definitions = service.definitions
        self._room = service.limits.message - WRAPPING

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
        found = await self._definitions.list(request.definition_id, request.include_disabled, size, request.page_token)
        page: Page[SagaDefinition] = Page(self._room, found.next_token, found.tokens)
        for one in found.definitions:
            if not page.add(definition(one)):
                break
        return dpb.ListDefinitionsResponse(definitions=page, next_page_token=page.next_token)

    async def validate_definition(
        self, request: dpb.ValidateDefinitionRequest, caller: Caller
    ) -> dpb.ValidateDefinitionResponse:
        """ValidateDefinition: what is wrong is the answer, not an error."""
        try:
            admit(request.definition, InvalidDefinition)
            self._definitions.validate(read_definition(request.definition))
        except InvalidRequest as invalid:
            return dpb.ValidateDefinitionResponse(valid=False, violations=_violations(invalid.violations))
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


def _violations(found: Sequence[Violation]) -> Iterator[dpb.DefinitionViolation]:
    """The first of them, and how many more were found."""
    for v in found[:MAX_VIOLATIONS]:
        yield dpb.DefinitionViolation(field=v.field[:VIOLATION_LENGTH], description=v.description[:VIOLATION_LENGTH])
    if len(found) > MAX_VIOLATIONS:
        yield dpb.DefinitionViolation(field="", description=f"and at least {len(found) - MAX_VIOLATIONS} more")
