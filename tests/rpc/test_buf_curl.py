"""A generic client, no stubs of ours: ``buf curl`` learns the calls by reflection and follows a saga to its end."""

import asyncio
import json
import sysconfig
from pathlib import Path
from typing import Any

from tests.support.rpc.serve import ORDER, serve

BUF = Path(sysconfig.get_path("scripts"), "buf")


async def _curl(folder: Path, address: str, call: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Every message answered."""
    process = await asyncio.create_subprocess_exec(
        BUF,
        "curl",
        "--protocol=grpc",
        "--http2-prior-knowledge",
        f"--data={json.dumps(request)}",
        f"http://{address}/swit_saga.v1.CoordinatorService/{call}",
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(15):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return list(_objects(out.decode()))


def _objects(text: str) -> Any:
    """JSON objects one after the other, over as many lines as they like."""
    decoder, at = json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        yield found
        at += len(text[at:]) - len(text[at:].lstrip())


async def test_start_and_watch_by_reflection(tmp_path):
    async with serve(tmp_path) as s:
        await s.client.register(ORDER)
        request = {
            "sagaId": "o-1",
            "definitionId": "order",
            "initialData": {"contentType": "application/json", "text": '{"n": 1}'},
        }
        (started,) = await _curl(tmp_path, s.address, "StartSaga", request)
        assert started["created"]
        assert started["saga"]["id"] == "o-1"
        events = [m["event"] for m in await _curl(tmp_path, s.address, "WatchSaga", {"sagaId": "o-1"})]
        assert [int(e["sequence"]) for e in events] == list(range(1, len(events) + 1))
        assert (events[0]["type"], events[-1]["type"]) == ("saga.started", "saga.completed")
        assert [name for name, _ in s.shop.calls] == ["reserve", "pay"]
