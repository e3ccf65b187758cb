# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a platform is not ready, or not gone. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.probe import ANSWERS, Answer
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import LOG_LINES, MAX_LOG_LINE, short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected

# Parts that the objects below the platform say nothing about.
OUTSIDE = {"owner", "spec", "leftovers", "cluster", "services"}


def causes(wanted: Platform, ended: Result) -> list[str]:
    """Return the deepest cause known of what is not as wanted."""
    verdict = ended.verdicts.get("platform")
    if verdict is not None and verdict.reason == "NotCreated" and wanted.hub:
        return [f"The Developer Hub operator creates it: see the Backstage {wanted.params['hub_name']}."]
    unready = {name for name, _verdict in ended.worst()}
    if unready == {ANSWERS}:
        return [last_words(wanted, ended.snapshot)]
    if unready <= OUTSIDE:
        return []
    return [wanted.call.cause(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace)]


def last_words(wanted: Platform, snapshot: Snapshot) -> str:
    """Return what a service that does not answer as it should has logged last, and where to read on."""
    answer: Answer | None = snapshot.answer(ANSWERS)
    service = answer.service if answer else ""
    pods = selected(snapshot.list(k.POD), {platform_parts.SERVICE_LABEL: service})
    pod = max(pods, key=lambda each: each["metadata"].get("creationTimestamp") or "", default=None)
    lines: list[str] = []
    if pod is not None:
        container = pod["spec"]["containers"][0]["name"]
        text = wanted.session.pod_log(wanted.namespace, pod["metadata"]["name"], container, lines=LOG_LINES)
        lines = [short(line, MAX_LOG_LINE) for line in text.splitlines() if line.strip()]
    said = [f"  Last log lines: {' | '.join(lines)}"] if lines else []
    return "\n".join([*said, f"  Inspect with: oc logs deployment/{service} -n {wanted.namespace}"])
