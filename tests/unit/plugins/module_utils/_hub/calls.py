"""Calls of developer_hub on a stand-in cluster, with a clock and waits that a test controls."""

from __future__ import annotations

import copy
import time
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import remove as hub_remove
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import watch as hub_watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import HubState
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import Change
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import CREATED_LABEL
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import flow as run_flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import verdict as verdicts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source

from ..fake_cluster import FakeCluster, Object

TIMEOUT = 1000


class Module:
    """The part of a module that a call uses."""

    def __init__(self, check_mode: bool = False, diff: bool = False, **params: t.Any) -> None:
        orchestrator = {"enabled": True, "platform": None, **params.pop("orchestrator", {})}
        self.params = {
            "name": "dh",
            "namespace": "ns",
            "release": "1.10",
            "lightspeed": None,
            "replicas": None,
            "spec": {},
            "force_conflicts": False,
            "state": "present",
            "delete_data": False,
            "delete_adopted": False,
            "wait": True,
            "wait_timeout": TIMEOUT,
            **params,
            "orchestrator": orchestrator,
        }
        self.check_mode, self._diff = check_mode, diff
        self.warnings: list[str] = []
        self.warn = self.warnings.append


class Cluster(FakeCluster):
    """A stand-in cluster that takes writes as well.

    `answers` are errors of writes by verb, `held` the kinds that a finalizer keeps, `meanwhile` is the plugin file that
    another client writes before our patch arrives.
    """

    field_manager = "rhdh.orchestrator"

    def __init__(self, *objects: Object, check_mode: bool = False) -> None:
        super().__init__(*objects)
        self.check_mode = check_mode
        self.answers: dict[str, int] = {}
        self.held: tuple[str, ...] = ()
        self.meanwhile: str | None = None
        self.writes: list[str] = []  # verb, kind and name of each
        self.requests: dict[str, int] = {}

    def _write(self, verb: str, kind: k.Kind, name: str) -> None:
        assert not self.check_mode, f"{verb} {kind.kind} {name} in check mode"
        self.writes.append(f"{verb} {kind.kind} {name}")
        if verb in self.answers:
            raise ApiError(verb, name, self.answers[verb], {"reason": "Refused"})

    def _put(self, obj: Object) -> Object:
        kept = [each for each in self.objects if key(each) != key(obj)]
        self.objects = (*kept, obj)
        return obj

    def list(self, kind: k.Kind, namespace: str | None = None, **_options: t.Any) -> list[Object]:
        self._check(kind, kind.path(namespace))
        return self._of(kind, namespace)

    def served_versions(self, kind: k.Kind) -> tuple[str, ...]:
        return (kind.version,)

    def ensure(self, kind: k.Kind, body: Object, **_options: t.Any) -> Change:
        name, namespace = body["metadata"]["name"], body["metadata"].get("namespace")
        live = self.get(kind, name, namespace)
        labels = {"labels": {CREATED_LABEL: "true"}, "uid": f"uid-{name}"}
        after = hub_spec.merged(live or {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": labels}, body)
        if not self.check_mode:
            self._write("apply", kind, name)
            self._put(after)
            if kind.kind == "Backstage":
                self._act_as_operator(after)
        return Change("patched" if live else "created", live, after)

    def apply(self, kind: k.Kind, body: Object, *, dry_run: bool, **_options: t.Any) -> Object:
        assert dry_run, "writes go through ensure"
        metadata = body["metadata"]
        return hub_spec.merged(self.get(kind, metadata["name"], metadata["namespace"]), body)

    def _act_as_operator(self, backstage: Object) -> None:
        """Put the handshake token on the workload."""
        annotations = {hub_spec.HANDSHAKE: hub_spec.token_of(backstage)}
        deployment = self.get(k.DEPLOYMENT, "backstage-dh", "ns")
        if deployment:
            self._put(hub_spec.merged(deployment, {"metadata": {"annotations": annotations}}))

    def patch(self, kind: k.Kind, name: str, namespace: str | None, patch: Object) -> Object:
        self._write("patch", kind, name)
        live = self.get(kind, name, namespace)
        assert live is not None
        return self._put(hub_spec.merged(live, patch))

    def revise(self, kind: k.Kind, live: Object, patch: t.Callable[[Object], Object]) -> tuple[Object, Object]:
        content = patch(live)
        if self.meanwhile is not None:
            live = {**live, "data": {"dynamic-plugins.yaml": self.meanwhile}}
            content = patch(live)
        self._write("patch", kind, live["metadata"]["name"])
        return live, self._put(hub_spec.merged(live, content))

    def delete(self, kind: k.Kind, name: str, namespace: str | None = None, **_options: t.Any) -> bool:
        if not self.check_mode:
            self._write("delete", kind, name)
            if kind.kind not in self.held:
                self.objects = tuple(obj for obj in self.objects if key(obj) != (kind.kind, name))
        return True


def key(obj: Object) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


class Waits:
    """Stands in for the wait engine and the clock: each wait looks at the cluster once and takes `seconds`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.seconds = 5000.0, 100.0
        self.timeouts: list[float] = []
        clock = SimpleNamespace(monotonic=lambda: self.now, strftime=time.strftime, gmtime=time.gmtime)
        for module in (run_flow, hub_watch, hub_remove):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(run_flow, "wait", self._wait)

    def _wait(
        self,
        session: Cluster,
        sources: t.Iterable[Source],
        evaluate: t.Callable[[Snapshot], t.Mapping[str, verdicts.Verdict]],
        *,
        timeout: float,
        act: t.Callable[[Snapshot], None] | None = None,
        **_options: t.Any,
    ) -> verdicts.Result:
        self.timeouts.append(timeout)
        snapshot = snapshot_of(session, sources)
        if act:
            act(snapshot)
        judged = evaluate(snapshot)
        self.now += self.seconds
        done = all(verdict.state == verdicts.READY for verdict in judged.values())
        phase = verdicts.READY if done else verdicts.TIMED_OUT
        return verdicts.Result(phase, judged, self.seconds, [{"at": self.seconds}], snapshot, {})


def snapshot_of(cluster: Cluster, sources: t.Iterable[Source]) -> Snapshot:
    objects = {
        source: {
            ("ns", obj["metadata"]["name"]): copy.deepcopy(obj)
            for obj in cluster._of(source.kind, source.namespace)
            if source.name in (None, obj["metadata"]["name"])
        }
        for source in sources
    }
    return Snapshot(objects)


def diagnose(_session: t.Any, kind: k.Kind, name: str, _namespace: str | None) -> t.Any:
    return SimpleNamespace(text=lambda prefix="": f"Cause: {prefix}{kind.kind} {name}")


def call(cluster: Cluster, module: Module | None = None) -> Call:
    module = module or Module(cluster.check_mode)
    return Call(module, t.cast(t.Any, cluster), diagnose)


def hub_state(
    release: str = "1.10", config_map: str | None = "p", spec: Object | None = None, **params: t.Any
) -> HubState:
    """A state whose spec names a plugin ConfigMap."""
    application = {"application": {"dynamicPluginsConfigMapName": config_map}} if config_map else {}
    state = HubState.of(Module(release=release, **params).params)
    state.spec = hub_spec.merged(application, spec or {})
    return state


def config_map(text: str) -> Object:
    return {"kind": "ConfigMap", "metadata": meta("p"), "data": {"dynamic-plugins.yaml": text}}


def meta(name: str, owner: str = "", **more: t.Any) -> Object:
    owners = [{"kind": "Backstage", "name": owner, "uid": f"uid-{owner}", "controller": True}] if owner else []
    return {"name": name, "namespace": "ns", "uid": f"uid-{name}", "ownerReferences": owners, **more}


def backstage(status: str = "True", reason: str = "Deployed", message: str = "", **spec: t.Any) -> Object:
    conditions = [{"type": "Deployed", "status": status, "reason": reason, "message": message}]
    metadata = meta("dh", labels={CREATED_LABEL: "true"})
    return {"kind": "Backstage", "metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


def platform(owner: str = "dh") -> Object:
    persistence = {"persistence": {"postgresql": {"secretRef": {"name": "backstage-psql-secret-dh"}}}}
    services = {"dataIndex": persistence, "jobService": persistence}
    return {
        "kind": "SonataFlowPlatform",
        "metadata": meta("sonataflow-platform", owner),
        "spec": {"services": services},
    }


def workload(kind: str, name: str, **metadata: t.Any) -> Object:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    conditions = [{"type": "Available", "status": "True"}]
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}}
    return {
        "kind": kind,
        "metadata": meta(name, "dh", generation=1, **metadata),
        "spec": spec,
        "status": {**status, "conditions": conditions},
    }


def hub(**spec: t.Any) -> tuple[Object, ...]:
    """A Hub that is ready, on the local database and with the operator's platform."""
    return (
        backstage(**spec),
        workload("Deployment", "backstage-dh"),
        workload("StatefulSet", "backstage-psql-dh"),
        platform(),
    )
