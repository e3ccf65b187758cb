"""A measured row, and how it is judged."""

from __future__ import annotations

import dataclasses
import operator
import typing as t

_JUDGES: dict[str, t.Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison: `us` and `peer` in the same unit, and the goal for their ratio.

    `limit` is what the ratio us/peer may be, `goal` how it is read ("<=" or ">="). A row whose measurement failed has
    `error` and does not hold.
    """

    name: str
    us: float
    peer: float
    limit: float
    goal: str = "<="
    unit: str = "s"
    note: str = ""
    error: str = ""

    @property
    def ratio(self) -> float:
        """us/peer; infinite when the peer took nothing."""
        return self.us / self.peer if self.peer else float("inf")

    @property
    def holds(self) -> bool:
        """True when the row was measured and keeps to its limit."""
        return not self.error and _JUDGES[self.goal](self.ratio, self.limit)

    def to_dict(self) -> dict[str, t.Any]:
        """The row as it is written to results.json."""
        return {
            "name": self.name,
            "us": round(self.us, 3),
            "peer": round(self.peer, 3),
            "limit": self.limit,
            "ratio": round(self.ratio, 3) if self.peer else None,
            "goal": f"us/peer {self.goal} {self.limit}",
            "holds": self.holds,
            "unit": self.unit,
            "note": self.note,
            "error": self.error,
        }


class BenchmarkFailed(Exception):
    """A measurement could not be taken; the text says why, in one line."""
