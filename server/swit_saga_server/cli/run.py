"""``serve`` and ``dev``: a coordinator as a process."""

import asyncio
import gc
import os
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from swit_saga_server.cli.signals import START_GRACE_S, StopSignals
from swit_saga_server.config import LogFormat, SagaConfig
from swit_saga_server.logs import get_logger, set_up_logs
from swit_saga_server.rpc.listening import check_listening
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
        ConfigError, CannotListen, StoreRefused, StoreUnavailable: With what to do about it.
    """
    _open_standard_files()
    with ExitStack() as stack, StopSignals(stack.close) as signals:
        addresses = _addresses(participants)
        overrides: dict[str, Any] = {"participants": {name: {"address": at} for name, at in addresses.items()}}
        if listen is not None:
            overrides["server"] = {"listen": listen}
        if dev:
            folder = store is None and stack.enter_context(tempfile.TemporaryDirectory(prefix="swit-saga-"))
            overrides["storage"] = {"type": "sqlite", "connection": store or str(Path(str(folder), "dev.db"))}
            overrides["logging"] = {"format": "console"}
        config = SagaConfig.load(config_file, overrides)
        set_up_logs(config.logging.level, pretty=config.logging.format is LogFormat.CONSOLE, explain=dev)
        asyncio.run(serve(config, signals))
        signals.finish()


async def serve(config: SagaConfig, signals: StopSignals) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        config: All of it.
        signals: What tells of them.

    Raises:
        CannotListen: Before the store is touched.
        StoreRefused, StoreUnavailable.
        typer.Exit: The engine failed; its exit code is 1.
    """
    signals.attend()
    stopped = asyncio.create_task(signals.stop.wait())
    runtime = Runtime(config, (), None, None)
    try:
        # In a thread: it may wait for a resolver.
        await _begin(signals, stopped, asyncio.to_thread(check_listening, config.server.listen))
        await _begin(signals, stopped, runtime.start())
        if stopped.done():
            log.info("stopped_before_serving")
            return
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        async with serving(config, runtime) as server:
            known = ", ".join(f"{name}={at.address}" for name, at in sorted(config.participants.items())) or "none"
            log.info("serving", port=server.port, participants=known, store=config.storage.where)
            _say_where(server.port)
            failed = asyncio.create_task(runtime.engine.failed.wait())
            await asyncio.wait([failed, stopped], return_when=asyncio.FIRST_COMPLETED)
            await end([failed])
    finally:
        await end([stopped])
        await runtime.stop(0.0)
    if runtime.engine.failure is not None:
        # For a supervisor to start it again; the log has said why. What it drove, others take or the next life does.
        raise typer.Exit(code=1)


async def _begin(signals: StopSignals, stopped: "asyncio.Task[Any]", work: Coroutine[Any, Any, None]) -> None:
    """Do a piece of what comes before serving, unless a signal comes first."""
    doing = asyncio.create_task(work)
    await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        await doing
    else:
        signals.end_within(START_GRACE_S)
        await end([doing])


def _say_where(port: int) -> None:
    """For whoever started us and waits to know where we are; if nobody reads it, nobody does."""
    try:
        print(f"listening on port {port}", flush=True)
    except (OSError, ValueError) as lost:
        log.warning("port_not_printed", error=str(lost))
        # Or the interpreter tries again at its end, and fails with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_standard_files() -> None:
    """A process started with one of them closed would write its logs into whatever file comes to have its number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The least number that is free.


def _addresses(items: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, address in map(_participant, items):
        if name in found:
            raise typer.BadParameter(f"--participant names {name!r} twice")
        found[name] = address
    return found


def _participant(item: str) -> tuple[str, str]:
    name, equals, address = item.partition("=")
    if not (name and equals and address):
        raise typer.BadParameter(f"--participant wants NAME=ADDRESS, not {item!r}")
    return name, address
