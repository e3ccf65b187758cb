# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Backstage with the orchestrator: its spec, what forbids it, what ready means, why it fails. PRIVATE.

Decisions are pure functions over plain dicts. What differs between releases comes from the release table's row.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.spec import HANDSHAKE, Names, owner_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload

# -- what ready means -----------------------------------------------------------------------------------------------


class Failure(t.NamedTuple):
    """A known cause of reason DeployFailed."""

    key: str  # row of the table of states
    summary: str
    missing: tuple[str, str] | None = None  # kind and name of what must appear


_FAILURES: tuple[tuple[str, str, str], ...] = (
    (
        r'no matches for kind "(?P<kind>\w+)" in version "(?P<name>[^"]+)"',
        "backstage/KindNotServed",
        "a kind that the operator needs is not served",
    ),
    (
        r'(?P<kind>ConfigMap|Secret) "(?P<name>[^"]+)" not found',
        "backstage/ObjectMissing",
        "an object that the spec refers to does not exist",
    ),
    (r"flavour '(?P<name>[^']+)' not found", "backstage/UnknownFlavour", "the operator does not know a flavour"),
    (
        r"failed to unmarshal|cannot unmarshal|did not find expected",
        "backstage/BadPlugins",
        "the plugin ConfigMap is not what the operator expects",
    ),
    (
        r"expects 'dynamic-plugins.yaml' Data key",
        "backstage/WrongKey",
        "the plugin ConfigMap has the wrong key",
    ),
    (
        r'SonataFlowPlatform\S* "sonataflow-platform" is invalid',
        "backstage/PlatformInvalid",
        "the platform holds fields that the operator cannot combine with its own (a jdbcUrl, say)",
    ),
)


def explain_failure(message: str) -> Failure:
    """Classify the message of reason DeployFailed. Nothing here is final at once: the operator retries."""
    for pattern, key, summary in _FAILURES:
        found = re.search(pattern, message)
        if found:
            groups = found.groupdict()
            return Failure(key, summary, (groups["kind"], groups["name"]) if "kind" in groups else None)
    return Failure("backstage/DeployFailed", "the operator cannot apply it")


def judge_backstage(backstage: Object | None) -> Verdict:
    """Judge the custom resource. Its condition proves little when True: the workload is judged beside it."""
    if backstage is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if backstage["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    deployed = condition(backstage, "Deployed")
    if deployed is None:
        return Verdict.pending("NoStatus", "the operator has not reported yet")
    message = " ".join((deployed.get("message") or "").split())
    if deployed.get("status") == "True":
        return Verdict.ready(message)
    if deployed.get("reason") == "DeployFailed":
        failure = explain_failure(message)
        return terminal(failure.key).verdict(f"{failure.summary}: {message}")
    return terminal("backstage/DeployInProgress").verdict(message)


def touch_due(failure: Failure, cause_gone: bool, since_touch: float) -> bool:
    """Tell whether to make the operator retry now instead of after its back-off, which doubles up to a quarter hour.

    `since_touch` is in seconds. A cause that can be checked is waited for; any other is tried now and then.
    """
    if failure.missing is not None:
        return cause_gone and since_touch >= 10.0
    return since_touch >= 60.0


def judge_seen(obj: Object | None, token: str | None) -> Verdict:
    """Judge whether the operator has acted on a change: its token arrived on the Hub's workload."""
    if obj is None:
        return Verdict.pending("NotCreated", "the operator has not created it yet")
    annotations = obj["metadata"].get("annotations") or {}
    if token and annotations.get(HANDSHAKE) != token:
        return Verdict.pending("NotSeen", "the operator has not acted on the last change yet")
    return Verdict.ready("the operator has acted on the last change")


def judge_workload(
    obj: Object | None, token: str | None, installer: Verdict | None = None, pods: t.Sequence[Object] = ()
) -> Verdict:
    """Judge the Hub's workload: our change arrived on it, and it is rolled out.

    `installer` is what the log of its plugin installation says, which tells more than its pods do.
    """
    seen = judge_seen(obj, token)
    if seen.state != READY:
        return seen
    verdict = workload(obj, pods)
    return installer if verdict.state != READY and installer is not None else verdict


def judge_platform(platform: Object | None, backstage: Object | None, names: Names, local: bool) -> Verdict:
    """Judge what the operator makes for the orchestrator: there, owned by our Backstage, on our database."""
    if platform is None:
        return Verdict.pending("NotCreated", "the operator has not created it yet")
    if backstage is None:
        return Verdict.pending("NoBackstage", "the Backstage is not there")
    owner = owner_of(platform)
    if owner is None or owner[0] != "Backstage" or owner[2] != backstage["metadata"]["uid"]:
        whose = f"{owner[0]} {owner[1]}" if owner else "nobody"
        return terminal("platform/NotOurs").verdict(f"is owned by {whose}, not by Backstage {names.name}")
    services = (platform.get("spec") or {}).get("services") or {}
    for service in ("dataIndex", "jobService"):
        postgresql = ((services.get(service) or {}).get("persistence") or {}).get("postgresql") or {}
        secret = (postgresql.get("secretRef") or {}).get("name")
        if local and secret != names.database_secret:
            return Verdict.pending("OtherDatabase", f"{service} uses Secret {secret}, not {names.database_secret}")
    return Verdict.ready(f"owned by Backstage {names.name}")


def stuck_in_foreground(backstage: Object | None) -> bool:
    """Tell whether a Backstage is being deleted in the foreground: that never ends, its operator recreates children."""
    metadata = (backstage or {}).get("metadata") or {}
    return bool(metadata.get("deletionTimestamp")) and "foregroundDeletion" in (metadata.get("finalizers") or [])
