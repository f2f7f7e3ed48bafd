"""DBOS on a private PostgreSQL."""

import asyncio
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from bench.contestants.contestant import START_S, Absent, Contestant
from bench.contestants.others import python_of_others, spawn, tree
from bench.machine import versions_of
from tests.support.redis_server import free_port


class Dbos(Contestant):
    """DBOS on a private PostgreSQL; a library, so its own process is both coordinator and participant."""

    name = "DBOS (PostgreSQL)"
    durability = "synchronous_commit on, fsync on"

    def __init__(self) -> None:
        super().__init__()
        self._postgres: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        python, port = python_of_others(), free_port()
        version = await asyncio.to_thread(self._start_postgres, port)
        self.versions = versions_of("dbos", python=python) | {"postgresql": version}
        url = f"postgresql://postgres@127.0.0.1:{port}/dbos"
        await self._drive("bench.drivers.dbos", url, python=python)

    def _start_postgres(self, port: int) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            raise Absent("there is no PostgreSQL: run scripts/bench")
        programs, data = found[-1], self._folder / "postgres"
        data.mkdir()
        as_user: list[str] = []
        if os.geteuid() == 0:  # It refuses to run as root.
            self._folder.chmod(0o755)
            shutil.chown(data, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        make = [*as_user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"]
        subprocess.run(make, check=True, capture_output=True, cwd="/")
        with (self._folder / "postgres.log").open("ab") as log:
            command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
            self._postgres = spawn([*as_user, *command], log, cwd="/")
        ready = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "dbos"]
        until = time.monotonic() + START_S
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if time.monotonic() > until:
                raise RuntimeError((self._folder / "postgres.log").read_text()[-2_000:])
            time.sleep(0.2)
        return programs.parent.name

    async def end(self) -> None:
        if self._postgres is not None:
            with suppress(ProcessLookupError):
                self._postgres.terminate()
            self._postgres.wait()

    @property
    def pids(self) -> list[int]:
        assert self._driver is not None
        assert self._postgres is not None
        return [self._driver.pid, *tree(self._postgres.pid)]
