"""Worlds worth seeing again: each once showed a mistake, or leads where few others do. CI replays them."""

from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parents[2] / "simulation" / "seeds.txt"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A seed, and why it is kept."""

    seed: int
    why: str


def recorded(file: Path = RECORDED) -> list[Recorded]:
    """All that are kept, in the file's order. A line is a seed and the reason; one that begins with # is a remark.

    Raises:
        ValueError: A line is neither, or a seed is there twice.
    """
    found: dict[int, Recorded] = {}
    for line in file.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        seed, _, why = line.partition(" ")
        if not seed.isdecimal() or not why.strip() or int(seed) in found:
            raise ValueError(f"{file.name}: not a new seed with a reason: {line!r}")
        found[int(seed)] = Recorded(int(seed), why.strip())
    return list(found.values())


def record(seed: int, why: str, file: Path = RECORDED) -> None:
    """Keep a seed.

    Raises:
        ValueError: It is kept already, or there is no reason.
    """
    text = file.read_text()
    why = " ".join(why.split())
    if not why or seed in {one.seed for one in recorded(file)}:
        raise ValueError(f"seed {seed} is kept already, or is given without a reason")
    file.write_text(f"{text.rstrip()}\n{seed:<8} {why}\n")
