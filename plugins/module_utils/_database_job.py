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

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _workload
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    CREATED_LABEL,
    ApiError,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import (
    Database,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import (
    EVENT,
    JOB,
    POD,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._redact import (
    redact_text,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    FAILED,
    READY,
    Result,
    Snapshot,
    Source,
    Verdict,
    wait,
)

Object = dict[str, t.Any]

DEFAULT_IMAGE = "registry.redhat.io/rhel9/postgresql-15:latest"
CONTAINER = "psql"
MINIMUM_VERSION = 12  # of PostgreSQL: major version that the services' migrations are made for
NAME_PREFIX = "orchestrator-database-check-"
KEPT = 300  # seconds after which the cluster removes the Job itself, if we cannot
JOB_NAME = "batch.kubernetes.io/job-name"  # label of a Job's pods
ATTEMPTS = 2  # the Job may be deleted by somebody before it was read
LOOK = 3.0  # seconds between looks at what no watch tells: events of a Job without pods, the log of a running one
FREE_CONNECTIONS = 40  # that the two services may take with the default size of their pools, 20 each
FULL = 0.85  # of a volume, from which on it is warned of

SCRIPT = r"""
set -u
export LC_ALL=C
errors=$(mktemp)
answers=$(mktemp)
# The answers are in the pod's status too: they can be read when the pod is gone, and without the right to read logs.
trap 'head -c 4000 "$answers" > "${TERMINATION_LOG:-/dev/termination-log}"' EXIT
if [ -n "${CA_CERTIFICATE:-}" ]; then
  PGSSLROOTCERT=$(mktemp)
  printf '%s\n' "$CA_CERTIFICATE" > "$PGSSLROOTCERT"
  export PGSSLROOTCERT
fi
tell() { printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ' | cut -c 1-1000)"; }
say() { tell "$1" "$2" | tee -a "$answers"; }
stop() { say detail "$2"; say failure "$1"; exit 1; }
# libpq does not tell why a certificate is not accepted; openssl does, where the image has it.
certificate() {
  command -v openssl > /dev/null || return 0
  case $PGHOST in *:*) address="[$PGHOST]:$PGPORT" ;; *) address=$PGHOST:$PGPORT ;; esac
  timeout 10 openssl s_client -starttls postgres -connect "$address" -CAfile "${PGSSLROOTCERT:-/dev/null}" 2>&1 \
    < /dev/null | sed -n 's/.*verify error:num=[0-9]*://p' | head -n 1
}
base=$DATABASE
end=$(($(date +%s) + RETRY_SECONDS))
told=
# Run a statement in a database; what heals by itself (a restart, a full connection table) is tried again until $end.
run() {
  while ! answer=$(printf '%s\n' "$2" | psql -X -q -A -t -v ON_ERROR_STOP=1 -v name="$DATABASE" -v item="${3:-}" \
    -d "$1" 2> "$errors"); do
    problem=$(tr '\n' ' ' < "$errors")
    case $problem in
    *refused* | *'starting up'* | *'shutting down'* | *'recovery mode'* | *'not yet accepting'* | \
      *'could not translate'* | *'timeout expired'* | *'No route'* | *unreachable* | *'closed the connection'* | \
      *'terminating connection'* | *'connection to server was lost'* | *'reset by peer'* | \
      *'too many clients'* | *'connection slots'* | *'too many connections'*)
      [ "$(date +%s)" -lt "$end" ] || return 1
      [ "$problem" = "$told" ] || tell waiting "$problem"
      told=$problem
      sleep 1 ;;
    *) return 1 ;;
    esac
  done
}
server="select current_setting('server_version_num') || ' ' || current_setting('server_version')"
until run "$base" "$server"; do
  case $problem in
  *'database "'*'" does not exist'*)
    [ "$base" = "$DATABASE" ] && [ "$base" != "$MAINTENANCE" ] || stop connection "$problem"
    base=$MAINTENANCE ;;
  *'certificate verify failed'*) cause=$(certificate); stop connection "$problem${cause:+ ($cause)}" ;;
  *) stop connection "$problem" ;;
  esac
done
say server_version "${answer#* }"
[ "${answer%% *}" -ge "${MINIMUM}0000" ] || stop old "PostgreSQL ${answer#* } is older than $MINIMUM"
case $(run "$base" '\conninfo' && printf '%s' "$answer") in
*'SSL connection ('* | *'SSL Connection|true'*) say tls yes ;;
*) say tls no ;;
esac
created=no
if [ "$base" = "$DATABASE" ]; then
  say existed yes
else
  say existed no
  run "$base" "select case when rolcreatedb or rolsuper then 'yes' else 'no' end from pg_roles
    where rolname = current_user" || stop query "$problem"
  say createdb "$answer"
  [ "$CREATE" = yes ] || stop missing "database $DATABASE does not exist"
  [ "$answer" = yes ] || stop createdb "database $DATABASE does not exist and $PGUSER may not create it"
  create="create database :\"name\" encoding 'UTF8' template template0"
  run "$base" "$create" || case $problem in
  *'does not match locale'*) run "$base" "$create lc_collate 'C' lc_ctype 'C'" ;;
  *) false ;;
  esac && created=yes || case $problem in *'already exists'*) ;; *) stop create "$problem" ;; esac
fi
say created "$created"
run "$DATABASE" "select 'encoding=' || pg_encoding_to_char(d.encoding)
  || E'\nowner=' || pg_get_userbyid(d.datdba)
  || E'\nuser=' || current_user
  || E'\nmay_create_schemas=' || has_database_privilege(d.oid, 'create')
  || E'\nread_only=' || pg_is_in_recovery()
  || E'\nsize_bytes=' || pg_database_size(d.oid)
  || E'\nall_bytes=' || (select sum(pg_database_size(oid)) from pg_database
    where has_database_privilege(oid, 'connect'))
  || E'\nmax_connections=' || (current_setting('max_connections')::int
    - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::int end)
  || E'\nconnections=' || (select count(*) from pg_stat_activity where backend_type = 'client backend')
  || E'\nconnection_limit=' || coalesce(least(nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1))::text, '')
  from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user" ||
  stop query "$problem"
facts=$(printf '%s\n' "$answer")
[ -n "$facts" ] || stop query "nothing is known of the database"
printf '%s\n' "$facts" | tee -a "$answers"
case $facts in *encoding=UTF8*) ;; *) stop encoding "database $DATABASE is not in UTF8" ;; esac
case $facts in *read_only=true*) stop readonly "PostgreSQL is a standby and read-only" ;; esac
for schema in $SCHEMAS; do
  run "$DATABASE" "select case when has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage')
    then 'yes' else 'no' end from pg_namespace where nspname = :'item'" "$schema" || stop query "$problem"
  case $answer in
  yes) say "schema.$schema" existed; continue ;;
  no) stop schema "user $PGUSER may not use schema $schema, or make tables in it" ;;
  esac
  case $facts in
  *may_create_schemas=true*) ;;
  *) stop schemas "user $PGUSER may not create schema $schema in database $DATABASE" ;;
  esac
  case " $WANTED " in
  *" $schema "*) ;;
  *) say "schema.$schema" later; continue ;;
  esac
  [ "$CREATE" = yes ] || stop schema_missing "schema $schema does not exist"
  run "$DATABASE" "create schema if not exists :\"item\"" "$schema" || stop create "$problem"
  say "schema.$schema" created
done
say done yes
"""

# Part of libpq's text, reason, remedy. The first match counts.
_FIREWALL = "Check NetworkPolicies (both namespaces), egress rules and firewalls."
_CAUSES = (
    (
        "could not translate host name",
        "NameNotResolved",
        "Check the host name; from the namespace it does not resolve.",
    ),
    ("Connection refused", "Refused", "Nothing listens at that address and port, or a firewall rejects it."),
    ("No route to host", "ServerUnreachable", _FIREWALL),
    ("unreachable", "ServerUnreachable", _FIREWALL),
    ("timeout expired", "ServerUnreachable", _FIREWALL),
    ("starting up", "StartingUp", "PostgreSQL did not finish starting in time: see its pod's log."),
    ("recovery mode", "StartingUp", "PostgreSQL did not finish its recovery in time: see its log."),
    ("not yet accepting", "StartingUp", "PostgreSQL did not finish its recovery in time: see its log."),
    ("password authentication failed", "LoginRefused", "The server knows another password than the Secret holds."),
    ("no password supplied", "LoginRefused", "The Secret's password is empty."),
    ("certificate has expired", "CertificateExpired", "Renew the server's certificate."),
    ("certificate is not yet valid", "CertificateNotYetValid", "Check the clocks of server and nodes."),
    ("does not match host name", "CertificateWrongName", "Use the name in the server's certificate as host."),
    (
        "certificate verify failed",
        "CertificateNotTrusted",
        "Give the CA that signed the server's certificate, and look whether one of the two has expired.",
    ),
    ("root certificate file", "CertificateNotTrusted", "Give the CA of the server (database.ca)."),
    ("does not support SSL", "NoTls", "The server offers no TLS: switch it on there, or set sslmode."),
    (
        "no pg_hba.conf entry",
        "HostRefused",
        "The server's pg_hba.conf allows no such login: look at user, database, address, and TLS (database.sslmode).",
    ),
    ("pg_hba.conf rejects", "HostRefused", "The server's pg_hba.conf rejects such a login (user, database, TLS)."),
    ("not currently accepting connections", "DatabaseClosed", "ALTER DATABASE ... ALLOW_CONNECTIONS true."),
    ("too many", "ConnectionsFull", "Raise max_connections or the role's connection limit, or free connections."),
    ("connection slots", "ConnectionsFull", "Raise max_connections or the role's limit, or free connections."),
    ("No space left", "DiskFull", "Free room on the server's volume, or enlarge it."),
    ("could not extend file", "DiskFull", "Free room on the server's volume, or enlarge it."),
    ("read-only", "ReadOnly", "Give the address of the primary server: this one is a standby."),
    ("permission denied for database", "NoConnectRight", "GRANT CONNECT, CREATE on the database to the user."),
    ("permission denied to create database", "NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create it beforehand."),
    ("permission denied", "NoRight", "GRANT CREATE on the database to the user."),
    ("is not permitted to log in", "LoginRefused", "ALTER ROLE ... LOGIN, or name another user in the Secret."),
    ('role "', "LoginRefused", "Create the user on the server, or correct the Secret."),
    ("closed the connection", "ConnectionLost", "Look at the server's log: it ends connections at once."),
    ("terminating connection", "ConnectionLost", "PostgreSQL was stopped and did not come back in time."),
    ("does not exist", "DatabaseMissing", "Name a database that one can log in to: maintenance_database."),
)
_FAILURES = {
    "old": ("ServerTooOld", "Upgrade PostgreSQL, or use another server (option minimum_version)."),
    "missing": ("DatabaseMissing", "Create the database, or let this module do it (create: true)."),
    "createdb": ("NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create the database beforehand."),
    "encoding": (
        "WrongEncoding",
        "Name another database, which is then made in UTF8; the encoding of an existing one cannot be changed.",
    ),
    "readonly": ("ReadOnly", "Give the address of the primary server: this one is a standby."),
    "schema": ("NoSchemaRight", "GRANT USAGE, CREATE ON SCHEMA to the user, or make the user its owner."),
    "schemas": ("NoCreateSchema", "GRANT CREATE ON DATABASE to the user, or create the schema for it."),
    "schema_missing": ("SchemaMissing", "Create the schema, or let this module do it (create: true)."),
}


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
        "tls": answers.get("tls") == "yes",
        "schemas": {key[7:]: value for key, value in answers.items() if key.startswith("schema.")},
    }
    for key in ("size_bytes", "all_bytes", "max_connections", "connections", "connection_limit"):
        if answers.get(key, "").isdigit():
            facts[key] = int(answers[key])
    return facts


def warnings_of(facts: Object, volume_bytes: int = 0) -> list[str]:
    """Return what will hurt later though the connection works. `volume_bytes` is the server's volume, if known."""
    found = []
    used, limit = facts.get("connections"), facts.get("max_connections")
    if used is not None and limit is not None and limit - used < FREE_CONNECTIONS:
        found.append(
            f"Only {max(0, limit - used)} of {limit} connections are free; the two services may take 20 each: raise "
            "max_connections, or make their pools smaller."
        )
    own = facts.get("connection_limit")
    if own is not None and own < FREE_CONNECTIONS:
        found.append(f"The user or the database is limited to {own} connections; the two services may take 20 each.")
    taken = facts.get("all_bytes")
    if volume_bytes and taken and taken > FULL * volume_bytes:
        found.append(
            f"The databases take {taken / 2**20:.0f} MiB of the volume's {volume_bytes / 2**20:.0f} MiB, the "
            "write-ahead log not counted: enlarge the volume before PostgreSQL stops."
        )
    return found


def judge(job: Object | None, pods: t.Sequence[Object], answers: t.Mapping[str, str], refusal: str = "") -> Verdict:
    """Judge the Job, its pods, what it said, and why its pods are refused, if they are."""
    if answers.get("done"):
        return Verdict.ready(f"PostgreSQL {answers.get('server_version', '')} answered")
    if answers.get("failure"):
        reason, remedy = classify(answers["failure"], answers.get("detail", ""))
        return Verdict.failed(reason, " ".join(answers.get("detail", "").split()), remedy)
    verdict = _workload.job(job, pods)
    ended, why, _message = _workload.ended(job)
    if ended and why != "DeadlineExceeded":
        state = next((pod["status"]["phase"] for pod in pods if (pod.get("status") or {}).get("phase")), "no pod left")
        message = f"the Job ended as {ended} without a readable answer ({state})"
        return terminal("database/NoAnswer").verdict(message)
    if verdict.state == FAILED:
        return verdict
    if refusal and not pods:
        row = terminal(_workload.creation_failure(refusal))
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
        if not self.answered and _workload.ended(job)[0] and self._due():
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

    def wait(self, timeout: float, causes: t.Callable[[Result], t.Sequence[str]]) -> Result:
        """Wait for the answer and remove the Job, whatever came out. Raises WaitFailed, with further `causes`."""
        namespace = self._database.namespace
        selector = "app.kubernetes.io/component=database-check"
        sources = [Source(JOB, namespace, label_selector=selector), Source(POD, namespace, label_selector=selector)]
        try:
            ended = wait(self._session, sources, self.judge, timeout=timeout, act=self.read)
        finally:
            with contextlib.suppress(ApiError):  # the cluster removes it by itself
                self._session.delete(JOB, self.name, namespace)
        if ended.phase != READY:
            what = f"PostgreSQL at {self._database.address} to answer in {namespace}"
            further = f"To look further: oc -n {namespace} get jobs,pods,events"
            raise WaitFailed(ended, what, causes=[*causes(ended), further], job=self.facts())
        return ended
