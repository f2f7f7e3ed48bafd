"""The commands that talk to a coordinator, through the client SDK."""

from typing import Any

from swit_saga.ids import new_saga_id
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.failures import Unreachable
from swit_saga_server.cli.reaching import Way, reached
from swit_saga_server.cli.screen import say, say_table, shown
from swit_saga_server.cli.showing import HEADINGS, saga_row, say_event, say_json, say_saga
from swit_saga_server.cli.values import say_left_out, say_values

PAGE = 100


async def start(
    way: Way, definition: str, data: Any, saga_id: str | None, labels: dict[str, str], *, wait: bool, as_json: bool
) -> int:
    """Start, and wait if asked to."""
    # Made here and not by the client, so that whoever is left without an answer can ask for this very saga.
    known = saga_id if saga_id is not None else new_saga_id()
    try:
        async with reached(way) as sagas:
            handle = await sagas.start(definition, data, saga_id=known, labels=labels)
    except Unreachable as error:
        again = f"it may have begun: the same command with --id {known} starts it once"
        raise Unreachable(f"{error}; {again}") from error
    if not wait:
        if as_json:
            say_json({"id": handle.id, "created": handle.created})
        else:
            say(shown(handle.id))
        return Exit.DONE
    async with reached(Way(way.address, None, lasting=True)) as sagas:
        saga = await sagas.wait(handle.id)
    say_saga(saga, as_json=as_json)
    return Exit.DONE if saga.state == "completed" else Exit.NOT_COMPLETED


async def get(way: Way, saga_id: str, steps: list[str], *, as_json: bool) -> int:
    """Show one saga; of the steps named their values, too."""
    async with reached(way) as sagas:
        saga = await sagas.get(saga_id, steps=steps)
    say_saga(saga, as_json=as_json)
    if not as_json:
        if steps:
            say_values(saga)
        else:
            say_left_out(saga)
    return Exit.DONE


async def list_sagas(
    way: Way, states: list[str], definitions: list[str], labels: dict[str, str], limit: int, *, as_json: bool
) -> int:
    """List sagas."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    async with reached(way) as sagas:
        shown_so_far = 0
        found = sagas.list(states=states, definitions=definitions, labels=labels, page_size=min(limit, PAGE))
        async for saga in found:
            if as_json:
                say_json(saga.proto)
            else:
                rows.append(saga_row(saga))
            shown_so_far += 1
            if shown_so_far == limit:
                break
    if not as_json:
        say_table(rows)
    return Exit.DONE


async def watch(way: Way, saga_id: str, after: int, *, follow: bool, as_json: bool) -> int:
    """Stream events."""
    async with reached(way) as sagas:
        async for event in sagas.watch(saga_id, after=after, follow=follow):
            say_event(event, as_json=as_json)
    return Exit.DONE


async def cancel(way: Way, saga_id: str, reason: str, *, as_json: bool) -> int:
    """Cancel one saga."""
    async with reached(way) as sagas:
        saga = await sagas.cancel(saga_id, reason)
    say_saga(saga, as_json=as_json)
    return Exit.DONE
