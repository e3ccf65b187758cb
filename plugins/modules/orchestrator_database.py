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
    reference. Its answer is read into the result, then the Job is removed.
  - Where a rolled out Data Index uses the same database and says that it is healthy, that is proof enough and no Job is
    needed, so that a second run changes nothing and writes nothing.
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
  retry_seconds:
    description: How long in seconds the Job tries again while the server is not reachable.
    type: int
    default: 60
  wait_timeout:
    description: Longest time in seconds for everything.
    type: int
    default: 600
attributes:
  check_mode:
    support: partial
    details: Whether a database exists can only be told where the services or the operator's Job prove it.
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
    namespace, to create and delete Jobs, and to read pods/log. Asking Data Index needs get on services/proxy.
  - An external database that no platform uses yet is asked by a Job on every run; that reports no change.
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
      description: Whether this run created it.
      type: bool
    server_version:
      description: Version of PostgreSQL, when a Job asked for it.
      type: str
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

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _database as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _database_job as job
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _sonataflow as sf
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    diagnose,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import (
    auth_argument_spec,
    new_module,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
    run,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Result,
    Snapshot,
    Source,
    Verdict,
    rolled_out,
    wait,
)

OPERATOR_JOB_GRACE = 20.0  # seconds that the operator's own Job gets once PostgreSQL is ready


class Work:
    """One run of the module."""

    def __init__(self, module: t.Any, session: Session) -> None:
        self.params, self.session = module.params, session
        self.namespace: str = self.params["namespace"]
        self.given = self.params["database"]
        self.deadline = time.monotonic() + self.params["wait_timeout"]
        self.timeline: list[dict[str, t.Any]] = []
        self.image = self.params["image"] or job.DEFAULT_IMAGE
        if self.given:
            wrong = db.problems(self.given, self.namespace)
            if wrong:
                raise InputError(wrong)
            self.database = db.describe(self.given, self.namespace)
        else:
            self.database = db.hub_database(self.params["hub_name"], self.namespace)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(1.0, self.deadline - time.monotonic())

    def proven(self) -> bool:
        """Tell whether a healthy Data Index works on this database already."""
        platform = self.session.get(k.SONATAFLOW_PLATFORM, self.params["platform"], self.namespace)
        if platform is None or not db.uses(platform, self.database):
            return False
        name = sf.service_name(self.params["platform"], "data_index")
        if rolled_out(self.session.get(k.DEPLOYMENT, name, self.namespace)).state != READY:
            return False
        return sf.health(*self.session.service_proxy("GET", self.namespace, name, 80, sf.READY_PATH))[0]

    @property
    def operator_job(self) -> str:
        """Name of the Job by which the Developer Hub operator creates the database."""
        return f"create-sonataflow-database-{self.params['hub_name']}"

    def operator_done(self) -> bool:
        """Tell whether that Job has succeeded (it is removed 30 seconds later)."""
        return not self.given and db.finished(self.session.get(k.JOB, self.operator_job, self.namespace)) == "complete"

    def server_exists(self) -> bool:
        """Tell whether the Hub's PostgreSQL was made already."""
        return self.session.get(k.STATEFUL_SET, self.database.service, self.namespace) is not None

    def wait_for_hub(self) -> str:
        """Wait for the Hub's PostgreSQL; return who proves the database already: "operator_job" or ""."""
        name = self.operator_job
        sources = [
            Source(k.STATEFUL_SET, self.namespace, self.database.service),
            Source(k.SECRET, self.namespace, self.database.secret),
            Source(k.JOB, self.namespace, name),
        ]
        ready_since: list[float] = []

        def judge(snapshot: Snapshot) -> dict[str, Verdict]:
            server = snapshot.get(k.STATEFUL_SET, self.database.service, self.namespace)
            secret = snapshot.get(k.SECRET, self.database.secret, self.namespace)
            verdicts = db.judge_hub_server(server, secret, self.database)
            own = snapshot.get(k.JOB, name, self.namespace)
            if any(verdict.state != READY for verdict in verdicts.values()):
                ready_since.clear()
                return verdicts
            self.image = self.params["image"] or sf.first_image(server) or self.image
            ready_since.append(time.monotonic())
            if own is not None and not db.finished(own) and time.monotonic() - ready_since[0] < OPERATOR_JOB_GRACE:
                verdicts["operator_job"] = Verdict.pending("Running", "the Hub operator's Job is creating the database")
            return verdicts

        ended = wait(self.session, sources, judge, timeout=self.left)
        self.timeline += ended.timeline
        if ended.phase != READY:
            cause = diagnose(self.session, k.STATEFUL_SET, self.database.service, self.namespace)
            raise WaitFailed(ended, "the Hub's PostgreSQL", causes=[cause.text()])
        done = db.finished(ended.snapshot.get(k.JOB, name, self.namespace)) == "complete"
        return "operator_job" if done else ""

    def read_inputs(self) -> None:
        """Refuse a Secret or a CA that cannot work, all problems at once."""
        wrong = db.secret_problems(self.session.get(k.SECRET, self.database.secret, self.namespace), self.database)
        ca = self.database.ca
        if ca:
            kind = k.CONFIG_MAP if ca.kind == "config_map" else k.SECRET
            wrong += db.certificate_problems(self.session.get(kind, ca.name, self.namespace), ca, self.namespace)
        if wrong:
            raise InputError(wrong)

    def ask(self) -> dict[str, str]:
        """Ask PostgreSQL by a Job and return its answers."""
        schemas = [self.database.schemas[key] for key in sorted(self.database.schemas)]

        def make(name: str) -> dict[str, t.Any]:
            create = self.params["create"]
            return job.body(self.database, name, self.image, create=create, schemas=schemas, options=self.params)

        check = job.Check(self.session, self.database, make)
        self.timeline += check.wait(self.left, self.explain).timeline
        return check.answers

    def explain(self, ended: Result) -> list[str]:
        """Say what a refused login means where the Hub's volume is older than its Secret."""
        if self.given or ended.verdicts["connection"].reason != "LoginRefused":
            return []
        claim = self.session.get(k.PVC, f"data-{self.database.service}-0", self.namespace)
        return db.old_volume(claim, self.session.get(k.SECRET, self.database.secret, self.namespace))

    def restart_services(self) -> list[str]:
        """Delete pods that ran without the database which is new now: they make their tables at start."""
        platform = self.session.get(k.SONATAFLOW_PLATFORM, self.params["platform"], self.namespace)
        if not db.uses(platform, self.database):
            return []
        services = {sf.service_name(self.params["platform"], service) for service in sf.SERVICES}
        deleted = []
        for pod in self.session.list(k.POD, self.namespace, label_selector=sf.SERVICE_LABEL):
            metadata = pod["metadata"]
            if (metadata.get("labels") or {}).get(sf.SERVICE_LABEL) in services and not metadata.get(
                "deletionTimestamp"
            ):
                self.session.delete(k.POD, metadata["name"], self.namespace, uid=metadata["uid"])
                deleted.append(metadata["name"])
        return deleted


def provide(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Find or make a proof that the database works."""
    started, work, probe = time.monotonic(), Work(module, session), module.params["probe"]
    facts: dict[str, t.Any] = {"exists": None, "proven_by": "", "created": False}
    restarted: list[str] = []
    if probe != "always" and work.proven():
        facts.update(exists=True, proven_by="data_index")
    elif module.check_mode:
        if work.operator_done():
            facts.update(exists=True, proven_by="operator_job")
        elif work.given or work.server_exists():
            # Where Developer Hub is still to come, its operator makes the database along with the server.
            facts["created"] = module.params["create"]
    else:
        if work.given:
            work.read_inputs()
        else:
            proof = work.wait_for_hub()
            if proof and probe == "auto":
                facts.update(exists=True, proven_by=proof)
        if not facts["proven_by"] and probe != "never":
            answers = work.ask()
            facts.update(job.facts_of(answers), exists=True, proven_by="job")
            for text in job.warnings_of(answers):
                module.warn(text)
            if facts["created"]:
                restarted = work.restart_services()
    database = work.database
    shown = {"host": database.host, "port": database.port, "name": database.name, "secret": database.secret}
    return {
        "changed": facts["created"] or "created" in facts.get("schemas", {}).values(),
        "database": {**shown, **facts},
        "restarted": restarted,
        "timeline": work.timeline,
        "elapsed": round(time.monotonic() - started, 2),
    }


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            namespace={"type": "str", "required": True},
            hub_name={"type": "str", "default": "developer-hub"},
            platform={"type": "str", "default": "sonataflow-platform"},
            database=db.database_options(),
            create={"type": "bool", "default": True},
            probe={"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
            image={"type": "str"},
            resources={"type": "dict"},
            maintenance_database={"type": "str", "default": "postgres"},
            retry_seconds={"type": "int", "default": 60},
            wait_timeout={"type": "int", "default": 600},
        ),
        supports_check_mode=True,
    )
    run(module, provide)


if __name__ == "__main__":
    main()
