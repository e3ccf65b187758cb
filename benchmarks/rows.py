"""A measured row, and how it is judged."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison in one run: ours against a `peer` (what one would use instead) or a `limit` (not to be beaten).

    `us`, `peer` and `limit` are in the same unit. The ratio is us/peer, or us/limit where there is no peer; it must be
    at most `goal`. A row whose measurement failed has `error` and does not hold.
    """

    name: str
    us: float
    peer: float | None = None
    limit: float | None = None
    goal: float = 1.0
    unit: str = "s"
    note: str = ""
    error: str = ""

    @property
    def ratio(self) -> float:
        """us/peer, or us/limit; infinite when that took nothing."""
        other = self.peer if self.peer is not None else self.limit
        return self.us / other if other else float("inf")

    @property
    def holds(self) -> bool:
        """True when the row was measured and keeps to its goal."""
        return not self.error and self.ratio <= self.goal

    def to_dict(self) -> dict[str, t.Any]:
        """The row as it is written to results.json."""

        def rounded(value: float | None) -> float | None:
            return None if value is None or value == float("inf") else round(value, 3)

        return {
            "name": self.name,
            "us": rounded(self.us),
            "peer": rounded(self.peer),
            "limit": rounded(self.limit),
            "ratio": rounded(self.ratio),
            "goal": self.goal,
            "holds": self.holds,
            "unit": self.unit,
            "note": self.note,
            "error": self.error,
        }


class BenchmarkFailed(Exception):
    """A measurement could not be taken; the text says why, in one line."""
