# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One row of the table of states. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import PENDING, Verdict


@dataclasses.dataclass(frozen=True)
class State:
    """One row: a state, how long it is tolerated, what to do about it, and how we know."""

    key: str  # what it is a state of, and the reason that verdicts carry
    grace: float | None  # seconds; None: it heals by itself
    remedy: str  # may name {things}, which the caller of `verdict` gives
    source: str
    why: str
    stale: float | None = None  # seconds where the same text was there before our change: conditions go stale

    @property
    def area(self) -> str:
        """What it is a state of."""
        return self.key.partition("/")[0]

    @property
    def reason(self) -> str:
        """What the verdict's reason is."""
        return self.key.partition("/")[2]

    @property
    def ends(self) -> bool:
        """Whether the state ends a wait before its deadline."""
        return self.grace is not None

    def verdict(self, message: str, *, stale: bool = False, remedy: str = "", **names: t.Any) -> Verdict:
        """Return the verdict: failed after the grace, or pending where it heals. `remedy` replaces the row's own."""
        remedy = remedy or self.remedy.format(**names)
        if self.grace is None:
            return Verdict(PENDING, self.reason, message, remedy)
        grace = self.stale if stale and self.stale is not None else self.grace
        return Verdict.failed(self.reason, message, remedy, grace)
