"""``serve`` and ``dev``: a coordinator as a process."""

import asyncio
import gc
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from swit_saga_server.config import LogFormat, SagaConfig
from swit_saga_server.logs import get_logger, set_up_logs
from swit_saga_server.rpc.server import serving
from swit_saga_server.runtime import Runtime
from swit_saga_server.tasks import end

log = get_logger(__name__)

GC_THRESHOLDS = 50_000, 20, 50
"""By default Python looks through all of a busy coordinator's objects several times a second, and everybody waits for
50 ms and more. With these, under ten times the load it can take, a refusal took 25 to 38 ms at the 99th percentile
instead of 70 to 91.
"""


def run_server(
    config_file: str | None, listen: str | None, participants: list[str], *, dev: bool, store: str | None = None
) -> None:
    """Run until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigError, StoreRefused, StoreUnavailable: With what to do about it.
    """
    with ExitStack() as stack:
        overrides: dict[str, Any] = {"participants": {n: {"address": a} for n, a in map(_participant, participants)}}
        if listen:
            overrides["server"] = {"listen": listen}
        if dev:
            folder = store is None and stack.enter_context(tempfile.TemporaryDirectory(prefix="swit-saga-"))
            overrides["storage"] = {"type": "sqlite", "connection": store or str(Path(str(folder), "dev.db"))}
            overrides["logging"] = {"format": "console"}
        config = SagaConfig.load(config_file, overrides)
        set_up_logs(config.logging.level, pretty=config.logging.format is LogFormat.CONSOLE, explain=dev)
        asyncio.run(serve(config))


async def serve(config: SagaConfig) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        typer.Exit: The engine failed; its exit code is 1.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runtime = Runtime(config, (), None, None)
    await runtime.start()
    try:
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        async with serving(config, runtime) as server:
            known = ", ".join(f"{name}={at.address}" for name, at in sorted(config.participants.items())) or "none"
            log.info("serving", port=server.port, participants=known, store=config.storage.where)
            # For whoever started us and waits to know where we are.
            print(f"listening on port {server.port}", flush=True)
            failed = asyncio.create_task(runtime.engine.failed.wait())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([failed, stopped], return_when=asyncio.FIRST_COMPLETED)
            await end([failed, stopped])
    finally:
        await runtime.stop(0.0)
    if runtime.engine.failure is not None:
        # For a supervisor to start it again; the log has said why. What it drove, others take or the next life does.
        raise typer.Exit(code=1)


def _participant(item: str) -> tuple[str, str]:
    name, equals, address = item.partition("=")
    if not (name and equals and address):
        raise typer.BadParameter(f"--participant wants NAME=ADDRESS, not {item!r}")
    return name, address
