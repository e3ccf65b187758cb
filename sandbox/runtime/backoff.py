"""How long a kubelet waits before it starts an ended container again, or tries once more to pull an image."""

from __future__ import annotations

FIRST, LIMIT = 10.0, 300.0  # seconds, as in a kubelet
FORGET = 600.0  # seconds; a container that ran this long starts again from the beginning


class Backoff:
    """The waiting times of one container, in a kubelet's seconds; the caller scales what it really waits.

    `first` is the first of them: a container that ended is started again at once, an image waits from the beginning.
    """

    def __init__(self, first: float = 0.0) -> None:
        self._next = first

    def after(self, ran: float) -> float:
        """Return the seconds to wait after a run of `ran` seconds: the first time, then 10 doubling to 300."""
        if ran >= FORGET:
            self._next = 0.0
        delay = self._next
        self._next = min(LIMIT, delay * 2) if delay else FIRST
        return delay


def text(delay: float) -> str:
    """Return seconds the way a kubelet writes them: 10s, 1m20s, 5m0s."""
    minutes, seconds = divmod(round(delay), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
