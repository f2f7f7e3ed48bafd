"""Another commit of this repository, unpacked and installed beside the working tree, and kept for the next time."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants.contestant import ROOT
from bench.machine import CACHE, versions_of

KEPT = CACHE / "against"
INSTALL_S = 600.0
IMPORTED = "import swit_saga_server; print(swit_saga_server.__file__)"


class Unusable(Exception):
    """That commit cannot be measured, and why."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        commit: In full.
        python: The interpreter that has this side's coordinator.
        dirty: Whether files differ from the commit; those of ``bench/results`` do not count.
    """

    commit: str
    python: str
    dirty: bool = False

    @property
    def label(self) -> str:
        """For people."""
        return self.commit[:7] + ("-dirty" if self.dirty else "")

    def versions(self) -> dict[str, str]:
        """Of what decides how fast a coordinator is, beside itself."""
        return versions_of("grpcio", "protobuf", "redis", "apsw", "msgpack", "pydantic", python=self.python)


def working_tree(root: Path = ROOT) -> Side:
    """What is there now, run by the interpreter that runs this."""
    changed = _run(["git", "status", "--porcelain", "--", ".", ":!bench/results"], root)
    side = Side(resolve("HEAD", root), sys.executable, dirty=bool(changed))
    _check(side, root)
    return side


def resolve(revision: str, root: Path = ROOT) -> str:
    """The commit that a name, tag or abbreviation means, in full.

    Raises:
        Unusable: There is none.
    """
    try:
        return _run(["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], root)
    except Unusable:
        raise Unusable(f"{revision!r} is no commit of this repository") from None


def prepare(revision: str, kept: Path = KEPT) -> Side:
    """Have the commit ready to run, by the same interpreter as the working tree and with its own dependencies.

    Safe to call again: what is complete is used as it is, what is not is made anew.

    Raises:
        Unusable: It is no commit, or cannot be installed.
    """
    commit = resolve(revision)
    folder = kept / commit
    tree, python, stamp = folder / "tree", folder / "venv" / "bin" / "python", folder / "complete"
    interpreter = _run([sys.executable, "-VV"])
    if not (stamp.exists() and stamp.read_text() == interpreter):
        shutil.rmtree(folder, ignore_errors=True)
        unpack(commit, tree)
        _install(tree, python)
        stamp.write_text(interpreter)
    side = Side(commit, str(python))
    _check(side, tree)
    return side


def unpack(commit: str, tree: Path, root: Path = ROOT) -> None:
    """Write the commit's files. Git is told of no second working tree, so there is none to be forgotten."""
    tree.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", commit], cwd=root, capture_output=True, check=True, timeout=60)
    subprocess.run(["tar", "-x", "-C", str(tree)], input=packed.stdout, check=True, timeout=60)


def _install(tree: Path, python: Path) -> None:
    """As ``make setup`` installs the working tree, without what only its developers need."""
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(python.parents[1])])
    constraints = tree / "constraints.txt"
    pinned = ["-c", str(constraints)] if constraints.exists() else []
    _run([uv, "pip", "install", "--quiet", "--python", str(python), *pinned, "--editable", f"{tree}[server]"])


def _check(side: Side, tree: Path) -> None:
    """That this interpreter runs that tree's coordinator: PYTHONPATH or an old installation may be in the way."""
    found = _run([side.python, "-c", IMPORTED])
    if not Path(found).resolve().is_relative_to(tree.resolve()):
        raise Unusable(f"{side.python} would run {found}, which is not of {tree}")


def _run(command: Sequence[str], cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    if done.returncode:
        raise Unusable(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2_000:]}")
    return done.stdout.strip()
