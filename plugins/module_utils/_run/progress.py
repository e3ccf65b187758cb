# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a waiting module tells its action plugin what goes on. PRIVATE to the collection.

Ansible has no channel for this: the action plugin makes a named pipe, names it in the environment and reads what the
module writes. The module unlinks the pipe as soon as it has opened it, so that nothing is on disk while it waits.
Without an action plugin (a remote host, `async`, an ad-hoc call of the module file) nothing is reported, and the
result is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import typing as t

from ansible.module_utils.common.parameters import remove_values
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import Entry
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import shorten
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text

VARIABLE = "RHDH_ORCHESTRATOR_PROGRESS"
# Characters. A line stays below PIPE_BUF (4096 bytes on Linux), so that it is written whole or not at all.
MAX_MESSAGE, MAX_NAME = 160, 120
LOOKED_AT = 4096  # characters of a message: hiding secrets in megabytes that nobody sees would hold up the wait
MAX_TIMELINE = 200  # entries that are kept for the message of an interrupted module


class Reporter:
    """The one teller of a module call: remembers every target's last state, and passes each change on."""

    def __init__(self) -> None:
        self.timeline: list[Entry] = []
        self.last: dict[str, Entry] = {}
        self._secrets: t.Collection[str] = ()
        self._pipe: int | None = None

    def open(self, secrets: t.Collection[str]) -> bool:
        """Connect to the action plugin; False when there is none. `secrets` are texts that must not be shown."""
        self._secrets = secrets
        path = os.environ.pop(VARIABLE, "")
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # fails when nobody reads
        except OSError:
            return False
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.close(pipe)
            return False
        self._pipe = pipe
        with contextlib.suppress(OSError):
            os.unlink(path)
        return True

    def tell(self, entry: Entry) -> None:
        """Remember one change, and pass it on when the action plugin listens. Never waits and never fails."""
        self.last[entry["target"]] = entry
        if len(self.timeline) < MAX_TIMELINE:
            self.timeline.append(entry)
        if self._pipe is None:
            return
        shown = {
            "at": entry["at"],
            "state": entry["state"],
            "target": self._clean(entry["target"], MAX_NAME),
            "reason": self._clean(entry["reason"], MAX_NAME),
            "message": self._clean(entry["message"], MAX_MESSAGE),
        }
        # A reader that does not keep up misses a line; the wait must not be held up by it.
        with contextlib.suppress(OSError):
            os.write(self._pipe, json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def heard(self) -> bool:
        """Tell whether the action plugin is still there."""
        try:
            os.write(t.cast(int, self._pipe), b"\n")
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _clean(self, text: str, limit: int) -> str:
        return shorten(redact_text(str(remove_values(text[:LOOKED_AT], self._secrets))), limit)


REPORTER = Reporter()
