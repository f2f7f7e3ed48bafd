"""What the customers saw, as they saw it. The checker judges it; nothing here does."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """A saga as one answer showed it.

    Attributes:
        content: Everything of it, in bytes.
    """

    version: int
    state: str
    definition_version: int
    content: bytes


@dataclass
class Life:
    """One saga, from the outside.

    Attributes:
        order: What it was started with.
        acknowledged: Somebody was told that it is there.
        created: How many were told that they had made it.
        impostors: What became of starts of another order under the same id, once it was acknowledged: ``refused``, or
            ``taken``.
        reads: One after the other, through whichever coordinators; a list for each reader.
        watches: A list for each watcher: (sequence, type, content) as they came, over all resumes.
        cancels: ``accepted``, ``over`` (refused: it has its outcome), or ``unknown``.
        outcome: The state that ended the wait.
    """

    saga_id: str
    order: dict[str, Any]
    acknowledged: bool = False
    created: int = 0
    impostors: list[str] = field(default_factory=list)
    reads: list[list[Seen]] = field(default_factory=list)
    watches: list[list[tuple[int, str, bytes]]] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    outcome: str = ""
