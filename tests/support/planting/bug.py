"""What a planted bug is: one function's text, right and wrong."""

import textwrap
from dataclasses import dataclass


class NotThere(Exception):
    """The right text, or its function, is not where the bug says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One mistake.

    Attributes:
        name: What it is.
        module: The module of the function, dotted.
        function: The function's qualified name in it: ``decide``, ``Rounds.verdicts``.
        right: The right text, which stands exactly once in that function. Of one line it may be a part; of several
            lines it is whole lines, indented as deeply as one likes.
        wrong: What is put in its place. If it has several lines, ``right`` is whole lines, too.
        invariants: That it should break, by its nature.
        why: How one comes to write this.
    """

    name: str
    module: str
    function: str
    right: str
    wrong: str
    invariants: str = ""
    why: str = ""

    def planted_in(self, text: str) -> str:
        """The function's source with the mistake in it.

        Raises:
            NotThere: The right text does not stand there exactly once.
        """
        if "\n" in self.right.strip("\n") or "\n" in self.wrong:
            return self._with_other_lines(text.split("\n"))
        right = self.right.strip("\n")
        self._check(text.count(right))
        return text.replace(right, self.wrong)

    def _with_other_lines(self, lines: list[str]) -> str:
        right, wrong = _block(self.right), _block(self.wrong)
        size = len(right)
        windows = {i: lines[i : i + size] for i in range(len(lines) - size + 1)}
        found = [i for i, window in windows.items() if _block("\n".join(window)) == right]
        self._check(len(found))
        at = found[0]
        margin = " " * (len(lines[at]) - len(right[0]))
        return "\n".join([*lines[:at], *(margin + line if line else "" for line in wrong), *lines[at + size :]])

    def _check(self, times: int) -> None:
        if times != 1:
            where = f"{self.module}:{self.function}"
            raise NotThere(f"{self.name}: {self.right!r} stands {times} times in {where}, and should stand once")


def _block(text: str) -> list[str]:
    """The lines of a text, without the margin that all of them share."""
    return textwrap.dedent(text).strip("\n").rstrip().split("\n") if text.strip() else []
