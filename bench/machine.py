"""What is read off the machine."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parents[1] / ".cache" / "bench"
_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]} | {"python": sys.version.split()[0]}))
"""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> float:
    """Processor time of a process so far, microseconds; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS * 1e6


def memory_kib(pid: int) -> int:
    """Resident memory of a process; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def versions_of(*names: str, python: str = "") -> dict[str, str]:
    """Of packages, here or in another environment."""
    if not python:
        return {name: metadata.version(name) for name in names} | {"python": sys.version.split()[0]}
    made = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(made.stdout)
    return found


def facts() -> dict[str, Any]:
    """What figures depend on beside the code: processors, interpreter and system.

    Which build of an interpreter it is matters: builds differ by a fifth and more.
    """
    lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    models = [value.strip() for name, _, value in lines if name.strip() == "model name"]
    return {
        "cpus": sum(name.strip() == "processor" for name, _, _ in lines),
        "model": models[0] if models else platform.machine(),
        "python": f"{platform.python_version()} ({', '.join(platform.python_build())}; {platform.python_compiler()})",
        "system": f"{platform.system()} {platform.release()}",
    }
