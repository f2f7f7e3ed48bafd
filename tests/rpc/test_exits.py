"""Programs that end without closing their client end at once and print nothing."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from swit_saga import Codecs, SagaClient
from tests.support.rpc.serve import ORDER, serve

HEAD = """
import sys, threading
from swit_saga import Saga, SagaClient, Step
ORDER = Saga("order", [Step("reserve", "shop")])
sagas = SagaClient(sys.argv[1])
"""
PROGRAMS = {
    "unused": "",
    "used": "sagas.metrics()",
    "started": "sagas.start(ORDER, {'reserve': 1})",
    "watching": "events = sagas.watch(sagas.start(ORDER, {'reserve': 1}), follow=True); next(events)",
    "listing": "sagas.start(ORDER, {}); sagas.start(ORDER, {}); found = sagas.list(page_size=1); next(found)",
    "waiting": "i = sagas.start(ORDER, {}); threading.Thread(target=sagas.wait, args=(i,), daemon=True,"
    " kwargs={'states': ['failed']}).start()",
    "in a cycle": "it = [sagas, sagas.watch(sagas.start(ORDER, {}))]; next(it[1]); it.append(it); del sagas, it",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
async def test_a_client_that_is_not_closed(tmp_path, program):
    async with serve(tmp_path) as served:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HEAD + program, served.address, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(20):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert (process.returncode, out.decode()) == (0, "")


async def test_a_client_within_a_running_event_loop(tmp_path):
    """As in a notebook: it works, and blocks that loop, so the coordinator must be elsewhere."""
    async with serve(tmp_path) as served:
        address = served.address

        def in_a_loop_of_its_own() -> int:
            async def work() -> int:
                with SagaClient(address) as sagas:
                    return sagas.metrics().total_sagas

            return asyncio.run(work())

        assert await asyncio.to_thread(in_a_loop_of_its_own) == 0


async def test_a_codec_that_calls_its_own_client_is_told_so(tmp_path):
    class Asking:
        sagas: SagaClient

        def encode(self, value: Any) -> Any:
            self.sagas.metrics()

        def takes(self, content_type: str) -> bool:
            return False

        def decode(self, payload: Any, kind: Any) -> Any: ...

    codec = Asking()
    async with serve(tmp_path) as served:
        with SagaClient(served.address, codecs=Codecs(codec)) as sagas:
            codec.sagas = sagas
            with pytest.raises(RuntimeError, match="calls the client, whose thread waits for it"):
                await asyncio.to_thread(sagas.start, ORDER, {})
            await asyncio.to_thread(sagas.close)
