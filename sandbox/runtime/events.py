"""Events of played pods, worded and counted as a kubelet does, few writes."""

from __future__ import annotations

import asyncio
import logging
import time
import typing as t

from sandbox.runtime.api import FAILURES, MERGE, Api
from sandbox.runtime.status import now

QUIET = 5.0  # seconds between two writes of one event's count
_KEPT = 2000

LOG = logging.getLogger("runtime")


class Recorder:
    """Writes events; one that repeats only counts up."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[tuple[str, str, str], dict[str, t.Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def warn(self, pod: t.Mapping[str, t.Any], reason: str, message: str, container: str = "") -> None:
        """Record a Warning on a pod, without waiting for the API server."""
        self._record("Warning", pod, reason, message, container)

    def note(self, pod: t.Mapping[str, t.Any], reason: str, message: str, container: str = "") -> None:
        """Record a Normal event on a pod, without waiting for the API server."""
        self._record("Normal", pod, reason, message, container)

    def _record(self, kind: str, pod: t.Mapping[str, t.Any], reason: str, message: str, container: str) -> None:
        message = message[:1000]
        key = (pod["metadata"]["uid"], reason, message)
        entry = self._seen.get(key)
        if entry is None:
            if len(self._seen) > _KEPT:
                self._seen.clear()
            entry = self._seen[key] = {"count": 0, "written": 0.0, "name": "", "busy": False}
        entry["count"] += 1
        if entry["busy"] or time.monotonic() - entry["written"] < QUIET:
            return
        entry["busy"] = True
        task = asyncio.get_running_loop().create_task(self._write(entry, kind, pod, reason, message, container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(
        self,
        entry: dict[str, t.Any],
        kind: str,
        pod: t.Mapping[str, t.Any],
        reason: str,
        message: str,
        container: str,
    ) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        try:
            if entry["name"]:
                change = {"count": entry["count"], "lastTimestamp": now()}
                await self._api.request("PATCH", f"{path}/{entry['name']}", change, MERGE)
            else:
                about = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
                about.update({"apiVersion": "v1", "kind": "Pod"})
                if container:
                    init = any(spec["name"] == container for spec in pod["spec"].get("initContainers") or ())
                    about["fieldPath"] = f"spec.{'initContainers' if init else 'containers'}{{{container}}}"
                name = f"{metadata['name'][:230]}.{time.time_ns():x}"
                event = {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": name, "namespace": metadata["namespace"]},
                    "involvedObject": about,
                    "type": kind,
                    "reason": reason,
                    "message": message,
                    "count": entry["count"],
                    "firstTimestamp": now(),
                    "lastTimestamp": now(),
                    "source": {"component": "kubelet", "host": pod["spec"].get("nodeName", "")},
                    "reportingComponent": "kubelet",
                    "reportingInstance": pod["spec"].get("nodeName", ""),
                }
                await self._api.request("POST", path, event)
                entry["name"] = name
        except FAILURES as error:
            # The namespace may be going away, or the server be down for a moment; an event is not worth more.
            LOG.debug("event %s of %s is lost: %s", reason, metadata["name"], error)
        finally:
            entry["busy"] = False
            entry["written"] = time.monotonic()
