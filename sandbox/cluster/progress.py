"""One line for each step of a long command: time since its start, then the text."""

from __future__ import annotations

import sys
import time


class Progress:
    """Prints lines such as `[  3.2 s] API server ready` to standard error; `quiet` prints none."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """Print one line at once."""
        if not self.quiet:
            print(f"[{self.elapsed:6.1f} s] {text}", file=sys.stderr, flush=True)
