"""Worlds worth seeing again: each once showed a mistake, or leads where few others do. CI replays them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parents[2] / "simulation" / "seeds.txt"
CHOSEN = "# Chosen"
"""The line of the file that begins so parts what was recorded by hand from what ``choose`` found."""
TIMES = 10
"""Chosen worlds that reach each thing wanted, if there are as many: so some still do when the product changed."""
NAMED = 4
"""Of what a chosen world is kept for, the rarest are named."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A seed, and why it is kept."""

    seed: int
    why: str

    def __str__(self) -> str:
        return f"{self.seed:<7} {self.why}"


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
    """Keep a seed, for as long as nobody takes it out by hand. One that was only chosen is kept for this reason now.

    Raises:
        ValueError: It is kept already, or there is no reason.
    """
    by_hand, chosen = _parts(file)
    why = " ".join(why.split())
    if not why or any(line.split(" ")[0] == str(seed) for line in by_hand):
        raise ValueError(f"seed {seed} is kept already, or is given without a reason")
    others = [line for line in chosen if line.split(" ")[0] != str(seed)]
    _write(file, [*by_hand, str(Recorded(seed, why))], others)


def choose(seen: Mapping[int, frozenset[str]], file: Path = RECORDED, times: int = TIMES) -> None:
    """Choose anew, by what each world reached: few that together reach it all. Those kept by hand stay."""
    by_hand, chosen = _parts(file)
    kept = {line.split(" ")[0] for line in by_hand}
    found = _few_of({seed: marks for seed, marks in seen.items() if str(seed) not in kept}, times)
    _write(file, by_hand, [chosen[0], *map(str, sorted(found, key=lambda one: one.seed))])


def _few_of(marks: Mapping[int, frozenset[str]], times: int) -> Iterator[Recorded]:
    """Greedily: next the world that reaches most of what is still wanted, the rare counting for more."""
    often = Counter(mark for reached in marks.values() for mark in reached)
    wanted = {mark: min(times, number) for mark, number in often.items()}
    left = dict(marks)
    while wanted:
        worth = {seed: sum(1 / often[m] for m in reached if m in wanted) for seed, reached in left.items()}
        best = max(worth, key=lambda seed: (worth[seed], -seed))
        reached = sorted(left.pop(best) & wanted.keys(), key=lambda mark: (often[mark], mark))
        wanted = {mark: number - (mark in reached) for mark, number in wanted.items()}
        wanted = {mark: number for mark, number in wanted.items() if number}
        yield Recorded(best, "; ".join(reached[:NAMED]))


def _parts(file: Path) -> tuple[list[str], list[str]]:
    lines = file.read_text().splitlines()
    (at,) = (n for n, line in enumerate(lines) if line.startswith(CHOSEN))
    return lines[:at], lines[at:]


def _write(file: Path, by_hand: list[str], chosen: list[str]) -> None:
    file.write_text("\n".join([*(line for line in by_hand if line), "", *chosen, ""]))
