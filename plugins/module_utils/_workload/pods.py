# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pod says of itself: the state that keeps it from running, and its cause. PRIVATE; pure functions."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, hint, terminal

# What the kubelet says of a container that waits -> row of the table. Reasons of one row alternate in one trouble.
_WAITING = {
    "InvalidImageName": "pod/InvalidImageName",
    "ErrImageNeverPull": "pod/ErrImageNeverPull",
    "ErrImagePull": "pod/ImagePullBackOff",
    "ImagePullBackOff": "pod/ImagePullBackOff",
    "ImageInspectError": "pod/ImagePullBackOff",
    "RegistryUnavailable": "pod/ImagePullBackOff",
    "SignatureValidationFailed": "pod/ImagePullBackOff",
    "CreateContainerConfigError": "pod/CreateContainerConfigError",
    "CreateContainerError": "pod/CreateContainerError",
    "RunContainerError": "pod/CreateContainerError",
    "PostStartHookError": "pod/CreateContainerError",
}


class Finding(t.NamedTuple):
    """What keeps a pod from being ready."""

    key: str  # row of the table of states
    message: str
    container: str = ""
    log: str = ""  # "previous" or "current": which run of the container says more; empty where none does

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return hint(self.key, self.message) or terminal(self.key).remedy


class Missing(t.NamedTuple):
    """An object, or a key of it, that a container needs."""

    kind: str  # Secret or ConfigMap
    name: str
    key: str = ""


def missing_object(message: str) -> Missing | None:
    """Return the Secret or ConfigMap that a message of the kubelet misses, or None."""
    found = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:\S+/)?([^\s/\"]+)", message)
    if found:
        return Missing(found.group(2), found.group(3), found.group(1))
    found = re.search(r'\b(secret|configmap)s? "([^"]+)" not found', message, re.IGNORECASE)
    if found:
        return Missing("Secret" if found.group(1).lower() == "secret" else "ConfigMap", found.group(2))
    return None


# -- pods -------------------------------------------------------------------------------------------------------------


def finding(pod: Object) -> Finding | None:
    """Return what keeps a pod from being ready, or None when it is ready or has ended well."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name, phase = metadata["name"], status.get("phase") or ""
    said = last_line(status.get("message") or "")
    if metadata.get("deletionTimestamp"):
        return Finding("pod/Terminating", f"pod {name} is being deleted")
    if status.get("reason") == "NodeLost" or phase == "Unknown":
        return Finding("pod/NodeLost", f"pod {name} is on a node that does not answer: {said}")
    if status.get("reason") == "Evicted":
        return Finding("pod/Evicted", f"pod {name} was evicted: {said}")
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        row = find("pod", scheduled.get("reason") or "") or terminal("pod/Unschedulable")
        return Finding(row.key, f"pod {name} cannot be scheduled: {last_line(scheduled.get('message') or '')}")
    states = [(True, item) for item in status.get("initContainerStatuses") or []]
    states += [(False, item) for item in status.get("containerStatuses") or []]
    found = [each for init, item in states if (each := _container(name, item, init)) is not None]
    ending = [each for each in found if terminal(each.key).ends]
    if ending:
        return ending[0]
    if phase == "Failed":
        return found[0] if found else Finding("pod/Failed", f"pod {name} has failed: {said}")
    ready = condition(pod, "Ready")
    if phase == "Succeeded" or (ready and ready.get("status") == "True"):
        return None
    return found[0] if found else Finding("pod/ContainerCreating", f"pod {name} is {phase or 'new'} {said}".rstrip())


def _container(pod: str, item: Object, init: bool) -> Finding | None:
    """Return what keeps a container from being ready (an init container: from being done)."""
    name, state = item.get("name", ""), item.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    what = f"{'init ' if init else ''}container {name} of pod {pod}"
    if item.get("ready") or (init and ended is not None and not ended.get("exitCode")):
        return None
    reason, message = waiting.get("reason") or "", last_line(waiting.get("message") or "")
    if reason in _WAITING:
        key = _WAITING[reason]
        doing = f"cannot pull image {item.get('image')}" if key == "pod/ImagePullBackOff" else "cannot be created"
        return Finding(key, f"{what} {doing} ({reason}): {message}".rstrip(": "), name)
    crashed = ended or (item.get("lastState") or {}).get("terminated")
    # Between two crashes a container runs, and looks well.
    if crashed and (crashed.get("exitCode") or item.get("restartCount") or reason == "CrashLoopBackOff"):
        why = crashed.get("reason") or "Error"
        last = (crashed.get("message") or "").strip().splitlines()
        text = (
            f"{what} ended with exit code {crashed.get('exitCode')} ({why}, {item.get('restartCount') or 0} restarts)"
        )
        key = "pod/OOMKilled" if why == "OOMKilled" else "pod/CrashLoopBackOff"
        return Finding(key, text + (f": {last[-1]}" if last else ""), name, "current" if ended else "previous")
    if reason == "CrashLoopBackOff":
        return Finding("pod/CrashLoopBackOff", f"{what} crashes: {message}", name, "previous")
    if state.get("running") is not None:
        if init:
            return Finding("pod/Initializing", f"{what} is still running", name, "current")
        return Finding("pod/NotReady", f"{what} runs, but its readiness probe does not pass", name, "current")
    if ended is not None:
        return Finding("pod/NotReady", f"{what} has ended", name, "current")
    if reason == "PodInitializing":
        return Finding("pod/Initializing", f"{what} waits for the init containers", name)
    return Finding("pod/ContainerCreating", f"{what} waits ({reason or 'new'}): {message}".rstrip(": "), name)


def last_line(text: str) -> str:
    return " ".join(text.split())


def selected(pods: t.Iterable[Object], labels: t.Mapping[str, str]) -> list[Object]:
    """Return the pods that carry all of the labels."""
    return [pod for pod in pods if labels.items() <= (pod["metadata"].get("labels") or {}).items()]
