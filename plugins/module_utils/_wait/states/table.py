# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one table of states that end a wait early, and of those that only look final. PRIVATE to the collection.

A row with a grace ends a wait once the state has lasted that long; a row without one is waited out until the deadline,
because it heals by itself. docs/terminal-states.md is written from this table (`make docs`).
"""

from __future__ import annotations

import re

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states import hub, olm, platform, workload
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.state import State

# Sources: olm, logic, hub, serverless are what the real operators were observed to do (row or section); kubernetes is
# the documented contract of its API; source code is named as such.
STATES: tuple[State, ...] = (*olm.STATES, *workload.STATES, *platform.STATES, *hub.STATES)
_BY_KEY = {state.key: state for state in STATES}


def terminal(key: str) -> State:
    """Return the row of a key that is known to exist."""
    return _BY_KEY[key]


def find(area: str, reason: str) -> State | None:
    """Return the row of a reason that an object carries, or None where the table has none."""
    return _BY_KEY.get(f"{area}/{reason}")


# What texts mean, by the row that they come with: more to the point than the row's own remedy.
HINTS: tuple[tuple[str, str, str], ...] = (
    ("pod/ImagePullBackOff", "toomanyrequests|rate limit", "The registry limits pulls: use a pull secret or a mirror."),
    ("pod/ImagePullBackOff", "x509|certificate", "Make the nodes trust the registry's certificate."),
    (
        "pod/ImagePullBackOff",
        "unauthorized|authentication required|denied|forbidden",
        "Give the pod's ServiceAccount a pull secret for this registry.",
    ),
    (
        "pod/ImagePullBackOff",
        "not found|manifest unknown|name unknown|no such image",
        "Correct the image's name, tag or digest, or bring it into the registry or mirror.",
    ),
    (
        "pod/ImagePullBackOff",
        "no such host|timeout|timed out|refused|unreachable",
        "The node does not reach the registry: check network, proxy and mirror.",
    ),
    (
        "pod/CreateContainerConfigError",
        "couldn't find key|non-existent (config|secret) key",
        "Put the missing key into it, or name the right one; the pod goes on by itself.",
    ),
    (
        "pod/CreateContainerConfigError",
        "runAsNonRoot|run as root|non-numeric user",
        "Use an image with a numeric user that is not root, or set runAsUser.",
    ),
    (
        "pod/CrashLoopBackOff",
        "password authentication failed",
        "The Secret is not what the server knows: old volume with a new password?",
    ),
    (
        "pod/CrashLoopBackOff",
        r'database "[^"]*" does not exist',
        "Create the database: module orchestrator_database does it.",
    ),
    (
        "pod/CrashLoopBackOff",
        "UnknownHost|no such host|could not translate host name|Name or service not known|ENOTFOUND",
        "The host name that it uses does not resolve in the cluster.",
    ),
    (
        "pod/CrashLoopBackOff",
        "[Cc]onnection (to .* )?refused|ECONNREFUSED",
        "What it connects to does not listen there: look at that pod or server.",
    ),
    ("pod/CrashLoopBackOff", "exec format error", "The image is for another processor architecture."),
)


def hint(key: str, text: str) -> str:
    """Return the remedy that a text calls for, or an empty string for the row's own."""
    return next((remedy for row, pattern, remedy in HINTS if row == key and re.search(pattern, text)), "")
