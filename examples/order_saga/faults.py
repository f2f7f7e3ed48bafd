"""Faults on demand: a file named for it in the participant's folder makes the next call fail, once."""

from pathlib import Path


class Faults:
    """The faults asked of one participant."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plant(self, name: str) -> None:
        """Ask for one."""
        (self._folder / f"fault-{name}").touch()

    def strikes(self, name: str) -> bool:
        """Whether it was asked for; then it is used up."""
        try:
            (self._folder / f"fault-{name}").unlink()
        except FileNotFoundError:
            return False
        return True
