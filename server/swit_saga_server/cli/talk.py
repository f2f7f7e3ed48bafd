"""The commands that talk to a coordinator, through the client SDK."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from swit_saga import AsyncSagaClient
from swit_saga.views import SagaView
from swit_saga_server.cli.definition_file import read_definitions

console = Console(highlight=False)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command to its exit code."""
    code = asyncio.run(work)
    if code:
        sys.exit(code)


async def apply(address: str, file: str) -> int:
    """Register a file's definitions."""
    found = read_definitions(Path(file).read_text(), file)
    async with AsyncSagaClient(address) as sagas:
        for definition in found:
            version = await sagas.register(definition)
            print(f"{definition.id} version {version}")
    return 0


async def start(
    address: str,
    definition: str,
    data: str | None,
    saga_id: str | None,
    labels: dict[str, str],
    wait: bool,
    as_json: bool,
) -> int:
    """Start, and wait if asked to."""
    text = Path(data[1:]).read_text() if data and data.startswith("@") else data
    value = json.loads(text) if text is not None else None
    async with AsyncSagaClient(address, service="swit-saga-cli") as sagas:
        handle = await sagas.start(definition, value, saga_id=saga_id, labels=labels)
        if not wait:
            print(json.dumps({"id": handle.id, "created": handle.created}) if as_json else handle.id)
            return 0
        saga = await handle.wait()
        _show(saga, as_json)
        return 0 if saga.state == "completed" else 3


async def get(address: str, saga_id: str, as_json: bool) -> int:
    """Show one saga."""
    async with AsyncSagaClient(address) as sagas:
        _show(await sagas.get(saga_id), as_json)
    return 0


async def list_sagas(
    address: str, states: list[str], definitions: list[str], labels: dict[str, str], limit: int, as_json: bool
) -> int:
    """List sagas."""
    table = Table("id", "definition", "state", "step", "created", "error", box=None)
    async with AsyncSagaClient(address) as sagas:
        shown = 0
        async for saga in sagas.list(states=states, definitions=definitions, labels=labels, page_size=min(limit, 1000)):
            if as_json:
                _json(saga.proto)
            else:
                step = f"{saga.proto.current_step + 1}/{saga.proto.total_steps}"
                error = saga.error.message if saga.error else ""
                table.add_row(saga.id, saga.definition_id, saga.state, step, _time(saga.created_at), error)
            shown += 1
            if shown == limit:
                break
    if not as_json:
        console.print(table)
    return 0


async def watch(address: str, saga_id: str, after: int, follow: bool, as_json: bool) -> int:
    """Stream events."""
    async with AsyncSagaClient(address) as sagas:
        async for event in sagas.watch(saga_id, after=after, follow=follow):
            if as_json:
                _json(event.proto)
                continue
            attempt = f" attempt {event.attempt}" if event.attempt > 1 else ""
            error = f"  {event.error.code}: {event.error.message}" if event.error else ""
            print(f"{event.sequence:4} {_time(event.at)} {event.type:32} {event.step_id}{attempt}{error}", flush=True)
    return 0


async def cancel(address: str, saga_id: str, reason: str, as_json: bool) -> int:
    """Cancel one saga."""
    async with AsyncSagaClient(address) as sagas:
        _show(await sagas.cancel(saga_id, reason), as_json)
    return 0


def _show(saga: SagaView, as_json: bool) -> None:
    if as_json:
        _json(saga.proto)
        return
    console.print(f"saga       {saga.id}\ndefinition {saga.definition_id} version {saga.proto.definition_version}")
    console.print(f"state      {saga.state}\ncreated    {_time(saga.created_at)}")
    if saga.due_at is not None:
        console.print(f"due        {_time(saga.due_at)}")
    if saga.error is not None:
        console.print(f"error      {saga.error.code}: {saga.error.message}")
    table = Table("step", "state", "attempts", "error", box=None)
    for step in saga.steps:
        error = f"{step.error.code}: {step.error.message}" if step.error else ""
        table.add_row(step.id, step.state, f"{step.attempts}/{step.proto.max_attempts}", error)
    console.print(table)


def _json(message: Message) -> None:
    print(json.dumps(MessageToDict(message, preserving_proto_field_name=True)), flush=True)


def _time(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
