# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why the installation of plugins fails, from its log. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

INSTALLER = "install-dynamic-plugins"  # the init container that downloads every plugin
# -- why the plugins do not come ------------------------------------------------------------------------------------

# What its log says -> row of the table of states.
_INSTALLER_CAUSES: tuple[tuple[str, str], ...] = (
    (r"No integrity hash", "installer/NoIntegrity"),
    (
        r"integrity (?:check|verification)|[Hh]ash mismatch|does not match the provided integrity",
        "installer/WrongIntegrity",
    ),
    (r"[Zz]ip bomb", "installer/TooLarge"),
    (r"ENOSPC|[Nn]o space left", "installer/NoSpace"),
    (r"\b401\b|\b403\b|[Uu]nauthorized|authentication required|denied: ", "installer/NotAllowed"),
    (r"inherit", "installer/CannotInherit"),
    (r"manifest unknown|\b404\b|E404|not found", "installer/NoSuchPackage"),
    (
        r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|[Tt]imed? ?out|no such host|onnection refused|x509|certificate",
        "installer/RegistryUnreachable",
    ),
)


def classify_installer_log(log: str) -> Verdict:
    """Turn the last lines of the init container's log into a verdict with a remedy."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"InstallException|[Ee]rror|[Ff]ail", line)]
    last = " | ".join((telling or lines)[-2:])[:400]
    for pattern, key in _INSTALLER_CAUSES:
        if any(re.search(pattern, line) for line in telling):
            return terminal(key).verdict(f"init container {INSTALLER}: {last}")
    return terminal("installer/PluginsNotInstalled").verdict(f"init container {INSTALLER}: {last or 'no log'}")


def failing_installer(pods: t.Iterable[Object]) -> tuple[str, int] | None:
    """Return the newest pod whose plugin installation failed, with the number of its restarts; None when none did."""
    failing = []
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for status in (pod.get("status") or {}).get("initContainerStatuses") or []:
            state = status.get("state") or {}
            ended = state.get("terminated") or (
                (status.get("lastState") or {}).get("terminated") if "waiting" in state else None
            )
            if status.get("name") == INSTALLER and ended and ended.get("exitCode"):
                created = pod["metadata"].get("creationTimestamp", "")
                failing.append((created, pod["metadata"]["name"], status.get("restartCount", 0)))
    if not failing:
        return None
    newest = max(failing)
    return newest[1], newest[2]
