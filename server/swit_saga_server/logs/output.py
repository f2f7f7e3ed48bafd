"""Where lines go: a file descriptor that may be closed, full, gone, or read by nobody. None of that is waited for."""

import os
import select

PATIENCE_S = 0.1
"""How long a line waits for a reader that was reading so far."""
CHUNK = 4096
"""What a pipe that is ready takes for certain (PIPE_BUF)."""


class Output:
    """Writes lines as a whole or, where nobody takes them, not at all.

    Attributes:
        lost: Lines that could not be written since the last one that could.
    """

    def __init__(self, fd: int) -> None:
        """Write to a descriptor, which stays its owner's."""
        self.lost = 0
        self._fd = fd
        self._is_stuck = False
        self._is_torn = False

    def write(self, line: str) -> None:
        """One line. It never blocks for longer than ``PATIENCE_S``, and raises nothing for what is wrong with it."""
        text = line + "\n"
        if self.lost:
            text = f'{{"event": "log_lines_lost", "level": "warning", "lines": {self.lost}}}\n{text}'
        if self._is_torn:
            text = f"\n{text}"
        content = text.encode("utf-8", "backslashreplace")
        left = self._put(content)
        if left:
            self.lost += 1
            self._is_torn = self._is_torn or left < len(content)
        else:
            self.lost, self._is_torn = 0, False

    def _put(self, content: bytes) -> int:
        """How many bytes were not taken."""
        done = 0
        try:
            while done < len(content):
                ready = select.poll()
                ready.register(self._fd, select.POLLOUT)
                self._is_stuck = not ready.poll(0 if self._is_stuck else PATIENCE_S * 1000)
                if self._is_stuck:
                    break
                done += os.write(self._fd, content[done : done + CHUNK])
        except (OSError, ValueError):
            pass  # Closed, full, or gone; ``write`` counts the line.
        return len(content) - done
