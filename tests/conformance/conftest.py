"""A sandbox of its own with all operators installed through OLM, so that the stand-ins run with their CSVs' rights."""

from __future__ import annotations

import json
import subprocess
import threading
import typing as t

import pytest

from sandbox.paths import Instance
from tests.toolkit import cluster as toolkit
from tests.toolkit.cluster import where
from tests.toolkit.fixtures import collections, instance, stopped_at_the_end
from tests.toolkit.wait import until

from . import compare
from .compare import Moment, Object

__all__ = ["collections", "instance", "stopped_at_the_end"]
PACKAGES = {  # package -> namespace, channel, CSV
    "serverless-operator": ("openshift-serverless", "stable-1.37"),
    "logic-operator": ("openshift-serverless-logic", "stable"),
    "rhdh": ("rhdh-operator", "fast-1.10"),
}


class Recorder:
    """What happens to objects of some kinds in one namespace, in the order of the API server's own revisions."""

    def __init__(self, cluster: Cluster, namespace: str | None, kinds: t.Iterable[str]) -> None:
        self._cluster = cluster
        self._events: list[tuple[int, Moment, Object]] = []
        self._since = {}
        self._watches = []
        for path in [where(kind, namespace) for kind in kinds]:
            since = self._list(path)["metadata"]["resourceVersion"]
            self._since[path] = int(since)
            command = cluster.kubectl_command("get", "--raw", f"{path}?watch=true&resourceVersion={since}")
            watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            threading.Thread(target=self._read, args=(watch,), daemon=True).start()
            self._watches.append(watch)

    def _list(self, path: str) -> Object:
        return t.cast(Object, self._cluster.api.request("GET", path))

    def _read(self, watch: subprocess.Popen[str]) -> None:
        assert watch.stdout
        for line in watch.stdout:
            event = json.loads(line)
            body = event["object"]
            meta, status = body["metadata"], body.get("status") or {}
            moment = Moment(
                event["type"][:3],
                compare.plural(body["kind"]),
                meta["name"],
                compare.short_conditions(status.get("conditions") or []),
                "",
            )
            self._events.append((int(meta["resourceVersion"]), moment, body))

    def stop(self) -> list[Moment]:
        """Return all moments up to now and stop watching."""
        there = [
            (int(item["metadata"]["resourceVersion"]), since)
            for path, since in self._since.items()
            for item in self._list(path)["items"]
        ]
        wanted = {revision for revision, since in there if revision > since}
        until("what is there now was seen", lambda: wanted <= {revision for revision, _, _ in self._events})
        for watch in self._watches:
            watch.kill()
            watch.wait()
        return [moment for _, moment, _ in sorted(self._events, key=lambda event: event[0])]

    def objects(self, kind: str, name: str) -> list[Object]:
        """Return every state of one object that was seen."""
        found = [body for _, moment, body in self._events if (moment.kind, moment.name) == (kind, name)]
        return sorted(found, key=lambda body: int(body["metadata"]["resourceVersion"]))


class Cluster(toolkit.Cluster):
    """The sandbox under test, and what happens in it."""

    def record(self, namespace: str | None, *kinds: str) -> Recorder:
        """Start to record what happens to objects of these kinds."""
        return Recorder(self, namespace, kinds)


def _subscribe(package: str, namespace: str, channel: str) -> list[Object]:
    meta = {"name": package, "namespace": namespace}
    source = {"source": "redhat-operators", "sourceNamespace": "openshift-marketplace"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "metadata": meta},
        {
            "apiVersion": "operators.coreos.com/v1alpha1",
            "kind": "Subscription",
            "metadata": meta,
            "spec": {"name": package, "channel": channel, **source},
        },
    ]


def _with_operators(place: Cluster) -> Cluster:
    """Install the operators and return when every CSV has succeeded."""
    for package, (namespace, channel) in PACKAGES.items():
        place.apply(_subscribe(package, namespace, channel))
    for namespace, _ in PACKAGES.values():

        def installed(namespace: str = namespace) -> bool:
            found = place.all("ClusterServiceVersion", namespace)
            own = [each for each in found if "olm.copiedFrom" not in (each["metadata"].get("labels") or {})]
            return bool(own) and all((each.get("status") or {}).get("phase") == "Succeeded" for each in own)

        place.until(f"the operator in {namespace} is installed", installed, 240)
    return place


@pytest.fixture(scope="module")
def cluster(instance: Instance) -> Cluster:
    """A pristine sandbox with the three operators."""
    return _with_operators(Cluster(instance))
