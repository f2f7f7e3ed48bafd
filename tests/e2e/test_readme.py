"""The README's shortest useful program, run exactly as printed: its files, its three commands, its ports."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROGRAM = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", README, re.DOTALL))
COMMANDS = re.search(r"Run them, .*?```sh\n(.*?)```", README, re.DOTALL)


def test_the_program_is_short():
    assert sorted(PROGRAM) == ["inventory.py", "order.py"]
    assert sum(len(text.splitlines()) for text in PROGRAM.values()) < 40


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError:
            return False
        return True


@pytest.mark.e2e
async def test_the_program_runs_as_printed(tmp_path):
    assert COMMANDS is not None
    participant, coordinator, client = COMMANDS.group(1).splitlines()
    for name, text in PROGRAM.items():
        (tmp_path / name).write_text(text)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}

    async def run(command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command.split(),
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    # They lie in the range from which the system gives ports to connections: other tests' may have one for a moment.
    await eventually(lambda: all(map(is_free, (50051, 50052))))
    running = [await run(participant), await run(coordinator)]
    try:
        async with asyncio.timeout(30):
            assert running[1].stdout is not None
            said = b""
            while b"listening on port 50051" not in said:
                line = await running[1].stdout.readline()
                assert line, f"{coordinator!r} ended: {said.decode()}"
                said += line
        running.append(started := await run(client))
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                await started.wait()
    finally:
        for process in running:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            endings = [await process.communicate() for process in running]
    printed, _ = endings.pop()
    lines = printed.decode().splitlines()
    assert lines[:1] == ["1 saga.started "], (printed, endings)
    assert [line.split()[1] for line in lines[:-1]][-2:] == ["saga.step.completed", "saga.completed"], printed
    assert re.fullmatch(r"\{'hold': '.+/reserve'\}", lines[-1]), printed
    assert [process.returncode for process in running] == [0, 0, 0], endings
