"""Waiting: how soon a change is noticed and at what price, against kubernetes.core and kubectl, alone and in a crowd.

A change is the status of an object, patched at a random moment; the clock starts when the API server has answered the
patch and stops when the waiting process begins to print its answer (for the engine alone: when it has returned). How
long that process needs to end after that is not waiting, and named apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import kubernetes.config

from benchmarks.lab import OUT, ROOT, Lab
from benchmarks.rows import BenchmarkFailed, Row
from sandbox import audit, relay
from sandbox.cluster import lifecycle, tools
from sandbox.cluster.api import Client, wait_for

CHANGES = 36  # waits of each kind
STAGGER = 0.4  # seconds between two starts: a Python process takes that long on two cores
SETTLED = 60.0  # seconds after the last start until every process waits, at most
LONGEST = 240  # seconds a wait may take
CROWD = 1000  # objects that nobody waits for
LOOKS = 25  # waits with and without the crowd
NOTICED = 300  # milliseconds: what a person hardly notices

GROUP, VERSION, PLURAL, KIND = "bench.invalid", "v1", "things", "Thing"
HOME, EMPTY, CROWDED = "bench-wait", "bench-empty", "bench-crowd"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": KIND, "plural": PLURAL, "singular": "thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}

Command = t.Callable[[str], list[str]]


class Things:
    """Objects of a kind that no controller touches."""

    def __init__(self, api: Client) -> None:
        self._api = api

    def path(self, namespace: str, name: str = "") -> str:
        """REST path of one object, or of them all."""
        return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")

    def prepare(self) -> None:
        """Create the kind and the namespaces."""
        self._api.apply(CRD)
        for namespace in (HOME, EMPTY, CROWDED):
            self._api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        path = self.path(HOME)
        wait_for("the custom kind is served", lambda: self._api.get(path) is not None, time.monotonic() + 20)

    def create(self, namespace: str, names: t.Iterable[str]) -> None:
        """Create objects that are not ready, as large as a small custom resource."""
        for name in names:
            body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}}
            self._api.request("POST", self.path(namespace), {**body, "spec": {"text": "x" * 1000}})
            self.set_ready(namespace, name, ready=False)

    def set_ready(self, namespace: str, name: str, *, ready: bool) -> float:
        """Patch the condition Ready; return the time (monotonic) of the answer."""
        conditions = [{"type": "Ready", "status": str(ready), "reason": "Bench", "message": ""}]
        path = f"{self.path(namespace, name)}/status"
        self._api.request("PATCH", path, {"status": {"conditions": conditions}}, "application/merge-patch+json")
        return time.monotonic()


@dataclasses.dataclass
class Detected:
    """Latencies in milliseconds; of each wait its requests, seconds, and milliseconds from answer to process's end."""

    latencies: list[float]
    requests: float = 0.0
    waited: float = 0.0
    ending: float = 0.0

    def quantile(self, percent: int) -> float:
        """The latency that so many percent of the waits kept."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]

    def __str__(self) -> str:
        return f"p50 {self.quantile(50):.0f} ms, p95 {self.quantile(95):.0f} ms"


class Bench:
    """Everything that is measured, on one sandbox."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab, self._scratch = lab, scratch
        self._api = lifecycle.client(lab.instance)
        self.things = Things(self._api)
        self._random = random.Random(4)

    # -- who waits ------------------------------------------------------------------------------------------------

    def _module(self, module: str, arguments: dict[str, t.Any], name: str) -> list[str]:
        """The command of one module call, as its wrapper makes it on the managed host."""
        file = self._scratch / f"{module.rpartition('.')[2]}-{name}.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), encoding="utf-8")
        collection, _dot, plugin = module.rpartition(".")
        return [sys.executable, "-m", f"ansible_collections.{collection}.plugins.modules.{plugin}", str(file)]

    def ours(self, name: str) -> list[str]:
        """k8s_wait for one object's condition."""
        target: dict[str, t.Any] = {"api_version": f"{GROUP}/{VERSION}", "kind": KIND, "name": name, "namespace": HOME}
        target |= {"check": "condition", "conditions": [{"type": "Ready"}]}
        arguments = {"kubeconfig": str(self.lab.instance.kubeconfig), "targets": [target], "wait_timeout": LONGEST}
        return self._module("rhdh.orchestrator.k8s_wait", arguments, name)

    def k8s_info(self, sleep: int) -> Command:
        """kubernetes.core's wait for the same, looking every `sleep` seconds."""

        def command(name: str) -> list[str]:
            arguments = {"kubeconfig": str(self.lab.instance.kubeconfig), "api_version": f"{GROUP}/{VERSION}"}
            arguments |= {"kind": KIND, "name": name, "namespace": HOME}
            waits = {"wait": True, "wait_sleep": sleep, "wait_timeout": LONGEST}
            condition = {"wait_condition": {"type": "Ready", "status": "True"}}
            return self._module("kubernetes.core.k8s_info", {**arguments, **waits, **condition}, f"{name}-{sleep}")

        return command

    def kubectl(self, name: str) -> list[str]:
        """Kubectl's wait for the same."""
        program = str(tools.directory() / "bin" / "kubectl")
        what = ["wait", "--for=condition=Ready", f"{PLURAL}.{GROUP}/{name}", "-n", HOME, f"--timeout={LONGEST}s"]
        return [program, "--kubeconfig", str(self.lab.instance.kubeconfig), *what]

    # -- what is measured -----------------------------------------------------------------------------------------

    def processes(self, label: str, command: Command) -> Detected:
        """Let many processes wait for an object each, change one after the other, and note when each answers."""
        names = [f"{label}-{number}" for number in range(CHANGES)]
        self.things.create(HOME, names)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment |= {"PYTHONPATH": str(self.lab.collections)}
        log = self.lab.instance.audit_log
        before = audit.mark(log)
        began: dict[str, float] = {}
        answered: dict[str, float] = {}
        ended: dict[str, float] = {}
        children: dict[str, subprocess.Popen[bytes]] = {}
        threads = []

        def note(name: str, stream: t.IO[bytes]) -> None:
            first = stream.read(1)
            if first:
                answered[name] = time.monotonic()
            stream.read()
            children[name].wait()
            ended[name] = time.monotonic()

        try:
            with (OUT / f"wait-{label}.log").open("wb") as errors:
                for name in names:
                    child = subprocess.Popen(
                        command(name), env=environment, stdout=subprocess.PIPE, stderr=errors, bufsize=0
                    )
                    children[name], began[name] = child, time.monotonic()
                    threads.append(threading.Thread(target=note, args=(name, child.stdout)))
                    threads[-1].start()
                    time.sleep(STAGGER)
            settle([child.pid for child in children.values()])
            if ended:
                raise BenchmarkFailed(f"{label}: did not wait, see {OUT}/wait-{label}.log")
            changed = {}
            for name in self._random.sample(names, len(names)):
                time.sleep(self._random.uniform(0.05, 0.4))
                changed[name] = self.things.set_ready(HOME, name, ready=True)
            for thread in threads:
                thread.join(timeout=30)
        finally:
            for child in children.values():
                child.kill()
        if len(answered) < len(names) or any(child.returncode for child in children.values()):
            raise BenchmarkFailed(f"{label}: a wait failed, see {OUT}/wait-{label}.log")
        time.sleep(1.0)  # the audit log has a watch once it has ended
        return Detected(
            [max(0.0, answered[name] - changed[name]) * 1000 for name in names],
            audit.count(audit.requests(log, before))["total"] / len(names),
            statistics.mean(answered[name] - began[name] for name in names),
            statistics.median(ended[name] - answered[name] for name in names) * 1000,
        )

    def engine(self) -> Detected:
        """Let the engine wait in this process."""
        kind = ours_module("_kube.kinds").Kind(GROUP, VERSION, PLURAL, KIND)
        condition_of = ours_module("_kube.objects").condition
        verdict, source_of = ours_module("_wait.verdict").Verdict, ours_module("_wait.source").Source
        wait = ours_module("_wait.engine").wait

        def evaluate(snapshot: t.Any) -> dict[str, t.Any]:
            found = snapshot.get(kind, name, HOME)
            condition: t.Any = condition_of(found, "Ready") if found else None
            ready = condition is not None and condition["status"] == "True"
            return {name: verdict.ready() if ready else verdict.pending("NotReady")}

        latencies = []
        names = [f"engine-{number}" for number in range(CHANGES)]
        self.things.create(HOME, names)
        for name in names:
            changed: list[float] = []

            def change(name: str = name, changed: list[float] = changed) -> None:
                changed.append(self.things.set_ready(HOME, name, ready=True))

            timer = threading.Timer(self._random.uniform(0.3, 0.8), change)
            timer.start()
            source = source_of(kind, HOME, name)
            result = wait(self._session(), [source], evaluate, timeout=30, progress=lambda _entry: None)
            ended = time.monotonic()
            timer.join()
            if result.phase != "ready":
                raise BenchmarkFailed(f"the engine's wait ended as {result.phase}")
            latencies.append(max(0.0, ended - changed[0]) * 1000)
        return Detected(latencies)

    def _session(self, kubeconfig: Path | None = None) -> t.Any:
        client = kubernetes.config.new_client_from_config(str(kubeconfig or self.lab.instance.kubeconfig))
        return ours_module("_kube.session").Session(client)

    def call(self) -> tuple[float, float]:
        """Median seconds of a call of k8s_wait and of k8s_info, many in one playbook."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": str(self.lab.collections),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "K8S_AUTH_KUBECONFIG": str(self.lab.instance.kubeconfig),
            "PYTHONUNBUFFERED": "1",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        play = subprocess.Popen(
            [program, str(ROOT / "benchmarks" / "peers" / "call.yml")],
            env=environment, cwd=OUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert play.stdout is not None
        seconds: dict[str, list[float]] = {"Ours": [], "Theirs": []}
        task, last, output = "", 0.0, []
        for line in play.stdout:
            output.append(line)
            if heading := re.match(r"TASK \[(.*?)\]", line):
                task, last = heading[1], 0.0
            elif line.startswith("ok: "):
                if last:  # the first call of a task is not counted: its program is put together for it
                    seconds[task].append(time.monotonic() - last)
                last = time.monotonic()
        if play.wait() != 0:
            raise BenchmarkFailed(f"the calls failed: {' '.join(output[-5:])}")
        return statistics.median(seconds["Ours"]), statistics.median(seconds["Theirs"])

    def crowd(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Milliseconds (median) and kilobytes of a wait for an object that is ready: alone, and in a crowd."""
        self.things.create(CROWDED, [f"other-{number}" for number in range(CROWD)])
        for namespace in (EMPTY, CROWDED):
            self.things.create(namespace, ["wanted"])
            self.things.set_ready(namespace, "wanted", ready=True)
        seconds: dict[str, list[float]] = {EMPTY: [], CROWDED: []}
        received = dict.fromkeys(seconds, 0)
        for _ in range(LOOKS):  # in turn, so that the machine's other work meets both
            for namespace in seconds:
                took, size = self._look(namespace)
                seconds[namespace].append(took * 1000)
                received[namespace] += size
        alone, crowded = ((statistics.median(seconds[key]), received[key] / LOOKS / 1000) for key in seconds)
        return alone, crowded

    def _look(self, namespace: str) -> tuple[float, int]:
        kind = ours_module("_kube.kinds").Kind(GROUP, VERSION, PLURAL, KIND)
        verdict, source_of = ours_module("_wait.verdict").Verdict, ours_module("_wait.source").Source
        wait = ours_module("_wait.engine").wait

        def evaluate(snapshot: t.Any) -> dict[str, t.Any]:
            found = snapshot.get(kind, "wanted", namespace)
            return {"wanted": verdict.ready() if found else verdict.pending("NotCreated")}

        with relay.to_api_server(self.lab.instance) as way:
            session = self._session(way.kubeconfig(self.lab.instance, self._scratch / "relayed"))
            session.get_path("/version")  # the connection, and its TLS, are there before the clock starts
            before, started = way.received, time.monotonic()
            source = source_of(kind, namespace, "wanted")
            wait(session, [source], evaluate, timeout=30, progress=lambda _entry: None)
            return time.monotonic() - started, way.received - before


def settle(processes: t.Sequence[int]) -> None:
    """Return when all processes have hardly worked for a second: they wait. Raises BenchmarkFailed."""
    deadline = time.monotonic() + SETTLED
    idle = 0
    while idle < len(processes):
        if time.monotonic() > deadline:
            raise BenchmarkFailed("the machine is too busy: not every process has begun to wait")
        before = {process: _work(process)[0] for process in processes}
        working = dict.fromkeys(processes, 0)
        for _ in range(10):
            time.sleep(0.1)
            for process in processes:
                working[process] += _work(process)[1] == "R"
        idle = sum(_work(process)[0] - before[process] <= 3 and working[process] <= 1 for process in processes)


def _work(process: int) -> tuple[int, str]:
    """Return the clock ticks that a process has used, and its state (R: it works, or would if it could)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0, "Z"
    return int(fields[11]) + int(fields[12]), fields[0]


def ours_module(name: str) -> t.Any:
    """Import a private module of the collection that the lab has installed."""
    return importlib.import_module(f"ansible_collections.rhdh.orchestrator.plugins.module_utils.{name}")


def measure() -> t.Iterator[Row]:
    """Yield the rows of this area."""
    with Lab() as lab, tempfile.TemporaryDirectory() as scratch, _importable(lab.collections):
        lab.pristine()
        bench = Bench(lab, Path(scratch))
        bench.things.prepare()
        yield from detection(bench)
        ours, theirs = bench.call()
        yield Row(
            "wait.call", ours, peer=theirs, goal=1.0, note="a call of k8s_wait against k8s_info of the same object"
        )
        alone, crowded = bench.crowd()
        among = f"the engine among {CROWD} objects of the same kind, against none"
        yield Row("wait.crowd", crowded[0], limit=alone[0], goal=1.5, unit="ms", note=f"time of a wait by {among}")
        yield Row("wait.crowd_bytes", crowded[1], limit=alone[1], goal=1.1, unit="kB", note=f"received by {among}")


def detection(bench: Bench) -> t.Iterator[Row]:
    """Yield the rows about latency and requests."""
    engine = bench.engine()
    ours = bench.processes("ours", bench.ours)
    default, tuned = (bench.processes(f"info{sleep}", bench.k8s_info(sleep)) for sleep in (5, 1))
    kubectl = bench.processes("kubectl", bench.kubectl)
    changes = f"{CHANGES} changes"
    yield Row(
        "wait.engine_p95",
        engine.quantile(95),
        limit=NOTICED,
        unit="ms",
        note=f"the engine alone, {changes} ({engine}), against what one hardly notices",
    )
    yield Row(
        "wait.module_p95",
        ours.quantile(95),
        limit=NOTICED,
        unit="ms",
        note=f"k8s_wait, {changes} ({ours}; its process ends {ours.ending:.0f} ms later), against the same; "
        f"kubectl wait: {kubectl}",
    )
    yield Row(
        "wait.module_p50",
        ours.quantile(50),
        peer=default.quantile(50),
        goal=0.2,
        unit="ms",
        note=f"k8s_wait against k8s_info's own wait ({default})",
    )
    yield Row(
        "wait.tuned_p50",
        ours.quantile(50),
        peer=tuned.quantile(50),
        goal=0.2,
        unit="ms",
        note=f"k8s_wait against k8s_info with wait_sleep 1 ({tuned})",
    )
    yield Row(
        "wait.requests",
        ours.requests,
        peer=default.requests,
        unit="requests",
        note=f"for each wait of {ours.waited:.0f} s, against k8s_info's of {default.waited:.0f} s with its cache warm; "
        f"{tuned.requests:.1f} with wait_sleep 1, {kubectl.requests:.1f} by kubectl",
    )


@contextlib.contextmanager
def _importable(collections: Path) -> t.Iterator[None]:
    sys.path.insert(0, str(collections))
    try:
        yield
    finally:
        sys.path.remove(str(collections))
