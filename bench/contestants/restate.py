"""Restate: its server from npm, services with its Python SDK."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from urllib.request import Request, urlopen

from bench.contestants.contestant import START_S, Absent, Contestant
from bench.contestants.others import python_of_others, spawn, tree
from bench.machine import CACHE, versions_of
from tests.support.redis_server import free_port


class Restate(Contestant):
    """Restate's server, from its npm package, and services with its Python SDK."""

    durability = "its log's own default"

    def __init__(self, *, local: bool = False) -> None:
        """``local``: without other services, see ``drivers.restate_service``."""
        super().__init__()
        self.name = f"Restate (Python SDK), {'steps in its own process' if local else 'a service per step'}"
        self._handler = "Local" if local else "Saga"
        self._server: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        python, binary = python_of_others(), CACHE / "npm" / "node_modules" / ".bin" / "restate-server"
        if not binary.exists():
            raise Absent("its server is not installed: run scripts/bench")
        self.versions = {"restate-server": await asyncio.to_thread(_version, str(binary))} | versions_of(
            "restate-sdk", python=python
        )
        ingress, admin, node, service = (free_port() for _ in range(4))
        settings = {
            "RESTATE_BASE_DIR": str(self._folder / "restate"),
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        with (self._folder / "restate.log").open("ab") as log:
            self._server = spawn([str(binary)], log, env={**os.environ, **settings})
            self._service = spawn([python, "-m", "bench.drivers.restate_service", str(service)], log)
        await _answers(service)
        await _answers(admin)
        await asyncio.to_thread(_register, admin, service, time.monotonic() + START_S)
        await self._drive("bench.drivers.restate", str(ingress), self._handler, python=python)

    async def end(self) -> None:
        for process in (self._server, self._service):
            if process is not None:
                for pid in reversed(tree(process.pid)):  # Its npm package starts the server as a child.
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()

    @property
    def pids(self) -> list[int]:
        assert self._server is not None
        return tree(self._server.pid)


def _version(binary: str) -> str:
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def _register(admin: int, service: int, until: float) -> None:
    body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
    while True:
        request = Request(f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"})
        try:
            with urlopen(request, timeout=10):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


async def _answers(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > until:
            raise RuntimeError(f"nothing listens on {port}")
        await asyncio.sleep(0.1)
