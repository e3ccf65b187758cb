# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The short Job that looks at a database from where the services will reach it. PRIVATE to the collection.

PostgreSQL cannot be reached from where Ansible runs, so a pod in the services' namespace does it, with the product's
own PostgreSQL image. User and password reach it by reference only; its log comes back as `key=value` lines.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
import uuid

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import Database
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.script import SCRIPT, classify, read
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import EVENT, JOB, POD
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import CREATED_LABEL, Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import jobs as job_states
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import rollout

CONTAINER = "psql"
NAME_PREFIX = "orchestrator-database-check-"
KEPT = 300  # seconds after which the cluster removes the Job itself, if we cannot
JOB_NAME = "batch.kubernetes.io/job-name"  # label of a Job's pods
ATTEMPTS = 2  # the Job may be deleted before it was read
LOOK = 3.0  # seconds between looks at what no watch tells: events of a Job without pods, the log of a running one


def body(
    database: Database, name: str, image: str, *, create: bool, schemas: t.Sequence[str], options: Object
) -> Object:
    """Return the Job. `schemas` are to be created.

    `options`: retry_seconds, maintenance_database, resources, minimum_version, active_seconds, and `expected`, the
    schemas that the services will make themselves.
    """
    used = [*schemas, *(schema for schema in options.get("expected") or () if schema not in schemas)]
    env: list[Object] = [
        {"name": "PGHOST", "value": database.host},
        {"name": "PGPORT", "value": str(database.port)},
        {"name": "PGCONNECT_TIMEOUT", "value": "5"},
        {"name": "DATABASE", "value": database.name},
        {"name": "MAINTENANCE", "value": options.get("maintenance_database") or "postgres"},
        {"name": "CREATE", "value": "yes" if create else "no"},
        {"name": "SCHEMAS", "value": " ".join(used)},
        {"name": "WANTED", "value": " ".join(schemas)},
        {"name": "RETRY_SECONDS", "value": str(options["retry_seconds"])},
        {"name": "MINIMUM", "value": str(options["minimum_version"])},
    ]
    for variable, key in (("PGUSER", database.user_key), ("PGPASSWORD", database.password_key)):
        env.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": database.secret, "key": key}}})
    if database.sslmode:
        env.append({"name": "PGSSLMODE", "value": database.sslmode})
    if database.ca:
        env.append({"name": "CA_CERTIFICATE", "valueFrom": database.ca.source()})
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
    container = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", SCRIPT],
        "env": env,
        "resources": options.get("resources") or resources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    labels = {CREATED_LABEL: "true", "app.kubernetes.io/component": "database-check"}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {"name": name, "namespace": database.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": options["active_seconds"],
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 2,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                },
            },
        },
    }


def judge(job: Object | None, pods: t.Sequence[Object], answers: t.Mapping[str, str], refusal: str = "") -> Verdict:
    """Judge the Job, its pods, what it said, and why its pods are refused, if they are."""
    if answers.get("done"):
        return Verdict.ready(f"PostgreSQL {answers.get('server_version', '')} answered")
    if answers.get("failure"):
        reason, remedy = classify(answers["failure"], answers.get("detail", ""))
        return Verdict.failed(reason, " ".join(answers.get("detail", "").split()), remedy)
    verdict = job_states.job(job, pods)
    ended, why, _message = job_states.ended(job)
    if ended and why != "DeadlineExceeded":
        state = next((pod["status"]["phase"] for pod in pods if (pod.get("status") or {}).get("phase")), "no pod left")
        message = f"the Job ended as {ended} without a readable answer ({state})"
        return terminal("database/NoAnswer").verdict(message)
    if verdict.state == FAILED:
        return verdict
    if refusal and not pods:
        row = terminal(rollout.creation_failure(refusal))
        remedy = "Give the Job other resources (option resources), or raise the quota."
        quota = row.reason == "ExceededQuota"
        return row.verdict(f"the Job's pod is refused: {refusal}", remedy=remedy if quota else "")
    if answers.get("waiting"):
        reason, _remedy = classify("connection", answers["waiting"])
        return Verdict.pending(reason, f"tried again: {' '.join(answers['waiting'].split())}")
    return Verdict.pending("Running" if pods else "Starting", "asking PostgreSQL from a pod in the namespace")


class Check:
    """One look at a database by Job: start, wait, read, clean up."""

    def __init__(self, session: Session, database: Database, make: t.Callable[[str], Object]) -> None:
        """`make` returns the Job of a given name."""
        self._session, self._database, self._make = session, database, make
        self.answers: dict[str, str] = {}
        self.log: list[str] = []
        self.exit_code: int | None = None
        self.attempts = 0
        self._start()

    def _start(self) -> None:
        self.name = NAME_PREFIX + uuid.uuid4().hex[:8]
        self.attempts += 1
        self._seen = False
        self._refusal = ""
        self._looked = time.monotonic()
        try:
            self._session.create(JOB, self._make(self.name))
        except ApiError as exc:
            if exc.forbidden and "exceeded quota" in exc.message:
                raise InputError(
                    [f"A quota of the namespace forbids the Job that asks PostgreSQL: {exc.message}. Raise it."]
                ) from exc
            raise

    @property
    def answered(self) -> bool:
        """Whether the Job has said how it went."""
        return bool(self.answers.get("done") or self.answers.get("failure"))

    def read(self, snapshot: Snapshot) -> None:
        """Read the answer as soon as the container has ended: the Job may be gone a moment later."""
        if self.answered:
            return
        job, pods = snapshot.get(JOB, self.name, self._database.namespace), self.pods(snapshot)
        self._seen = self._seen or job is not None
        self._read_pods(pods)
        if not self.answered and job_states.ended(job)[0] and self._due():
            # The watch of pods may be behind that of Jobs: what it does not have yet can be read.
            selector = f"{JOB_NAME}={self.name}"
            with contextlib.suppress(ApiError):
                self._read_pods(self._session.list(POD, self._database.namespace, label_selector=selector))
        if not pods:
            self._read_events()
        if self._seen and job is None and not self.answered and self.attempts < ATTEMPTS:
            self._start()

    def _read_pods(self, pods: t.Iterable[Object]) -> None:
        for pod in pods:
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                self._read_container(pod["metadata"]["name"], status)

    def _read_container(self, pod: str, status: Object) -> None:
        state = status.get("state") or {}
        ended = state.get("terminated")
        if not ended and not (state.get("running") and self._due()):
            return
        log = self._session.pod_log(self._database.namespace, pod, CONTAINER, lines=200)
        if not ended:  # what it says of its end counts once it has ended, and is complete
            self.answers = {key: text for key, text in read(log).items() if key == "waiting"}
            return
        self.exit_code = ended.get("exitCode")
        message = ended.get("message") or ""
        self.answers = {**read(log), **read(message)}
        self.log = redact_text(log or message).splitlines()

    def _read_events(self) -> None:
        """Read why a Job has no pods: only its events tell (a quota, an admission)."""
        if not self._due():
            return
        fields = f"involvedObject.name={self.name}"
        with contextlib.suppress(ApiError):  # one may not: the wait then ends at its timeout
            for event in self._session.list(EVENT, self._database.namespace, field_selector=fields):
                if event.get("reason") == "FailedCreate":
                    self._refusal = " ".join((event.get("message") or "").split())

    def _due(self) -> bool:
        """Tell whether it is time again for a look that costs a request."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        return True

    def pods(self, snapshot: Snapshot) -> list[Object]:
        """Return the pods of the present Job."""
        return [p for p in snapshot.list(POD) if (p["metadata"].get("labels") or {}).get(JOB_NAME) == self.name]

    def judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Judge what is there."""
        job = snapshot.get(JOB, self.name, self._database.namespace)
        if job is None and self._seen and not self.answered:
            return {"connection": terminal("database/JobDeleted").verdict("the Job was deleted before it was read")}
        return {"connection": judge(job, self.pods(snapshot), self.answers, self._refusal)}

    def facts(self) -> Object:
        """Return what the result says of the Job."""
        return {"name": self.name, "attempts": self.attempts, "exit_code": self.exit_code, "log": self.log}

    def wait(self, call: Call, causes: t.Callable[[Result], t.Sequence[str]]) -> Result:
        """Wait for the answer and remove the Job, whatever came out. Raises WaitFailed, with further `causes`."""
        namespace = self._database.namespace
        selector = "app.kubernetes.io/component=database-check"
        sources = [Source(JOB, namespace, label_selector=selector), Source(POD, namespace, label_selector=selector)]
        further = f"Inspect with: oc -n {namespace} get jobs,pods,events"
        try:
            return call.wait(
                f"PostgreSQL at {self._database.address} to answer in {namespace}",
                sources,
                self.judge,
                causes=lambda ended: [*causes(ended), further],
                facts=lambda _ended: {"job": self.facts()},
                act=self.read,
            )
        finally:
            with contextlib.suppress(ApiError):  # the cluster removes it by itself
                self._session.delete(JOB, self.name, namespace)
