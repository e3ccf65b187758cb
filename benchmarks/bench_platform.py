"""The platform: from the moment its services really answer to the module's return, and the whole way there.

That moment is the first at which somebody outside, who asks all the time, has good answers of both services through the
API server: health of each, and GraphQL. The clock stops when the module begins to print its answer.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import kubernetes.config

from benchmarks.lab import OUT, Lab
from benchmarks.rows import BenchmarkFailed, Row
from sandbox import audit, settings
from sandbox.cluster import lifecycle
from sandbox.cluster.api import ApiError, wait_for

ROUNDS = 7  # times that the services stop answering, and answer again
WAITS = 3  # modules that wait each time: more take the processor from the services
LONGEST = 120.0  # seconds of a round
LOOK = 0.02  # seconds between looks of who is outside
HOME, HUB, NAME = "bench-platform", "rhdh", "sonataflow-platform"
SECRET = "backstage-psql-secret-developer-hub"
SERVICES = ("data-index", "jobs")
PROXY = f"/api/v1/namespaces/{HUB}/services/http:{NAME}-%s-service:80/proxy"
PLATFORMS = f"/apis/sonataflow.org/v1alpha08/namespaces/{HOME}/sonataflowplatforms"
DETECTED = 0.5  # seconds
RUNS = 2  # of a playbook; the quickest counts, as the machine has other work


class Bench:
    """Everything that is measured, on one installed sandbox."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab, self._scratch = lab, scratch
        self._api = lifecycle.client(lab.instance)
        client = kubernetes.config.new_client_from_config(str(lab.instance.kubeconfig))
        self._pool, self._host = client.rest_client.pool_manager, client.configuration.host
        self._headers = {each["key"]: each["value"] for each in client.configuration.auth_settings().values()}

    # -- from answering to the return -----------------------------------------------------------------------------

    def _good(self, method: str, path: str, body: t.Any = None) -> bool:
        headers = {**self._headers, "Content-Type": "application/json"}
        data = json.dumps(body) if body else None
        answer = self._pool.request(method, self._host + path, headers=headers, body=data, retries=False)
        if answer.status != 200:
            return False
        found = json.loads(answer.data)
        return "errors" not in found and (found.get("status") == "UP" or "data" in found)

    def answers(self) -> bool:
        """Whether both services have good answers for somebody outside."""
        query = {"query": "{ ProcessDefinitions { id } }"}
        healthy = all(self._good("GET", f"{PROXY % service}/q/health/ready") for service in SERVICES)
        return healthy and self._good("POST", f"{PROXY % 'data-index'}/graphql", query)

    def _module(self) -> subprocess.Popen[bytes]:
        """One waiting module, as its wrapper starts it on the managed host."""
        arguments = {"kubeconfig": str(self.lab.instance.kubeconfig), "namespace": HUB, "wait_timeout": int(LONGEST)}
        file = self._scratch / "arguments.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment |= {"PYTHONPATH": str(self.lab.collections)}
        module = "ansible_collections.rhdh.orchestrator.plugins.modules.sonataflow_platform"
        with (OUT / "platform-detect.log").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", module, str(file)],
                env=environment, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
            )  # fmt: skip

    def _switch(self, unhealthy: bool | None) -> None:
        names = ("data-index", "jobs-service")
        values = {f"services.{name}.unhealthy": unhealthy for name in names}
        settings.update(self.lab.instance.settings_file, values)

    def _unready(self) -> bool:
        path = f"/apis/apps/v1/namespaces/{HUB}/deployments/{NAME}"
        found = [self._api.get(f"{path}-{service}-service") or {} for service in SERVICES]
        return not any((each.get("status") or {}).get("readyReplicas") for each in found)

    def round(self) -> list[float]:
        """Let modules wait for services that are ill, cure those, and return each module's seconds."""
        self._switch(True)
        wait_for("the services are not ready", self._unready, time.monotonic() + LONGEST)
        children = [self._module() for _ in range(WAITS)]
        returned: dict[int, float] = {}

        def note(number: int, stream: t.IO[bytes]) -> None:
            if stream.read(1):
                returned[number] = time.monotonic()
            stream.read()

        threads = [threading.Thread(target=note, args=(number, child.stdout)) for number, child in enumerate(children)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(6)  # they have read what there is, and wait
            if returned:
                raise BenchmarkFailed(f"a module did not wait: see {OUT}/platform-detect.log")
            self._switch(None)
            wait_for("the services answer", self.answers, time.monotonic() + LONGEST, LOOK)
            answered = time.monotonic()
            for thread in threads:
                thread.join(timeout=30)
        finally:
            self._switch(None)
            for child in children:
                child.kill()
        if len(returned) < WAITS:
            raise BenchmarkFailed(f"a module did not return: see {OUT}/platform-detect.log")
        return [max(0.0, moment - answered) for moment in returned.values()]

    # -- the whole way --------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the namespace of the platforms, with the credentials of the Hub's PostgreSQL."""
        data = (self._api.get(f"/api/v1/namespaces/{HUB}/secrets/{SECRET}") or {})["data"]
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
        self._api.request("POST", "/api/v1/namespaces", body)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": HOME}, "data": data}
        self._api.request("POST", f"/api/v1/namespaces/{HOME}/secrets", secret)

    def clear(self) -> None:
        """Take the platform away, to the last pod."""
        try:
            self._api.request("DELETE", f"{PLATFORMS}/{NAME}")
        except ApiError as error:
            if error.status != 404:
                raise

        def gone() -> bool:
            pods = self._api.get(f"/api/v1/namespaces/{HOME}/pods") or {}
            return not pods.get("items") and self._api.get(f"{PLATFORMS}/{NAME}") is None

        wait_for("the platform is gone", gone, time.monotonic() + LONGEST)

    def whole(self, playbook: str) -> tuple[float, float]:
        """Seconds of a playbook on an empty namespace, and again on what it left; the quickest of some runs."""
        fresh, again = [], []
        for _ in range(RUNS):
            self.clear()
            fresh.append(self.lab.peer(playbook))
            again.append(self.lab.peer(playbook))
        return min(fresh), min(again)


def measure() -> t.Iterator[Row]:
    """Measure on a sandbox with everything installed."""
    with Lab() as lab, tempfile.TemporaryDirectory() as scratch:
        lab.pristine()
        lab.install()
        bench = Bench(lab, Path(scratch))
        late = [seconds for _ in range(ROUNDS) for seconds in bench.round()]
        p95 = statistics.quantiles(late, n=100, method="inclusive")[94]
        note = f"services answer to module returns, p95 of {len(late)} (p50 {statistics.median(late):.2f} s)"
        yield Row("platform.detect", p95, limit=DETECTED, note=f"{note}; limit: what a person hardly notices")

        bench.prepare()
        ours, ours_again = bench.whole("platform_ours.yml")
        mark = audit.mark(lab.instance.audit_log)
        lab.peer("platform_ours.yml")
        requests = audit.count(audit.requests(lab.instance.audit_log, mark))
        theirs, theirs_again = bench.whole("platform.yml")
        bench.clear()
        yield Row("platform.ready", ours, peer=theirs, note="from nothing to answers, against kubernetes.core")
        note = f"the same again, {requests['total']} requests, {len(requests['mutating'])} of them writing"
        error = f"a second run wrote: {requests['mutating']}" if requests["mutating"] else ""
        yield Row("platform.again", ours_again, peer=theirs_again, goal=0.6, note=note, error=error)
