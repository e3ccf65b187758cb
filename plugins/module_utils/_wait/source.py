# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a wait watches, and what its readers report of it. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind


@dataclasses.dataclass(frozen=True)
class Source:
    """A collection, or one object of it, that a wait watches.

    One that may not be read ends the wait, unless it is `optional`: read for detail only.
    """

    kind: Kind
    namespace: str | None = None
    name: str | None = None
    label_selector: str | None = None
    optional: bool = dataclasses.field(default=False, compare=False)

    def __str__(self) -> str:
        """What messages call it."""
        plural = f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural
        which = f" {self.name}" if self.name else (f" ({self.label_selector})" if self.label_selector else "")
        return f"{plural}{which}" + (f" in {self.namespace}" if self.namespace else "")


@dataclasses.dataclass(frozen=True)
class News:
    """One thing that a reader learned: a list, an event, an answer, or why it cannot read."""

    what: str  # "list", "event", "unserved", "online", "offline", "refused", "answer" or "bug"
    source: Source | None  # None for answers
    content: t.Any = None


@dataclasses.dataclass(frozen=True)
class Loss:
    """Why a source cannot be read at the moment."""

    why: str
    blame: str = ""  # what is broken between a well API server and the objects, where that is known
    since: float = 0.0  # monotonic
