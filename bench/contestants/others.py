"""What the contestants that are not this project's share: their environment and their processes."""

import subprocess
from pathlib import Path
from typing import Any

from bench.contestants.contestant import ROOT, Absent
from bench.machine import CACHE


def python_of_others() -> str:
    """Of the others' environment."""
    found = CACHE / "venv" / "bin" / "python"
    if not found.exists():
        raise Absent("not installed: run scripts/bench")
    return str(found)


def spawn(command: list[str], log: Any, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=log, stderr=log, **{"cwd": ROOT, **how})


def tree(pid: int) -> list[int]:
    """A process and what it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in tree(int(child)))]
