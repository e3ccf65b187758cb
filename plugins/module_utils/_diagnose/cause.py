# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cause with its remedy and the command that shows more. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object


@dataclasses.dataclass(frozen=True)
class Cause:
    """The deepest known cause, what to do about it, and the command that shows more."""

    message: str
    remedy: str = ""
    command: str = ""
    said: str = ""  # the last lines of a container's log

    def text(self, prefix: str = "") -> str:
        """Return at most four lines for an error message."""
        lines = [f"Cause: {prefix}{self.message}"]
        if self.said:
            lines.append(f"  Last log lines: {self.said}")
        if self.remedy:
            lines.append(f"  Remedy: {self.remedy}")
        if self.command:
            lines.append(f"  Inspect with: {self.command}")
        return "\n".join(lines)

    def below(self, what: str) -> Cause:
        """Return the same cause as that of an object above."""
        return dataclasses.replace(self, message=f"{what}: {self.message}")


def get_command(obj: Object, verb: str = "describe") -> str:
    """Return the command that shows an object."""
    metadata = obj["metadata"]
    group = obj.get("apiVersion", "").rpartition("/")[0]
    kind = str(obj.get("kind") or "object").lower() + (f".{group}" if "." in group else "")
    where = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"oc {verb} {kind} {metadata['name']}{where}"


def called(obj: Object) -> str:
    """Return what an object is called in messages."""
    return f"{obj.get('kind')} {obj['metadata']['name']}"
