"""What the stand-in operators share: start-up, the work queue, conditions, events.

kopf watches; it never writes, so that an object carries only what the real operator would put there. What is to be done
goes through a work queue with the habits of client-go's, because users meet those habits: one worker for each kind,
retries after 5 ms, 10 ms, 20 ms ... 1000 s, and an event that brings the next attempt forward.

Settings (all read at the moment of use; NAME is the operator's name as given to `Operator`):
operators.NAME.start_seconds        seconds until the process reports ready (default 0)
operators.NAME.delay_seconds        seconds that every pass takes before it does anything (default 0)
operators.NAME.fail                 text: every pass fails with it (default: none)
operators.NAME.backoff_max_seconds  longest pause between two attempts (default 1000)
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import importlib
import logging
import os
import sys
import time
import typing as t

from aiohttp import web

from sandbox import settings
from sandbox.operators._api import Api, ApiError, Object, read_kubeconfig

log = logging.getLogger("operator")

Key = tuple[str, str]  # namespace ("" for cluster-scoped), name
Reconcile = t.Callable[[Key], t.Awaitable[float | None]]
FIRST_RETRY = 0.005


class ReconcileError(Exception):
    """A pass failed; it is tried again after the back-off."""


def now() -> str:
    """Return the present time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_of(owner: Object) -> Object:
    """Return the controller owner reference to `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(body: t.Mapping[str, t.Any], kind: str) -> Key | None:
    """Return namespace and name of the controlling owner when it is of this kind."""
    meta = body["metadata"]
    for reference in meta.get("ownerReferences") or []:
        if reference.get("controller") and reference["kind"] == kind:
            return meta.get("namespace", ""), reference["name"]
    return None


def condition_of(body: t.Mapping[str, t.Any], kind: str) -> Object:
    """Return the condition of this type, or an empty dict."""
    for condition in (body.get("status") or {}).get("conditions") or []:
        if condition["type"] == kind:
            return t.cast(Object, condition)
    return {}


def _import_kopf() -> t.Any:
    """Import kopf without the Kubernetes clients that it loads when installed: a third of a process's weight."""
    hidden = ("kubernetes", "kubernetes_asyncio", "pykube")
    for name in hidden:
        sys.modules.setdefault(name, t.cast(t.Any, None))
    try:
        return importlib.import_module("kopf")
    finally:
        for name in hidden:
            if sys.modules[name] is None:
                del sys.modules[name]


class Queue:
    """Keys to work on, one after the other; a failed key comes back after a growing pause."""

    def __init__(self, name: str, reconcile: Reconcile) -> None:
        self._name = name
        self._reconcile = reconcile
        self._ready: dict[Key, None] = {}  # ordered set
        self._wake = asyncio.Event()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        """Work on the key as soon as possible."""
        self._ready[key] = None
        self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Work on the key after so many seconds; the earliest of several wishes wins."""
        loop = asyncio.get_running_loop()
        present = self._timers.get(key)
        if present and not present.cancelled() and loop.time() < present.when() <= loop.time() + seconds:
            return
        if present:
            present.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def _setting(self, key: str, default: t.Any) -> t.Any:
        return settings.get(f"operators.{self._name}.{key}", default)

    async def run(self) -> None:
        """Work for ever."""
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._ready))
            del self._ready[key]
            try:
                delay = float(self._setting("delay_seconds", 0))
                if delay:
                    await asyncio.sleep(delay)
                text = self._setting("fail", None)
                if text:
                    raise ReconcileError(text)
                again = await self._reconcile(key)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                count = self._failures.get(key, 0)
                self._failures[key] = count + 1
                pause = min(FIRST_RETRY * 2**count, float(self._setting("backoff_max_seconds", 1000)))
                expected = isinstance(error, (ApiError, ReconcileError))
                log.error("%s %s: %s (next attempt in %.3f s)", self._name, key, error, pause, exc_info=not expected)
                self.add_after(key, pause)
            else:
                self._failures.pop(key, None)
                if again is not None:
                    self.add_after(key, again)


class Operator:
    """One stand-in process: its client, its queues and what it watches."""

    def __init__(self, name: str, manager: str = "manager") -> None:
        """`name` is used in settings and logs, `manager` is the field manager of all writes."""
        self.name = name
        self.api = Api(manager, f"sandbox-{name}-stand-in")
        self._queues: list[Queue] = []
        self._watched: list[tuple[tuple[str, str, str], dict[str, t.Any], t.Callable[..., t.Any]]] = []
        self._budget: dict[str, tuple[float, float]] = {}
        self.background: set[asyncio.Task[t.Any]] = set()

    def setting(self, key: str, default: t.Any) -> t.Any:
        """Return the present value of operators.<name>.<key>."""
        return settings.get(f"operators.{self.name}.{key}", default)

    def queue(self, reconcile: Reconcile) -> Queue:
        """Return a new queue, worked on by `reconcile(key)`; it returns the seconds to the next look, or None."""
        queue = Queue(self.name, reconcile)
        self._queues.append(queue)
        return queue

    def watch(
        self,
        queue: Queue,
        group: str,
        version: str,
        plural: str,
        key: t.Callable[[t.Mapping[str, t.Any]], Key | None] | None = None,
        **filters: t.Any,
    ) -> None:
        """Add a key to the queue at every event of a resource; `key` chooses it (default: that object)."""

        async def seen(body: t.Mapping[str, t.Any], **_: t.Any) -> None:
            meta = body["metadata"]
            found = key(body) if key else (meta.get("namespace", ""), meta["name"])
            if found:
                queue.add(found)

        self._watched.append(((group, version, plural), filters, seen))

    def spawn(self, work: t.Coroutine[t.Any, t.Any, t.Any]) -> None:
        """Run something beside the queues; it is forgotten when done and cancelled at the end."""
        task = asyncio.get_running_loop().create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def emit(self, about: Object, kind: str, reason: str, message: str) -> None:
        """Write an event about an object, as an event recorder would: counted, and dropped when there are too many."""
        meta = about["metadata"]
        tokens, since = self._budget.get(meta["uid"], (25.0, time.monotonic()))
        tokens = min(25.0, tokens + (time.monotonic() - since) / 300)
        self._budget[meta["uid"]] = (max(tokens - 1, 0.0), time.monotonic())
        if tokens < 1:
            return
        digest = hashlib.sha256(f"{meta['uid']}{kind}{reason}{message}".encode()).hexdigest()[:16]
        home = meta.get("namespace") or "default"
        name = f"{meta['name']}.{digest}"
        try:
            old = await self.api.get("v1", "Event", home, name)
            if old:
                await self.api.patch(old, {"count": old.get("count", 1) + 1, "lastTimestamp": now()})
                return
            await self.api.create(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": name, "namespace": home},
                    "involvedObject": {
                        "apiVersion": about["apiVersion"],
                        "kind": about["kind"],
                        "name": meta["name"],
                        "namespace": meta.get("namespace"),
                        "uid": meta["uid"],
                    },
                    "type": kind,
                    "reason": reason,
                    "message": message,
                    "count": 1,
                    "firstTimestamp": now(),
                    "lastTimestamp": now(),
                    "source": {"component": self.name},
                }
            )
        except ApiError as error:
            log.info("event not written: %s", error)  # as in the real recorder: nobody waits for events

    async def _serve(self, ready: asyncio.Event, started: float) -> web.AppRunner:
        async def healthz(_: web.Request) -> web.Response:
            return web.Response(text="ok")

        async def readyz(_: web.Request) -> web.Response:
            waited = time.monotonic() - started >= float(self.setting("start_seconds", 0))
            return web.Response(text="ok") if ready.is_set() and waited else web.Response(status=503, text="starting")

        app = web.Application()
        app.router.add_get("/healthz", healthz)
        app.router.add_get("/readyz", readyz)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        bind = os.environ.get("SANDBOX_BIND")
        if bind:
            await web.TCPSite(runner, bind, 8081).start()
        return runner

    async def run(self, before: t.Callable[[], t.Awaitable[None]] | None = None, lease: Key | None = None) -> None:
        """Run until SIGTERM: serve health, wait for the lease if one is named, call `before`, then watch and work."""
        ready = asyncio.Event()
        runner = await self._serve(ready, time.monotonic())
        kopf = await asyncio.to_thread(_import_kopf)  # takes its time; health is answered meanwhile
        registry = kopf.OperatorRegistry()
        for number, (resource, filters, seen) in enumerate(self._watched):
            kopf.on.event(*resource, registry=registry, id=f"{resource[2]}-{number}", **filters)(seen)
        options = kopf.OperatorSettings()
        options.posting.enabled = False
        options.scanning.disabled = True
        options.queueing.idle_timeout = 1.0
        options.watching.reconnect_backoff = 0.5
        options.networking.error_backoffs = [1, 1, 1, 2, 2, 5, 5, 5, 5, 10, 10, 10]

        @kopf.on.login(registry=registry)
        def login(**_: t.Any) -> t.Any:
            found = read_kubeconfig()
            return kopf.ConnectionInfo(
                server=found.server,
                ca_data=found.ca_data.encode() if found.ca_data and not found.insecure else None,
                insecure=found.insecure or None,
                scheme="Bearer" if found.token else None,
                token=found.token,
                certificate_data=found.certificate.encode() if found.certificate else None,
                private_key_data=found.key.encode() if found.key else None,
            )

        try:
            if lease:
                ready.set()  # a replica in waiting is ready, too
                await self._lead(lease)
            if before:
                await before()
            workers = [asyncio.create_task(queue.run()) for queue in self._queues]
            try:
                await kopf.operator(
                    registry=registry, settings=options, standalone=True, clusterwide=True, ready_flag=ready
                )
            finally:
                for task in [*workers, *self.background]:
                    task.cancel()
                await asyncio.gather(*workers, *self.background, return_exceptions=True)
        finally:
            await runner.cleanup()
            await self.api.close()

    async def _lead(self, lease: Key) -> None:
        """Return once this process holds the lease; keep renewing it beside the work. 6 s without renewal frees it."""
        holder = os.environ.get("POD_NAME", f"process-{os.getpid()}")
        held = await self._renew(lease, holder)
        while not held:
            await asyncio.sleep(2)
            held = await self._renew(lease, holder)

        async def keep() -> None:
            while True:
                await asyncio.sleep(2)
                with contextlib.suppress(ApiError):
                    await self._renew(lease, holder)

        self.spawn(keep())

    async def _renew(self, lease: Key, holder: str) -> bool:
        stamp = datetime.datetime.now(datetime.UTC)
        spec = {
            "holderIdentity": holder,
            "renewTime": stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "leaseDurationSeconds": 6,
        }
        body: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": lease[0], "name": lease[1]},
            "spec": spec,
        }
        try:
            old = await self.api.get(body["apiVersion"], "Lease", *lease)
            if old is None:
                await self.api.create(body)
                return True
            held = old["spec"].get("renewTime", "1970-01-01T00:00:00Z").replace("Z", "+00:00")
            age = (stamp - datetime.datetime.fromisoformat(held)).total_seconds()
            if old["spec"].get("holderIdentity") != holder and age < 6:
                return False
            await self.api.replace({**old, "spec": spec})
        except ApiError as error:
            if error.code == 409:
                return False
            raise
        return True


def start(build: t.Callable[[], t.Awaitable[None]]) -> None:
    """Run a stand-in's main coroutine as a process, with plain logging to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(_main(build))


async def _main(build: t.Callable[[], t.Awaitable[None]]) -> None:
    await build()
