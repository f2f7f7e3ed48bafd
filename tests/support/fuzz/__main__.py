"""``python -m tests.support.fuzz --messages 100000``: a storm over a coordinator in a process of its own."""

import argparse
import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

from swit_saga import AsyncSagaClient
from tests.support.fuzz.storm import storm
from tests.support.rpc.serve import ORDER, Shop

GROWTH = 1.25
"""Memory at the end may be this much above that of after the first quarter."""


async def main(messages: int, seed: int, folder: Path) -> int:
    """Run it; the exit code says whether all was well."""
    shop = Shop()
    async with shop.participant.serve("127.0.0.1:0") as serving:
        command = [
            *(sys.executable, "-m", "swit_saga", "serve", "--listen", "127.0.0.1:0"),
            *("--participant", f"shop=127.0.0.1:{serving.port}"),
        ]
        environment = {**os.environ, "SWIT_SAGA_STORAGE__CONNECTION": str(folder / "saga.db")}
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        try:
            said = (await process.stdout.readline()).decode()
            address = f"127.0.0.1:{int(said.split()[-1])}"
            async with AsyncSagaClient(address) as sagas:
                await sagas.register(ORDER)
                for n in range(5):
                    await (await sagas.start("order", {}, saga_id=f"known-{n}")).wait()

                def resident() -> int:
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    found = re.search(r"VmRSS:\s+(\d+) kB", status)
                    assert found is not None
                    return int(found[1]) * 1024

                ids = [*(f"known-{n}" for n in range(5)), "order", "shop", "reserve", "pay"]
                report = await storm(address, messages, seed, ids, resident)
                print("\n".join(report.lines()))
                assert (await sagas.get("known-0")).state == "completed"
                await (await sagas.start("order", {}, saga_id="afterwards")).wait()
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                code = await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                code = await process.wait()
        tracebacks = (folder / "log").read_text().count("Traceback")
        growth = report.memory[-1] / report.memory[len(report.memory) // 4]
        print(f"exit code {code}, {tracebacks} tracebacks in the log, memory grew by {growth:.2f} (at most {GROWTH})")
        return 1 if report.faults or code or tracebacks or growth > GROWTH else 0


parser = argparse.ArgumentParser()
parser.add_argument("--messages", type=int, default=100_000)
parser.add_argument("--seed", type=int, default=1)
given = parser.parse_args()
with tempfile.TemporaryDirectory() as temporary:
    sys.exit(asyncio.run(main(given.messages, given.seed, Path(temporary))))
