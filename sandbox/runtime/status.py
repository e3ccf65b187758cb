"""The status of a pod, computed from its containers as a kubelet does."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

Object = t.Mapping[str, t.Any]


def now() -> str:
    """Return the time of day as the API writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class ContainerState:
    """What is known of one container. `state` and `last` are written as in the API."""

    name: str
    image: str
    state: dict[str, t.Any] = field(default_factory=dict)
    last: dict[str, t.Any] = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False
    identity: str = ""

    def waiting(self, reason: str, message: str = "") -> None:
        """Note that the container waits; a state that has ended becomes the last one."""
        if "terminated" in self.state:
            self.last = self.state
        self.ready = self.started = False
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def running(self) -> None:
        """Note that the container runs from now on."""
        if "terminated" in self.state:
            self.last = self.state
        self.state = {"running": {"startedAt": now()}}

    def terminated(self, code: int, reason: str, message: str = "") -> None:
        """Note that the container has ended."""
        began = self.state.get("running", {}).get("startedAt") or now()
        self.ready = self.started = False
        ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now()}
        texts = {"containerID": self.identity, "message": message}
        self.state = {"terminated": {**ended, **{key: text for key, text in texts.items() if text}}}

    @property
    def exit_code(self) -> int | None:
        """Exit code when the container has ended, else None."""
        found = self.state.get("terminated")
        return None if found is None else t.cast(int, found["exitCode"])

    def to_api(self, init: bool) -> dict[str, t.Any]:
        """Return the entry of containerStatuses or initContainerStatuses."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "" if "waiting" in self.state and not self.restarts else self.image,
            "containerID": self.identity,
            "ready": self.exit_code == 0 if init else self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
        }


def phase(policy: str, init: t.Sequence[ContainerState], main: t.Sequence[ContainerState], ended: bool = False) -> str:
    """Return the pod's phase. `ended` says that no container will be started again (the pod is being deleted)."""
    if any(container.exit_code not in (None, 0) for container in init) and (policy == "Never" or ended):
        return "Failed"
    final = ended or policy in ("Never", "OnFailure")
    codes = [container.exit_code for container in main]
    if final and None not in codes and (policy != "OnFailure" or ended or not any(codes)):
        return "Failed" if any(codes) else "Succeeded"
    begun = all(c.restarts or c.last or "waiting" not in c.state for c in main)
    return "Running" if begun and all(c.exit_code == 0 for c in init) else "Pending"


def _condition(kind: str, value: bool, reason: str, message: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"type": kind, "status": "True" if value else "False"}
    if not value:
        found["reason"] = reason
        if message:
            found["message"] = message
    return found


def conditions(
    sandboxed: bool,
    init: t.Sequence[ContainerState],
    main: t.Sequence[ContainerState],
    pod_phase: str,
    before: t.Iterable[Object],
) -> list[dict[str, t.Any]]:
    """Return the conditions that a kubelet owns; the time of one that did not change is kept from `before`."""
    incomplete = [c.name for c in init if c.exit_code != 0]
    unready = [c.name for c in main if not c.ready]
    done = pod_phase in ("Succeeded", "Failed")
    reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(pod_phase, "ContainersNotReady")
    unready_text = "" if done else f"containers with unready status: [{' '.join(unready)}]"
    initialized = not incomplete
    found = [
        _condition("PodReadyToStartContainers", sandboxed, "", ""),
        _condition(
            "Initialized",
            initialized,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(incomplete)}]",
        ),
        _condition("Ready", initialized and not unready and not done, reason, unready_text),
        _condition("ContainersReady", initialized and not unready and not done, reason, unready_text),
    ]
    times = {(c["type"], c["status"]): c.get("lastTransitionTime") for c in before}
    for entry in found:
        entry["lastTransitionTime"] = times.get((entry["type"], entry["status"])) or now()
        if entry.get("reason") == "":
            del entry["reason"]
        # A strategic merge keeps a field that is not sent, so old texts are taken away by hand.
        for name in ("reason", "message"):
            entry.setdefault(name, None)
    return found
