"""A sandbox of its own with all operators installed through OLM, so that the stand-ins run with their CSVs' rights."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from sandbox import settings
from sandbox.cluster import tools
from sandbox.paths import Instance

from . import compare
from .compare import Moment, Object

ROOT = Path(__file__).resolve().parents[2]
NAME = "conformance"
PACKAGES = {  # package -> namespace, channel, CSV
    "serverless-operator": ("openshift-serverless", "stable-1.37"),
    "logic-operator": ("openshift-serverless-logic", "stable"),
    "rhdh": ("rhdh-operator", "fast-1.10"),
}


def eventually(what: str, check: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
    """Return the first true answer of `check`, asked twice a second; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)


class Recorder:
    """What happens to objects of some kinds in one namespace, in the order of the API server's own revisions."""

    def __init__(self, cluster: Cluster, namespace: str, kinds: t.Iterable[str]) -> None:
        self._events: list[tuple[int, Moment, Object]] = []
        self._watches = []
        for kind in kinds:
            command = cluster.command("get", kind, "-n", namespace, "-o", "json", "--watch", "--output-watch-events")
            watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            threading.Thread(target=self._read, args=(watch,), daemon=True).start()
            self._watches.append(watch)
        time.sleep(1.5)  # the watches are open then; nothing else tells

    def _read(self, watch: subprocess.Popen[str]) -> None:
        decoder, text = json.JSONDecoder(), ""
        assert watch.stdout
        for line in watch.stdout:
            text += line
            try:
                event, _ = decoder.raw_decode(text.lstrip())
            except ValueError:
                continue
            text, body = "", event["object"]
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
        """Return all moments and stop watching."""
        time.sleep(1)
        for watch in self._watches:
            watch.kill()
            watch.wait()
        return [moment for _, moment, _ in sorted(self._events, key=lambda event: event[0])]

    def objects(self, kind: str, name: str) -> list[Object]:
        """Return every state of one object that was seen."""
        found = [body for _, moment, body in self._events if (moment.kind, moment.name) == (kind, name)]
        return sorted(found, key=lambda body: int(body["metadata"]["resourceVersion"]))


class Cluster:
    """The sandbox under test, by kubectl."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._kubectl = str(tools.directory() / "bin" / "kubectl")

    def command(self, *arguments: str) -> list[str]:
        """Return a kubectl command line for this sandbox."""
        return [self._kubectl, "--kubeconfig", str(self.instance.kubeconfig), *arguments]

    def run(self, *arguments: str, given: t.Any = None) -> str:
        """Run kubectl and return its output; `given` objects are its standard input."""
        text = None if given is None else json.dumps({"apiVersion": "v1", "kind": "List", "items": given})
        done = subprocess.run(self.command(*arguments), input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *bodies: Object) -> None:
        """Create or change objects."""
        self.run("apply", "-f", "-", given=list(bodies))

    def get(self, *arguments: str) -> Object | None:
        """Return an object (or a list), None when it does not exist."""
        text = self.run("get", *arguments, "-o", "json", "--ignore-not-found")
        return t.cast(Object, json.loads(text)) if text.strip() else None

    def record(self, namespace: str, *kinds: str) -> Recorder:
        """Start to record what happens to objects of these kinds."""
        return Recorder(self, namespace, kinds)

    def set(self, **values: t.Any) -> None:
        """Set switches of the sandbox; two underscores stand for a dot, None removes one."""
        settings.update(self.instance.settings_file, {key.replace("__", "."): value for key, value in values.items()})


def _sandbox(*arguments: str) -> None:
    command = [sys.executable, "-m", "sandbox", "--name", NAME, *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


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
        place.apply(*_subscribe(package, namespace, channel))
    for namespace, _ in PACKAGES.values():

        def installed(namespace: str = namespace) -> bool:
            found = place.get("clusterserviceversions", "-n", namespace) or {"items": []}
            own = [each for each in found["items"] if "olm.copiedFrom" not in (each["metadata"].get("labels") or {})]
            return bool(own) and all((each.get("status") or {}).get("phase") == "Succeeded" for each in own)

        eventually(f"the operator in {namespace} is installed", installed, 240)
    return place


@pytest.fixture(scope="session")
def cluster() -> t.Iterator[Cluster]:
    """A pristine sandbox with the three operators, stopped at the end."""
    if not compare.RECORDED.is_dir():
        pytest.skip(compare.MISSING)
    try:
        _sandbox("up")
        _sandbox("reset")
        yield _with_operators(Cluster(Instance(NAME)))
    finally:
        _sandbox("down")
