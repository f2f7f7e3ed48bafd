"""``definitions apply``: all of a file's definitions, or none of them."""

from collections.abc import Sequence

from swit_saga import AsyncSagaClient
from swit_saga.errors import InvalidRequestError
from swit_saga_server.cli.definition_file import Found
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.reaching import Way, reached
from swit_saga_server.cli.screen import note, say, shown
from swit_saga_server.cli.showing import say_json


async def apply(way: Way, found: Sequence[Found], *, as_json: bool) -> int:
    """Register definitions: each is checked first, and none is registered unless all are good.

    Raises:
        CallError, Unreachable: With what was done before, on standard error.
    """
    async with reached(way) as sagas:
        wrong = [line for item in found for line in await _wrong(sagas, item)]
        if wrong:
            for line in wrong:
                note(line)
            note("nothing was registered")
            return Exit.FAILED
        for done, item in enumerate(found):
            try:
                version = await sagas.register(item.definition)
            except BaseException:
                before = f"the {done} before it are registered" if done else "nothing before it"
                note(f"{shown(item.where)}: not registered, as far as is known; {before}, and nothing after it")
                raise
            if as_json:
                say_json({"id": item.definition.id, "version": version})
            else:
                say(f"{shown(item.definition.id)} version {version}")
    return Exit.DONE


async def _wrong(sagas: AsyncSagaClient, item: Found) -> list[str]:
    """A line for everything that the coordinator finds wrong with one."""
    try:
        violations = await sagas.definitions.validate(item.definition)
    except InvalidRequestError as refused:
        violations = refused.violations or (("", str(refused)),)
    return [shown(f"{item.where}: {field}: {what}" if field else f"{item.where}: {what}") for field, what in violations]
