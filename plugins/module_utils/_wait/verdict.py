# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a wait says of its targets, and how it ended. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import SERVER, UNREACHABLE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot

READY, PENDING, FAILED, TIMED_OUT = "ready", "pending", "failed", "timed_out"
UNAUTHORIZED, CERTIFICATE, FOREIGN = "Unauthorized", "Certificate", "NotKubernetes"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one target's objects say: ready, pending or failed, why, and what to do about it."""

    state: str
    reason: str = ""
    message: str = ""
    remedy: str = ""
    grace: float = 0.0  # seconds that a failure must last before it ends the wait: many heal by themselves
    stable_for: float = 0.0  # seconds that readiness must last before it counts: some are noise

    @classmethod
    def ready(cls, message: str = "", stable_for: float = 0.0) -> Verdict:
        """The target is in the wanted state."""
        return cls(READY, "Ready", message, stable_for=stable_for)

    @classmethod
    def pending(cls, reason: str, message: str = "") -> Verdict:
        """The target is on its way."""
        return cls(PENDING, reason, message)

    @classmethod
    def failed(cls, reason: str, message: str, remedy: str = "", grace: float = 0.0) -> Verdict:
        """The target will not become ready by itself."""
        return cls(FAILED, reason, message, remedy, grace)


@dataclasses.dataclass
class Result:
    """How a wait ended."""

    phase: str
    verdicts: dict[str, Verdict]
    elapsed: float
    timeline: list[dict[str, t.Any]]
    snapshot: Snapshot
    requests: dict[str, int] = dataclasses.field(default_factory=dict)

    def worst(self) -> list[tuple[str, Verdict]]:
        """Return the targets that are not ready, failed ones first."""
        unready = [(name, verdict) for name, verdict in self.verdicts.items() if verdict.state != READY]
        return sorted(unready, key=lambda item: (item[1].state != FAILED, item[0] != SERVER))

    @property
    def reason(self) -> str:
        """Why it ended so: the reason of the worst target."""
        worst = self.worst()
        if not worst and self.phase != READY:  # nothing could be read yet
            return UNREACHABLE
        return worst[0][1].reason if worst else "Ready"

    @property
    def message(self) -> str:
        """What the worst target says; the message of a single one when all are ready."""
        worst = self.worst()
        if worst:
            return worst[0][1].message
        return next(iter(self.verdicts.values())).message if len(self.verdicts) == 1 else ""

    @property
    def blind(self) -> bool:
        """Whether the API server could not be read in the end: to ask it for causes is no use."""
        return self.reason in (UNREACHABLE, UNAUTHORIZED, CERTIFICATE, FOREIGN)

    def to_dict(self) -> dict[str, t.Any]:
        """Return what module results show of a wait. Durations are seconds."""
        return {
            "phase": self.phase,
            "reason": self.reason,
            "message": self.message,
            "elapsed": round(self.elapsed, 2),
            "requests": self.requests,
            "timeline": self.timeline,
            "targets": {
                name: {"state": verdict.state, "reason": verdict.reason, "message": verdict.message}
                for name, verdict in self.verdicts.items()
            },
        }
