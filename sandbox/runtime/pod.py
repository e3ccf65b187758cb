"""One played pod: its volumes, its containers in order, its status in the API, its end."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
import typing as t
from pathlib import Path

from sandbox.runtime import status, volumes
from sandbox.runtime.api import FAILURES, STRATEGIC, ApiError, Object
from sandbox.runtime.container import POLL, Container
from sandbox.runtime.status import ContainerState

if t.TYPE_CHECKING:
    from sandbox.runtime.node import Runtime

LOG = logging.getLogger("runtime")
TOKEN_SECONDS = 365 * 86400
LOST = "The container could not be located when the runtime started."


class Pod:
    """Plays one pod from the moment that it has a node until it is gone."""

    def __init__(self, runtime: Runtime, pod: Object) -> None:
        self.runtime = runtime
        self.object = pod
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self.directory: Path = runtime.pods / f"{metadata['namespace']}_{metadata['name']}_{self.uid}"
        self.policy: str = pod["spec"].get("restartPolicy", "Always")
        self.places: dict[str, Path] = {}
        self._before = pod.get("status") or {}
        self._ended = self._before.get("phase") in ("Succeeded", "Failed")
        self.address = self._address()
        self.bind = f"{runtime.loopback}.{self.address.removeprefix('10.98.')}"
        self._start_time = self._before.get("startTime") or status.now()
        self._init = [Container(self, spec, True) for spec in pod["spec"].get("initContainers") or ()]
        self._main = [Container(self, spec, False) for spec in pod["spec"]["containers"]]
        self._mounted = False
        self._deleting = False
        self._gone = False
        self._dirty = asyncio.Event()
        self._written: Object = {}
        self._kubeconfig: Path | None = None
        self._token_lock = asyncio.Lock()
        self._play: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._ender: asyncio.Task[None] | None = None

    def _address(self) -> str:
        held = self._before.get("podIP", "")
        if held.startswith("10.98.") and self.runtime.addresses.claim(held, self.uid):
            return str(held)
        return self.runtime.addresses.take(self.uid)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that every process of the pod gets."""
        metadata = self.object["metadata"]
        return {
            "POD_NAME": metadata["name"],
            "POD_NAMESPACE": metadata["namespace"],
            "POD_UID": self.uid,
            "POD_IP": self.address,
            "SANDBOX_BIND": self.bind,
            "HOSTNAME": metadata["name"],
        }

    # What the watch says

    def start(self) -> None:
        """Begin to play the pod. One that has ended before is only kept until it is deleted."""
        if not self._ended:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o711)
            self._resume()
            self._writer = asyncio.create_task(self._write_status())
            self._play = asyncio.create_task(self._run())
            self.changed()
        self.update(self.object)

    def update(self, pod: Object) -> None:
        """Take a new version of the object."""
        self.object = {**pod, "status": {**(pod.get("status") or {}), "podIP": self.address, "hostIP": "127.0.0.1"}}
        if pod["metadata"].get("deletionTimestamp") and not self._deleting:
            self._deleting = True
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            self._ender = asyncio.create_task(self._end(30 if grace is None else grace))

    async def vanish(self) -> None:
        """The object is gone from the API: end at once and forget everything."""
        self._gone = True
        await self._stop_processes(0)
        for task in (self._play, self._writer, self._ender):
            if task and task is not asyncio.current_task():
                task.cancel()
        self.runtime.addresses.release(self.uid)
        shutil.rmtree(self.directory, ignore_errors=True)

    async def shut_down(self, grace: float) -> None:
        """The runtime itself ends: stop the processes and leave the object as it is."""
        for task in (self._writer, self._ender):
            if task:
                task.cancel()
        await self._stop_processes(grace)

    # What containers ask for

    def changed(self) -> None:
        """Write the status soon."""
        self._dirty.set()

    async def lookup(self, kind: str, name: str) -> Object | None:
        """Return a Secret or ConfigMap of the pod's namespace, or None."""
        return await self.runtime.get(f"/api/v1/namespaces/{self.object['metadata']['namespace']}/{kind}/{name}")

    async def kubeconfig(self) -> Path | None:
        """Return a kubeconfig with a token of the pod's ServiceAccount, or None when the pod does not want one."""
        spec = self.object["spec"]
        account = spec.get("serviceAccountName") or "default"
        async with self._token_lock:
            if self._kubeconfig:
                return self._kubeconfig
            place = f"/api/v1/namespaces/{self.object['metadata']['namespace']}/serviceaccounts/{account}"
            wanted = spec.get("automountServiceAccountToken")
            if wanted is None:
                wanted = ((await self.runtime.get(place)) or {}).get("automountServiceAccountToken")
            if wanted is False:
                return None
            bound = {"apiVersion": "v1", "kind": "Pod", "name": self.object["metadata"]["name"], "uid": self.uid}
            request = {"spec": {"expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound}}
            answer = await self.runtime.patiently("POST", f"{place}/token", request)
            self._kubeconfig = self._write_kubeconfig(answer["status"]["token"])
            return self._kubeconfig

    def _write_kubeconfig(self, token: str) -> Path:
        api = self.runtime.api
        authority = self.directory / "ca.crt"
        authority.write_text(api.authority, encoding="ascii")
        namespace = self.object["metadata"]["namespace"]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "sandbox", "cluster": {"server": api.server, "certificate-authority": str(authority)}}
            ],
            "users": [{"name": "pod", "user": {"token": token}}],
            "contexts": [{"name": "pod", "context": {"cluster": "sandbox", "user": "pod", "namespace": namespace}}],
            "current-context": "pod",
        }
        path = self.directory / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    # Playing

    def _resume(self) -> None:
        """Take over what the status says when the runtime itself was restarted in between."""
        for key, containers in (("initContainerStatuses", self._init), ("containerStatuses", self._main)):
            entries = {entry["name"]: entry for entry in self._before.get(key) or ()}
            for container in containers:
                state, entry = container.state, entries.get(container.state.name)
                state.waiting("PodInitializing" if self._init else "ContainerCreating")
                if entry is None:
                    continue
                state.restarts = entry.get("restartCount", 0)
                state.last = entry.get("lastState") or {}
                if "running" in entry["state"]:
                    state.state = {"running": entry["state"]["running"]}
                    code, reason = (137, "ContainerStatusUnknown") if self.policy == "Never" else (255, "Error")
                    state.terminated(code, reason, LOST)
                    if self.policy != "Never":
                        state.waiting("ContainerCreating")
                        state.restarts += 1
                elif "terminated" in entry["state"] and self.policy == "Never":
                    state.state = {"terminated": entry["state"]["terminated"]}

    async def _run(self) -> None:
        try:
            while not self._mounted:
                try:
                    self.places = await volumes.prepare(
                        self.object, self.directory, self.runtime.volumes, self.lookup, self.runtime.get
                    )
                    self._mounted = True
                except volumes.NotReady as error:
                    self.runtime.events.warn(self.object, "FailedMount", str(error))
                    await asyncio.sleep(POLL)
            for container in self._init:
                if container.state.exit_code is None:
                    await container.run()
                if container.state.exit_code:
                    break
            else:
                async with asyncio.TaskGroup() as group:
                    for container in self._main:
                        if container.state.exit_code is None:
                            group.create_task(container.run())
            self._ended = True
            self.changed()
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("%s: the runtime itself failed", self.path)

    def _status(self) -> Object:
        init, main = self._states(self._init), self._states(self._main)
        phase = status.phase(self.policy, init, main, self._deleting and self._ended)
        return {
            "phase": phase,
            "observedGeneration": self.object["metadata"].get("generation"),
            "startTime": self._start_time,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "qosClass": self.object["status"].get("qosClass"),
            "conditions": status.conditions(
                self._mounted, init, main, phase, (self._written or self._before).get("conditions") or ()
            ),
            "containerStatuses": [state.to_api(False) for state in main],
            **({"initContainerStatuses": [state.to_api(True) for state in init]} if init else {}),
        }

    @staticmethod
    def _states(containers: t.Iterable[Container]) -> list[ContainerState]:
        return [container.state for container in containers]

    async def _write_status(self) -> None:
        while not self._gone:
            await self._dirty.wait()
            self._dirty.clear()
            await self._flush()
            await asyncio.sleep(0.05)  # changes that come together make one request

    async def _flush(self) -> None:
        """Write the status if it differs from what was written last. Returns when it is stored or the pod is gone."""
        wanted = self._status()
        while wanted != self._written:
            try:
                await self.runtime.api.request("PATCH", f"{self.path}/status", {"status": wanted}, STRATEGIC)
                self._written = wanted
            except FAILURES as error:
                if isinstance(error, ApiError) and error.status in (404, 422):
                    if error.status == 422:
                        LOG.error("%s: the API server refuses the status: %s", self.path, error)
                    return
                await asyncio.sleep(POLL)
                wanted = self._status()

    # The end

    async def _stop_processes(self, grace: float) -> None:
        if self._play:
            self._play.cancel()
            await asyncio.wait([self._play])
        stops = []
        for container in (*self._init, *self._main):
            if container.process:
                first = container.stop_signal if grace else signal.SIGKILL
                stops.append(container.process.stop(first, grace))
        await asyncio.gather(*stops)
        for container in (*self._init, *self._main):
            container.close()

    async def _end(self, grace: float) -> None:
        """Stop the containers within the grace period, say so in the status, and let the object go."""
        await self._stop_processes(grace)
        if self._writer and not self._ended:
            for container in (*self._init, *self._main):
                if container.process:
                    code = container.process.code
                    container.ended(128 + signal.SIGKILL if code is None else code, True)
                elif container.state.exit_code is None:
                    if "running" in container.state.state:
                        container.state.terminated(0, "Completed")
                    elif not container.init:
                        container.state.terminated(137, "ContainerStatusUnknown", "The container was never started.")
            self._ended = True
            self._writer.cancel()
            await self._flush()
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        await self.runtime.patiently("DELETE", self.path, options)
