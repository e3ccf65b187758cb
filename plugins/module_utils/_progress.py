# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a waiting module tells its action plugin what goes on. PRIVATE to the collection.

Ansible has no channel for this: the action plugin names a file in the environment and reads what the module appends.
Without that (a remote host, an ad-hoc call of the module file) nothing is told and the result is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

VARIABLE = "RHDH_ORCHESTRATOR_PROGRESS"
Tell = t.Callable[[dict[str, t.Any]], None]


def reporter() -> Tell | None:
    """Return a function that appends one entry to the file of the action plugin, or None when there is none."""
    path = os.environ.get(VARIABLE)
    if not path or not os.path.exists(path):
        return None

    def tell(entry: dict[str, t.Any]) -> None:
        # Progress must never be what breaks a wait: the file may be gone when the play was interrupted.
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    return tell
