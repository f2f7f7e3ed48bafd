"""The commit before, beside the working tree: what a fleet is upgraded from."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.against.checkout import resolve, unpack
from bench.contestants.contestant import ROOT

NAMED = ROOT / "tests" / "e2e" / "previous.txt"
KEPT = ROOT / ".cache" / "previous"
SOURCES = ("server", "client")
IMPORTED = "import swit_saga, swit_saga_server; print(swit_saga.__file__); print(swit_saga_server.__file__)"


class NotThere(Exception):
    """The commit before cannot be run, and what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of the product that can be run by the interpreter that runs this.

    Attributes:
        commit: In full.
        folder: Where its files are.
    """

    commit: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """With this, the interpreter finds the tree's packages, before those that are installed."""
        return {"PYTHONPATH": os.pathsep.join(str(self.folder / source) for source in SOURCES)}


def previous(named: Path = NAMED, kept: Path = KEPT, root: Path = ROOT) -> Tree:
    """The commit that the file names, unpacked. Nothing is installed: it runs with the dependencies of the present one.

    Raises:
        NotThere: It is no commit of this clone, or none that led to the present one.
    """
    revision = next(line.strip() for line in named.read_text().splitlines() if line.strip() and line[0] != "#")
    try:
        commit = resolve(revision, root)
    except Exception as missing:
        raise NotThere(
            f"{named} names the commit {revision}, which this clone does not have. The test of rolling upgrades runs "
            "it beside the present one: in a shallow clone, fetch its history first (git fetch --unshallow)"
        ) from missing
    led_here = subprocess.run(["git", "merge-base", "--is-ancestor", commit, "HEAD"], cwd=root, check=False, timeout=60)
    if led_here.returncode:
        raise NotThere(f"{named} names {commit}, which is no ancestor of HEAD: name a commit that fleets may run now")
    tree = Tree(commit, kept / commit)
    if not tree.folder.exists():
        _unpack_whole(commit, tree.folder, root)
    _check(tree)
    return tree


def _unpack_whole(commit: str, folder: Path, root: Path) -> None:
    """All of it or nothing, though several may do it at a time."""
    part = folder.with_name(f"{commit}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    unpack(commit, part, root)
    try:
        part.rename(folder)
    except OSError:
        shutil.rmtree(part)  # Another was faster.


def _check(tree: Tree) -> None:
    """That it is this tree that is run, and not what is installed."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env={**os.environ, **tree.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = [Path(line) for line in done.stdout.splitlines()]
    if len(found) != len(SOURCES) or not all(file.is_relative_to(tree.folder) for file in found):
        raise NotThere(f"{sys.executable} would run {done.stdout or done.stderr}, which is not of {tree.folder}")
