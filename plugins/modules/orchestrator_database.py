#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: orchestrator_database
short_description: Provide and prove the PostgreSQL database of the Orchestrator
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Makes sure that the database of Data Index and Job Service exists and can be logged in to, from where these services
    will reach it. Creates the database, and schemas that are asked for, when they are missing. Never drops or resets.
  - Without O(database), it is the one that the Developer Hub operator prepares on the Hub's own PostgreSQL. The
    operator's own attempt to create it gives up when PostgreSQL needs more than about 73 seconds; this module does not.
  - PostgreSQL is asked by a short Job in the namespace, with the product's PostgreSQL image and the Secret by
    reference. Its answer is read into the result, then the Job is removed; that costs one create and one delete.
  - Where a rolled out Data Index reaches the same database in the same way and says that it is healthy, that is proof
    enough and no Job is needed, so that a second run changes nothing and writes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
  - rhdh.orchestrator.database
options:
  namespace:
    description: Namespace of the platform, of the Secret and of the Job.
    type: str
    required: true
  hub_name:
    description: Name of the Backstage custom resource whose PostgreSQL is used, without O(database).
    type: str
    default: developer-hub
  platform:
    description: Name of the SonataFlowPlatform that uses the database.
    type: str
    default: sonataflow-platform
  create:
    description: Create the database and schemas when missing. If false, a missing one is an error.
    type: bool
    default: true
  probe:
    description:
      - When to ask PostgreSQL by a Job. V(auto) only if nothing else proves the database, V(always), or V(never).
    type: str
    choices: [auto, always, never]
    default: auto
  image:
    description: Image with psql for the Job. By default the one of the Hub's PostgreSQL, else the product's.
    type: str
  resources:
    description: Requests and limits of the Job's container, where the default (50m, 64Mi; 200m, 128Mi) does not fit.
    type: dict
  maintenance_database:
    description: Database to log in to while the wanted one does not exist.
    type: str
    default: postgres
  minimum_version:
    description: Oldest major version of PostgreSQL that is accepted.
    type: int
    default: 12
  release:
    description:
      - Release of Developer Hub, such as V(1.10). Before 1.10 its operator deletes Secrets and Services by name where
        it has no PostgreSQL of its own; without this option O(database) may have no such name.
    type: str
  retry_seconds:
    description: How long in seconds the Job tries again while the server is not reachable.
    type: int
    default: 60
  wait_timeout:
    description: Timeout in seconds for the whole call.
    type: int
    default: 600
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is written, so that PostgreSQL is not asked. Whether a database exists is known where the services,
        the operator's Job or the lack of a server tell; otherwise RV(database.exists) is null, and counts as missing.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
notes:
  - Needs to get, list and watch Secrets, StatefulSets, Deployments, Jobs, Pods and SonataFlowPlatforms in the
    namespace, to get PersistentVolumeClaims, and to create and delete Jobs. Asking Data Index needs get on
    services/proxy. With list on Events, NetworkPolicies and pods/log, failures say more.
  - An external database that no platform uses yet is asked by a Job on every run; that reports no change.
  - Nothing in a database is ever dropped, reset or overwritten; there is no option that would.
"""

EXAMPLES = r"""
- name: Prove the database on the Hub's own PostgreSQL
  rhdh.orchestrator.orchestrator_database:
    namespace: rhdh

- name: Provide a database on an external PostgreSQL, TLS verified
  rhdh.orchestrator.orchestrator_database:
    namespace: rhdh
    database:
      host: postgres.example.com
      name: orchestrator
      secret:
        name: orchestrator-database
      ca:
        config_map: postgres-ca
"""

RETURN = r"""
database:
  description: The database and what is known of it. Sizes are bytes.
  returned: success
  type: dict
  contains:
    host:
      description: Host as the services reach it.
      type: str
    port:
      description: Port.
      type: int
    name:
      description: Name of the database.
      type: str
    secret:
      description: Name of the Secret with user and password.
      type: str
    exists:
      description: Whether it exists; null if nobody can tell (check mode, O(probe=never)).
      type: bool
    proven_by:
      description: V(data_index), V(operator_job), V(job), or empty.
      type: str
    created:
      description: Whether this run created it, or would in check mode.
      type: bool
    would_create:
      description: What is missing, or may be, in check mode.
      type: list
      elements: str
    owner:
      description: Owner of the database, when a Job asked.
      type: str
    encoding:
      description: Encoding of the database, when a Job asked. Anything but UTF8 is an error.
      type: str
    tls:
      description: Whether the Job's connection was encrypted.
      type: bool
    schemas:
      description: Schemas, and whether each V(existed), was V(created), or is left to the services (V(later)).
      type: dict
    size_bytes:
      description: Size of the database, when a Job asked.
      type: int
    connections:
      description: Connections of clients to the server, when a Job asked.
      type: int
    max_connections:
      description: Connections that the server allows to this user, when a Job asked.
      type: int
    server_version:
      description: Version of PostgreSQL, when a Job asked for it.
      type: str
job:
  description: The Job that asked PostgreSQL, read before it was removed; empty where none was needed. Also in failures.
  returned: always
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    attempts:
      description: How often it was started; a second time where it was deleted before it was read.
      type: int
    exit_code:
      description: Exit code of its container.
      type: int
    log:
      description: What it said, without secrets.
      type: list
      elements: str
restarted:
  description: Pods of the services that ran without the database that was created now.
  returned: success
  type: list
  elements: str
timeline:
  description: State changes while waiting.
  returned: success
  type: list
  elements: dict
elapsed:
  description: Seconds that the module worked.
  returned: success
  type: float
requests:
  description: Number of requests by verb.
  returned: success
  type: dict
"""

import contextlib
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import job as database_job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import judge as database_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import script as job_script
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.inputs import input_problems
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.quantity import quantity
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as releases
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import products
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import ended as job_ended
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out

OPERATOR_JOB_GRACE = 20.0  # seconds that the operator's own Job gets once PostgreSQL is ready


class Work:
    """One run of the module."""

    def __init__(self, call: Call) -> None:
        self.call, self.params, self.session = call, call.params, call.session
        self.namespace: str = self.params["namespace"]
        self.given = self.params["database"]
        self.timeline: list[dict[str, t.Any]] = []
        self.image = self.params["image"] or products.POSTGRESQL_IMAGE
        self.asked: dict[str, t.Any] = {}
        wrong = self._option_problems()
        if self.given:
            wrong += database_options.problems(self.given, self.namespace)
        if wrong:
            raise InputError(wrong)
        self.database = (
            database_options.describe(self.given, self.namespace)
            if self.given
            else database_options.hub_database(self.params["hub_name"], self.namespace)
        )

    def _option_problems(self) -> list[str]:
        found = [
            f"{option}: {self.params[option]} is less than {least}."
            for option, least in (("retry_seconds", 0), ("wait_timeout", 1), ("minimum_version", 1))
            if self.params[option] < least
        ]
        found += database_options.name_problems("maintenance_database", self.params["maintenance_database"])
        if self.params["release"]:
            try:
                releases.release(self.params["release"])
            except releases.UnknownRelease as exc:
                found.append(f"release: {exc}")
        return found

    def proven(self) -> bool:
        """Tell whether a healthy Data Index works on this database already, in the way that is described now."""
        name = self.params["platform"]
        platform = self.session.get(k.SONATAFLOW_PLATFORM, name, self.namespace)
        if platform is None or not database_move.reaches(platform, self.database):
            return False
        index = platform_spec.service_name(name, "data_index")
        if rolled_out(self.session.get(k.DEPLOYMENT, index, self.namespace)).state != READY:
            return False
        if not service_answers.health(
            *self.session.service_proxy("GET", self.namespace, index, 80, service_answers.READY_PATH)
        )[0]:
            return False
        # Connections that are open prove nothing of a password that was changed since.
        secret = self.session.get(k.SECRET, self.database.secret, self.namespace)
        pods = self.session.list(k.POD, self.namespace, label_selector=f"{platform_parts.SERVICE_LABEL}={index}")
        return secret is not None and not platform_parts.stale(pods, name, "data_index", secret)

    @property
    def operator_job(self) -> str:
        """Name of the Job by which the Developer Hub operator creates the database."""
        return f"create-sonataflow-database-{self.params['hub_name']}"

    def foresee(self) -> bool | None:
        """Tell without asking PostgreSQL whether the database exists; None where nobody can tell."""
        if not self.given:
            own = self.session.get(k.JOB, self.operator_job, self.namespace)
            if job_ended(own)[0] == "complete":  # it is removed 30 seconds later
                return True
            claim = self.session.get(k.PVC, self._claim, self.namespace)
            if claim is None and self.session.get(k.STATEFUL_SET, self.database.service, self.namespace) is None:
                return False
        pods = self.session.list(k.POD, self.namespace, label_selector=platform_parts.SERVICE_LABEL)
        return False if database_move.told_missing(pods, self.database) else None

    def made_by_operator(self) -> bool:
        """Tell whether the Developer Hub operator is still to make the server, and with it the database."""
        return not self.given and self.session.get(k.STATEFUL_SET, self.database.service, self.namespace) is None

    @property
    def _claim(self) -> str:
        return f"data-{self.database.service}-0"

    def _hub(self) -> dict[str, t.Any]:
        """Return the spec of the Backstage, in whatever version it is served; empty where it cannot be read."""
        for version in releases.backstage_versions():
            try:
                found = self.session.get(k.BACKSTAGE.at(version), self.params["hub_name"], self.namespace)
            except ApiError as exc:
                if exc.forbidden:
                    break
                raise
            if found is not None:
                return t.cast("dict[str, t.Any]", found.get("spec") or {})
        return {}

    def hub_problems(self) -> list[str]:
        """Return why the Hub, as it is described, gives us no database; nothing where it does."""
        hub, release = self.params["hub_name"], self.params["release"]
        if self.given:
            taken = database_judge.deleted_by_operator(self.given, hub)
            cleans = not release or releases.release(release)["behaviour"]["cleans_by_name"]
            return taken if taken and cleans and not hub_spec.local_database(self._hub()) else []
        if self.session.get(k.STATEFUL_SET, self.database.service, self.namespace) is not None:
            return []
        spec = self._hub()
        if not hub_spec.local_database(spec):
            return [
                f"Backstage {hub} has no PostgreSQL of its own (spec.database.enableLocalDb is false): describe the "
                "one to use in database, and let sonataflow_platform (managed_by: self) make the platform for it."
            ]
        own = (spec.get("database") or {}).get("authSecretName")
        if own and self.session.get(k.SECRET, self.database.secret, self.namespace) is None:
            return [
                f"Backstage {hub} names its own Secret {own} (spec.database.authSecretName), so that the operator does "
                f"not make {self.database.secret}, which the operator's platform needs. Take authSecretName out, or "
                f"describe the database (service: {self.database.service}) and use sonataflow_platform with "
                "managed_by: self."
            ]
        return []

    def wait_for_hub(self) -> str:
        """Wait for the Hub's PostgreSQL; return who proves the database already: "operator_job" or ""."""
        name = self.operator_job
        label = f"{hub_spec.APP_LABEL}={self.database.service}"
        sources = [
            Source(k.STATEFUL_SET, self.namespace, self.database.service),
            Source(k.SECRET, self.namespace, self.database.secret),
            Source(k.JOB, self.namespace, name),
            Source(k.POD, self.namespace, label_selector=label, optional=True),
        ]
        ready_since: list[float] = []

        def judge(snapshot: Snapshot) -> dict[str, Verdict]:
            server = snapshot.get(k.STATEFUL_SET, self.database.service, self.namespace)
            secret = snapshot.get(k.SECRET, self.database.secret, self.namespace)
            verdicts = database_judge.judge_hub_server(server, secret, self.database, snapshot.list(k.POD))
            own = snapshot.get(k.JOB, name, self.namespace)
            if any(verdict.state != READY for verdict in verdicts.values()):
                ready_since.clear()
                return verdicts
            self.image = self.params["image"] or platform_parts.first_image(server) or self.image
            ready_since.append(time.monotonic())
            if own is not None and not job_ended(own)[0] and time.monotonic() - ready_since[0] < OPERATOR_JOB_GRACE:
                verdicts["operator_job"] = Verdict.pending("Running", "the Hub operator's Job is creating the database")
            return verdicts

        ended = self.call.wait(
            "the Hub's PostgreSQL",
            sources,
            judge,
            causes=lambda _ended: [self.call.cause(k.STATEFUL_SET, self.database.service, self.namespace)],
        )
        self.timeline += ended.timeline
        done = job_ended(ended.snapshot.get(k.JOB, name, self.namespace))[0] == "complete"
        return "operator_job" if done else ""

    def read_inputs(self) -> None:
        """Refuse a Secret or a CA that cannot work, and a Hub that stands in the way; all problems at once."""
        wrong = self.hub_problems()
        if self.given:
            wrong += input_problems(self.session, self.database)
        if wrong:
            raise InputError(wrong)

    def ask(self) -> dict[str, t.Any]:
        """Ask PostgreSQL by a Job and return what it found."""
        wanted = [self.database.schemas[key] for key in sorted(self.database.schemas)]
        options = {
            **self.params,
            "expected": [self.database.schema(self.params["platform"], service) for service in platform_spec.SERVICES],
            "active_seconds": int(self.call.left()) + 60,  # our own deadline comes first
        }

        def make(name: str) -> dict[str, t.Any]:
            create = self.params["create"]
            return database_job.body(self.database, name, self.image, create=create, schemas=wanted, options=options)

        check = database_job.Check(self.session, self.database, make)
        self.timeline += check.wait(self.call, self.explain).timeline
        self.asked = check.facts()
        return job_script.facts_of(check.answers)

    def warnings(self, facts: dict[str, t.Any]) -> list[str]:
        """Return what will hurt later; the Hub's volume is looked at as well."""
        claim = None if self.given else self.session.get(k.PVC, self._claim, self.namespace)
        size = (((claim or {}).get("status") or {}).get("capacity") or {}).get("storage")
        return job_script.warnings_of(facts, int(quantity(size) or 0) if size else 0)

    def explain(self, ended: Result) -> list[str]:
        """Say what the cluster knows of a refused login, or of a server that does not answer."""
        reason = ended.verdicts["connection"].reason if "connection" in ended.verdicts else ""
        if reason == "LoginRefused" and not self.given:
            claim = self.session.get(k.PVC, self._claim, self.namespace)
            return database_judge.old_volume(claim, self.session.get(k.SECRET, self.database.secret, self.namespace))
        if reason == "ServerUnreachable":
            there = database_judge.server_namespace(self.database)
            with contextlib.suppress(ApiError):  # less detail
                own = self.session.list(k.NETWORK_POLICY, self.namespace)
                return database_judge.policies_between(
                    own, self.session.list(k.NETWORK_POLICY, there) if there else [], self.database
                )
        return []

    def restart_services(self) -> list[str]:
        """Delete pods that ran without the database which is new now: they make their tables at start."""
        platform = self.session.get(k.SONATAFLOW_PLATFORM, self.params["platform"], self.namespace)
        if not database_move.uses(platform, self.database):
            return []
        services = {platform_spec.service_name(self.params["platform"], service) for service in platform_spec.SERVICES}
        deleted = []
        for pod in self.session.list(k.POD, self.namespace, label_selector=platform_parts.SERVICE_LABEL):
            metadata = pod["metadata"]
            if (metadata.get("labels") or {}).get(platform_parts.SERVICE_LABEL) in services and not metadata.get(
                "deletionTimestamp"
            ):
                self.session.delete(k.POD, metadata["name"], self.namespace, uid=metadata["uid"])
                deleted.append(metadata["name"])
        return deleted


def predict(work: Work) -> dict[str, t.Any]:
    """Say in check mode whether the database exists and what would be created. What is not known counts as missing."""
    work.read_inputs()
    exists = work.foresee()
    database, create = work.database, work.params["create"] and exists is not True
    wanted = [f"schema {database.schemas[key]}" for key in sorted(database.schemas)]
    return {
        "exists": exists,
        "proven_by": "operator_job" if exists else "",
        # Where Developer Hub is still to come, its operator makes the database along with the server.
        "created": create and not work.made_by_operator(),
        "would_create": [f"database {database.name}", *wanted] if create else [],
    }


def provide(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Find or make a proof that the database works."""
    call, probe = Call(module, session, diagnose), module.params["probe"]
    work = Work(call)
    facts: dict[str, t.Any] = {"exists": None, "proven_by": "", "created": False, "would_create": []}
    restarted: list[str] = []
    if probe != "always" and work.proven():
        facts.update(exists=True, proven_by="data_index")
    elif module.check_mode:
        facts.update(predict(work))
    else:
        work.read_inputs()
        if not work.given:
            proof = work.wait_for_hub()
            if proof and probe == "auto":
                facts.update(exists=True, proven_by=proof)
        if not facts["proven_by"] and probe != "never":
            found = work.ask()
            facts.update(found, exists=True, proven_by="job")
            for text in work.warnings(found):
                call.warn(text)
            if facts["created"]:
                restarted = work.restart_services()
    database = work.database
    shown = {"host": database.host, "port": database.port, "name": database.name, "secret": database.secret}
    call.changed = facts["created"] or "created" in facts.get("schemas", {}).values()
    return call.result(
        database={**shown, **facts},
        job=work.asked,
        restarted=restarted,
        timeline=work.timeline,
        elapsed=call.elapsed,
    )


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            namespace={"type": "str", "required": True},
            hub_name={"type": "str", "default": "developer-hub"},
            platform={"type": "str", "default": "sonataflow-platform"},
            database=database_options.database_options(),
            create={"type": "bool", "default": True},
            probe={"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
            image={"type": "str"},
            resources={"type": "dict"},
            maintenance_database={"type": "str", "default": "postgres"},
            minimum_version={"type": "int", "default": products.POSTGRESQL_MINIMUM},
            release={"type": "str"},
            retry_seconds={"type": "int", "default": 60},
            wait_timeout={"type": "int", "default": 600},
        ),
        supports_check_mode=True,
    )
    run(module, provide)


if __name__ == "__main__":
    main()
