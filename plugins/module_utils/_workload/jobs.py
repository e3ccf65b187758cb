# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a Job has ended, and how. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import finding, last_line

JOB_LABEL = "batch.kubernetes.io/job-name"
_JOB_STATES = {  # of a Job's pod: those that do not count as a failed attempt, so that the Job would hang on them
    "pod/InvalidImageName",
    "pod/ErrImageNeverPull",
    "pod/ImagePullBackOff",
    "pod/CreateContainerConfigError",
    "pod/CreateContainerError",
    "pod/Unschedulable",
}


# -- Jobs and claims --------------------------------------------------------------------------------------------------


def ended(job: Object | None) -> tuple[str, str, str]:
    """Return how a Job ended ("complete" or "failed"; empty while it has not), the reason and the message."""
    for kind, how in (("Complete", "complete"), ("Failed", "failed"), ("FailureTarget", "failed")):
        found = condition(job, kind)
        if found and found.get("status") == "True":
            return how, found.get("reason") or "", last_line(found.get("message") or "")
    return "", "", ""


def job(obj: Object | None, pods: t.Sequence[Object] = (), last: Object | None = None) -> Verdict:
    """Judge a Job. `pods` may be of several Jobs; `last` is the Job as last seen, where it is gone now."""
    if obj is None:
        return _gone_job(last)
    name, namespace, status = obj["metadata"]["name"], obj["metadata"].get("namespace"), obj.get("status") or {}
    how, reason, message = ended(obj)
    if how == "complete":  # its work is done, even when it is deleted just now
        return Verdict.ready("is complete")
    if how == "failed":
        return (find("job", reason) or terminal("job/JobFailed")).verdict(f"failed ({reason}): {message}")
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if (obj.get("spec") or {}).get("suspend"):
        return terminal("job/Suspended").verdict("is suspended", name=name, namespace=namespace)
    own = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(JOB_LABEL) in (None, name)]
    own.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    found = [each for pod in own if (each := finding(pod)) is not None and each.key != "pod/Terminating"]
    for each in found:
        if each.key in _JOB_STATES:
            return terminal(each.key).verdict(each.message, remedy=each.remedy)
    text = f"{status.get('active') or 0} pods active, {status.get('failed') or 0} failed"
    return Verdict.pending("Running", f"{text}; {found[0].message}" if found else text)


def _gone_job(last: Object | None) -> Verdict:
    if last is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    names = {"name": last["metadata"]["name"], "namespace": last["metadata"].get("namespace")}
    how, reason, message = ended(last)
    if how == "complete":
        return Verdict.ready("was complete, and is deleted")
    if how == "failed":
        return terminal("job/FailedAndDeleted").verdict(f"failed ({reason}) and was deleted: {message}", **names)
    return terminal("job/JobGone").verdict("was deleted, and how it ended was not seen", **names)
