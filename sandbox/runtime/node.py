"""The runtime as a whole: what it watches, whom it plays, what it provisions.

Settings, read again whenever they change unless said otherwise:
- runtime.images: entries before those of images.yml (read when the runtime starts)
- runtime.probe_time_scale: factor on the delay and period of probes (default 0.1; 1 is real time). How long a startup
  or liveness probe may fail before it kills the container is not shortened
- runtime.backoff_time_scale: factor on the waiting times of CrashLoopBackOff and ImagePullBackOff (default 0.2)
- runtime.image_pull_seconds: time that each image takes (default 0)
- runtime.bad_images: regular expressions; these images cannot be pulled
- runtime.stopped_players: players of the image table whose processes are held down, their containers not ready
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import typing as t
from pathlib import Path

import aiohttp

from sandbox import settings
from sandbox.paths import Instance
from sandbox.runtime import images, names, process, provision
from sandbox.runtime.addresses import Pool
from sandbox.runtime.api import FAILURES, Api, ApiError, Object
from sandbox.runtime.events import Recorder
from sandbox.runtime.pod import Pod
from sandbox.services import programs

LOG = logging.getLogger("runtime")
REPOSITORY = Path(__file__).resolve().parents[2]


class Runtime:
    """Plays the pods of one sandbox. Use `run`, then `shut_down`."""

    def __init__(self, instance: Instance, api: Api, http: aiohttp.ClientSession) -> None:
        self.instance = instance
        self.api = api
        self.http = http
        self.pods: Path = instance.pods
        self.volumes: Path = instance.volumes
        self.loopback: str = instance.loopback
        self.addresses = Pool()
        self.events = Recorder(api)
        self.table = images.load(self.setting("runtime.images", ()))
        self.environment = self._environment()
        self._played: dict[str, Pod] = {}
        self._seen_pods: dict[str, Object] = {}
        self._services: dict[str, Object] = {}
        self._slices: dict[str, Object] = {}
        self._claims: dict[str, Object] = {}
        self._persistent: dict[str, Object] = {}
        self._names_dirty = asyncio.Event()
        self._storage_dirty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listed = False

    def setting(self, key: str, default: t.Any = None) -> t.Any:
        """Return one switch of this sandbox."""
        return settings.get(key, default, self.instance.settings_file)

    def stopped(self, player: str) -> bool:
        """Return whether a setting holds this player's processes down."""
        return player in self.setting("runtime.stopped_players", ())

    def _environment(self) -> dict[str, str]:
        found = {
            **self.instance.environment(),
            "PATH": os.pathsep.join(
                [str(programs.WRAPPERS), str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
            ),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "LANG": "C.UTF-8",
            "SANDBOX_PYTHON": sys.executable,
            "SANDBOX_POSTGRES_BIN": str(programs.postgres_directory(self.instance.root)),
            "SANDBOX_LIBPQ": str(programs.tls_library()),
        }
        return found

    async def patiently(self, method: str, path: str, body: object = None) -> Object:
        """Send a request until the API server answers. A refusal that cannot pass is returned as {}."""
        while True:
            try:
                return await self.api.request(method, path, body)
            except FAILURES as error:
                if isinstance(error, ApiError) and error.status in (404, 409) and method == "DELETE":
                    return {}
                LOG.info("%s %s: %s", method, path, error)
                await asyncio.sleep(0.5)

    async def get(self, path: str) -> Object | None:
        """Return an object, or None when there is none, through any outage of the API server."""
        while True:
            try:
                return await self.api.get(path)
            except FAILURES as error:
                LOG.info("GET %s: %s", path, error)
                await asyncio.sleep(0.5)

    async def run(self) -> None:
        """Play until cancelled."""
        names.write(self.instance.dns_file, {})
        left = process.sweep(self.pods)
        if left:
            LOG.info("killed %d processes that an earlier runtime left", left)
        stores = {
            "/api/v1/services": self._store(self._services, self._names_dirty),
            "/apis/discovery.k8s.io/v1/endpointslices": self._store(self._slices, self._names_dirty),
            "/api/v1/persistentvolumeclaims": self._store(self._claims, self._storage_dirty),
            "/api/v1/persistentvolumes": self._store(self._persistent, self._storage_dirty),
        }
        async with asyncio.TaskGroup() as group:
            for path, changed in stores.items():
                group.create_task(self.api.follow(path, changed, lambda: None))
            group.create_task(self.api.follow("/api/v1/pods", self._pod_changed, self._pods_listed))
            group.create_task(self._write_names())
            group.create_task(self._provision())

    async def shut_down(self, grace: float = 8.0) -> None:
        """Stop all processes."""
        await asyncio.gather(*(pod.shut_down(grace) for pod in self._played.values()))
        process.sweep(self.pods)

    @staticmethod
    def _store(store: dict[str, Object], dirty: asyncio.Event) -> t.Callable[[str, Object], None]:
        def changed(event: str, item: Object) -> None:
            if event == "DELETED":
                store.pop(item["metadata"]["uid"], None)
            else:
                store[item["metadata"]["uid"]] = item
            dirty.set()

        return changed

    # Pods

    def _pod_changed(self, event: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        played = self._played.get(uid)
        if event == "DELETED":
            self._seen_pods.pop(uid, None)
            if played:
                del self._played[uid]
                self._in_background(played.vanish())
            return
        if played:
            played.update(pod)
            return
        if not pod["spec"].get("nodeName") or not images.plays(self.table, pod):
            return
        if not self._listed:
            # The first list: addresses in use have to be known before new ones are given out.
            self._seen_pods[uid] = pod
            return
        self._begin(pod)

    def _pods_listed(self) -> None:
        if self._listed:
            return
        self._listed = True
        waiting = sorted(self._seen_pods.values(), key=lambda pod: "podIP" not in (pod.get("status") or {}))
        self._seen_pods = {}
        self._forget_old_directories({pod["metadata"]["uid"] for pod in waiting})
        for pod in waiting:
            self._begin(pod)

    def _begin(self, pod: Object) -> None:
        LOG.info("playing %s/%s", pod["metadata"]["namespace"], pod["metadata"]["name"])
        played = Pod(self, pod)
        self._played[pod["metadata"]["uid"]] = played
        played.start()

    def _forget_old_directories(self, present: set[str]) -> None:
        for directory in self.pods.glob("*_*_*"):
            if directory.name.rpartition("_")[2] not in present:
                provision.remove_data(directory.name, self.pods)

    def _in_background(self, work: t.Coroutine[t.Any, t.Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Names and storage

    async def _write_names(self) -> None:
        written: dict[str, list[str]] | None = None
        while True:
            await self._names_dirty.wait()
            self._names_dirty.clear()
            lines = names.table(self._services.values(), self._slices.values(), self.loopback)
            if lines != written:
                names.write(self.instance.dns_file, lines)
                written = lines
            await asyncio.sleep(0.05)

    async def _provision(self) -> None:
        while True:
            await self._storage_dirty.wait()
            self._storage_dirty.clear()
            for claim in list(self._claims.values()):
                await self._provision_one(claim)
            for volume in list(self._persistent.values()):
                if provision.removable(volume):
                    name = volume["metadata"]["name"]
                    provision.remove_data(name, self.volumes)
                    await self.patiently("DELETE", f"/api/v1/persistentvolumes/{name}")
                    self._persistent.pop(volume["metadata"]["uid"], None)
            await asyncio.sleep(0.05)

    async def _provision_one(self, claim: Object) -> None:
        class_name = claim["spec"].get("storageClassName")
        if claim["spec"].get("volumeName") or not class_name:
            return
        storage_class = await self.get(f"/apis/storage.k8s.io/v1/storageclasses/{class_name}")
        if storage_class is None or not provision.wanted(claim, storage_class):
            return
        volume = provision.volume(claim, storage_class, self.volumes)
        if await self.get(f"/api/v1/persistentvolumes/{volume['metadata']['name']}"):
            return
        directory = self.volumes / volume["metadata"]["name"]
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        await self.patiently("POST", "/api/v1/persistentvolumes", volume)
