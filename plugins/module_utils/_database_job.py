# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The short Job that looks at a database from where the services will reach it. PRIVATE to the collection.

PostgreSQL cannot be reached from where Ansible runs, so a pod in the services' namespace does it, with the product's
own PostgreSQL image. User and password reach it by reference only; its log comes back as `key=value` lines.
"""

from __future__ import annotations

import time
import typing as t
import uuid

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _workload
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    CREATED_LABEL,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import (
    Database,
    finished,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import JOB, POD
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    FAILED,
    Result,
    Snapshot,
    Source,
    Verdict,
    wait,
)

Object = dict[str, t.Any]

DEFAULT_IMAGE = "registry.redhat.io/rhel9/postgresql-15:latest"
CONTAINER = "psql"
NAME_PREFIX = "orchestrator-database-check-"
DEADLINE = 300  # seconds: image pull, waiting for the server, and the work
KEPT = 300  # seconds after which the cluster removes the Job itself, if we cannot
ATTEMPTS = 2  # the Job may be deleted by somebody before it was read
MINIMUM_VERSION = 120000  # server_version_num that the services' drivers and migrations are made for

SCRIPT = r"""
set -u
export LC_ALL=C
errors=$(mktemp)
if [ -n "${CA_CERTIFICATE:-}" ]; then
  PGSSLROOTCERT=$(mktemp)
  printf '%s\n' "$CA_CERTIFICATE" > "$PGSSLROOTCERT"
  export PGSSLROOTCERT
fi
say() { printf '%s=%s\n' "$1" "$2"; }
trouble() { tr '\n' ' ' < "$errors"; }
stop() { say failure "$1"; say detail "$2"; exit 1; }
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -v name="$DATABASE" -v item="${2:-}" -d "$1" 2> "$errors"; }

base=$DATABASE
end=$(($(date +%s) + RETRY_SECONDS))
until version=$(echo "show server_version" | ask "$base"); do
  problem=$(trouble)
  case $problem in
  *'database "'*'" does not exist'*)
    [ "$base" = "$DATABASE" ] && [ "$base" != "$MAINTENANCE" ] || stop connection "$problem"
    base=$MAINTENANCE
    continue ;;
  *refused* | *'starting up'* | *'shutting down'* | *'could not translate'* | *'timeout expired'* | *'No route'* | \
    *'closed the connection'* | *'too many clients'* | *'connection slots'* | *'too many connections'*)
    [ "$(date +%s)" -lt "$end" ] || stop connection "$problem"
    sleep 1 ;;
  *) stop connection "$problem" ;;
  esac
done
say server_version "$version"
say created no
if [ "$base" = "$DATABASE" ]; then
  say existed yes
else
  say existed no
  allowed=$(echo "select rolcreatedb or rolsuper from pg_roles where rolname = current_user" | ask "$base") ||
    stop query "$(trouble)"
  say createdb "$allowed"
  [ "$CREATE" = yes ] || stop missing "database $DATABASE does not exist"
  [ "$allowed" = t ] || stop createdb "database $DATABASE does not exist and $PGUSER may not create it"
  if echo "create database :\"name\" encoding 'UTF8' template template0" | ask "$base"; then
    say created yes
  else
    case $(trouble) in *'already exists'*) ;; *) stop create "$(trouble)" ;; esac
  fi
fi
echo "select 'version_num=' || current_setting('server_version_num')
  || E'\nencoding=' || pg_encoding_to_char(d.encoding) || E'\nowner=' || pg_get_userbyid(d.datdba)
  || E'\nmay_create_schemas=' || has_database_privilege(current_user, d.oid, 'create')
  || E'\nsize_bytes=' || pg_database_size(d.oid)
  || E'\ntls=' || coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
  || E'\nmax_connections=' || current_setting('max_connections')
  || E'\nconnections=' || (select count(*) from pg_stat_activity)
  || E'\nconnection_limit=' || (select rolconnlimit from pg_roles where rolname = current_user)
  from pg_database d where d.datname = current_database()" | ask "$DATABASE" || stop query "$(trouble)"
for schema in $SCHEMAS; do
  if [ "$(echo "select 1 from pg_namespace where nspname = :'item'" | ask "$DATABASE" "$schema")" = 1 ]; then
    say "schema.$schema" existed
  elif [ "$CREATE" != yes ]; then
    say "schema.$schema" missing
  elif echo "create schema if not exists :\"item\"" | ask "$DATABASE" "$schema"; then
    say "schema.$schema" created
  else
    stop schema "$(trouble)"
  fi
done
say done yes
"""

# Part of libpq's text, reason, remedy. The first match counts.
_CAUSES = (
    (
        "could not translate host name",
        "NameNotResolved",
        "Check the host name; from the namespace it does not resolve.",
    ),
    ("Connection refused", "Refused", "Nothing listens at that address and port, or a firewall rejects it."),
    ("No route to host", "Unreachable", "Check NetworkPolicies (both namespaces), egress rules and firewalls."),
    ("timeout expired", "Unreachable", "Check NetworkPolicies (both namespaces), egress rules and firewalls."),
    ("starting up", "StartingUp", "PostgreSQL did not finish starting in time: see its pod's log."),
    ("password authentication failed", "LoginRefused", "The server knows another password than the Secret holds."),
    ("certificate has expired", "CertificateExpired", "Renew the server's certificate."),
    ("does not match host name", "CertificateWrongName", "Use the name in the server's certificate as host."),
    ("certificate verify failed", "CertificateNotTrusted", "Give the CA that signed the server's certificate."),
    ("root certificate file", "CertificateNotTrusted", "Give the CA of the server (database.ca)."),
    ("does not support SSL", "NoTls", "The server offers no TLS: switch it on there, or set sslmode."),
    ("no pg_hba.conf entry", "HostRefused", "The server's pg_hba.conf allows no such login (user, database, TLS)."),
    ("too many", "ConnectionsFull", "Raise max_connections or the role's connection limit, or free connections."),
    ("connection slots", "ConnectionsFull", "Raise max_connections or the role's limit, or free connections."),
    ("permission denied for database", "NoConnectRight", "GRANT CONNECT, CREATE on the database to the user."),
    ("permission denied to create database", "NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create it beforehand."),
    ("permission denied", "NoRight", "GRANT CREATE on the database to the user."),
    ('role "', "LoginRefused", "Create the user on the server, or correct the Secret."),
)
_FAILURES = {
    "missing": ("DatabaseMissing", "Create the database, or let this module do it (create: true)."),
    "createdb": ("NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create the database beforehand."),
}


def body(
    database: Database, name: str, image: str, *, create: bool, schemas: t.Sequence[str], options: Object
) -> Object:
    """Return the Job. `options`: retry_seconds, maintenance_database, resources."""
    env: list[Object] = [
        {"name": "PGHOST", "value": database.host},
        {"name": "PGPORT", "value": str(database.port)},
        {"name": "PGCONNECT_TIMEOUT", "value": "5"},
        {"name": "DATABASE", "value": database.name},
        {"name": "MAINTENANCE", "value": options.get("maintenance_database") or "postgres"},
        {"name": "CREATE", "value": "yes" if create else "no"},
        {"name": "SCHEMAS", "value": " ".join(schemas)},
        {"name": "RETRY_SECONDS", "value": str(options.get("retry_seconds") or 30)},
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
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                },
            },
        },
    }


def read(log: str) -> dict[str, str]:
    """Return the `key=value` lines of the Job's log."""
    return dict(line.split("=", 1) for line in log.splitlines() if "=" in line and " " not in line.partition("=")[0])


def classify(failure: str, detail: str) -> tuple[str, str]:
    """Return (reason, remedy) for what the Job reports."""
    if failure in _FAILURES:
        return _FAILURES[failure]
    for part, reason, remedy in _CAUSES:
        if part in detail:
            return reason, remedy
    return "DatabaseError", "See the message of PostgreSQL."


def facts_of(answers: t.Mapping[str, str]) -> Object:
    """Return what the Job found, with types. Sizes are bytes."""
    facts: Object = {
        "existed": answers.get("existed") == "yes",
        "created": answers.get("created") == "yes",
        "server_version": answers.get("server_version", ""),
        "encoding": answers.get("encoding", ""),
        "owner": answers.get("owner", ""),
        "tls": answers.get("tls") == "true",
        "schemas": {key[7:]: value for key, value in answers.items() if key.startswith("schema.")},
    }
    for key in ("size_bytes", "max_connections", "connections"):
        if answers.get(key, "").isdigit():
            facts[key] = int(answers[key])
    return facts


def warnings_of(answers: t.Mapping[str, str]) -> list[str]:
    """Return what will hurt later though the connection works."""
    found = []
    if answers.get("encoding") not in (None, "UTF8"):
        found.append(f"The database's encoding is {answers['encoding']}; the services expect UTF8.")
    if answers.get("may_create_schemas") == "false":
        found.append("The user may not create schemas in the database: the services' migrations need that.")
    if answers.get("version_num", "").isdigit() and int(answers["version_num"]) < MINIMUM_VERSION:
        found.append(f"PostgreSQL {answers.get('server_version')} is older than the services expect (12).")
    used, limit = answers.get("connections", ""), answers.get("max_connections", "")
    if used.isdigit() and limit.isdigit() and int(limit) - int(used) < 20:
        found.append(
            f"Only {int(limit) - int(used)} of {limit} connections are free; the two services may take 20 each."
        )
    return found


def judge(job: Object | None, pods: t.Sequence[Object], answers: t.Mapping[str, str]) -> Verdict:
    """Judge the Job, its pods and what its log said."""
    if answers.get("done"):
        return Verdict.ready(f"PostgreSQL {answers.get('server_version', '')} answered")
    if answers.get("failure"):
        reason, remedy = classify(answers["failure"], answers.get("detail", ""))
        return Verdict.failed(reason, answers.get("detail", "").strip(), remedy)
    ended = finished(job)
    if ended:
        state = next((pod["status"]["phase"] for pod in pods if (pod.get("status") or {}).get("phase")), "no pod left")
        message = f"the Job ended as {ended} without a readable log ({state})"
        return terminal("database/NoAnswer").verdict(message)
    verdict = _workload.job(job, pods)
    if verdict.state == FAILED:
        return verdict
    return Verdict.pending("Running" if pods else "Starting", "asking PostgreSQL from a pod in the namespace")


class Check:
    """One look at a database by Job: start, wait, read, clean up."""

    def __init__(self, session: Session, database: Database, make: t.Callable[[str], Object]) -> None:
        """`make` returns the Job of a given name."""
        self._session, self._database, self._make = session, database, make
        self.answers: dict[str, str] = {}
        self._attempts = 0
        self._start()

    def _start(self) -> None:
        self.name = NAME_PREFIX + uuid.uuid4().hex[:8]
        self._attempts += 1
        self._seen = False
        self._started = time.monotonic()
        self._session.create(JOB, self._make(self.name))

    def read(self, snapshot: Snapshot) -> None:
        """Read the log as soon as the container has ended: the Job may be gone a moment later."""
        namespace = self._database.namespace
        if self.answers.get("done") or self.answers.get("failure"):
            return
        job, pods = snapshot.get(JOB, self.name, namespace), self.pods(snapshot)
        self._seen = self._seen or job is not None
        for pod in pods:
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                ended = (status.get("state") or {}).get("terminated")
                if ended:
                    log = self._session.pod_log(namespace, pod["metadata"]["name"], CONTAINER, lines=200)
                    self.answers = read(log) or read(ended.get("message") or "")
        if self._seen and job is None and not self.answers and self._attempts < ATTEMPTS:
            self._start()

    def pods(self, snapshot: Snapshot) -> list[Object]:
        """Return the pods of the present Job."""
        label = "batch.kubernetes.io/job-name"
        return [p for p in snapshot.list(POD) if (p["metadata"].get("labels") or {}).get(label) == self.name]

    def judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Judge what is there."""
        job = snapshot.get(JOB, self.name, self._database.namespace)
        if job is None and self._seen and not self.answers:
            return {"connection": terminal("database/JobDeleted").verdict("the Job was deleted before it was read")}
        return {"connection": judge(job, self.pods(snapshot), self.answers)}

    def wait(self, timeout: float, causes: t.Callable[[Result], t.Sequence[str]]) -> Result:
        """Wait for the answer and remove the Job, whatever came out. Raises WaitFailed, with further `causes`."""
        namespace = self._database.namespace
        selector = "app.kubernetes.io/component=database-check"
        sources = [Source(JOB, namespace, label_selector=selector), Source(POD, namespace, label_selector=selector)]
        try:
            ended = wait(self._session, sources, self.judge, timeout=timeout, act=self.read)
        finally:
            self._session.delete(JOB, self.name, namespace)
        if ended.phase != "ready":
            what = f"PostgreSQL at {self._database.address} to answer in {namespace}"
            further = f"To look further: oc -n {namespace} get jobs,pods,events"
            raise WaitFailed(ended, what, causes=[*causes(ended), further])
        return ended
