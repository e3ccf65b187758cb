#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: operator_restart
short_description: Restart an operator that started before APIs which it looks for only at its start
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Some operators decide once, when their manager starts, which APIs they watch. The Serverless Logic operator does
    so for Knative Eventing. One that was there first works, but misses changes until it is restarted.
  - Deletes those pods of the operator that started before one of the given APIs was served, and waits until the
    operator is available. Deletes nothing where no pod is that old. An API that is not served cannot be missed.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  package:
    description: Package of the operator; its Subscription is found in any namespace.
    type: str
    required: true
  apis:
    description: Names of the CustomResourceDefinitions that the operator looks for.
    type: list
    elements: str
    required: true
  apis_expected:
    description:
      - Whether APIs that are not served yet will be, because the same run creates what brings them. Only for the
        prediction in check mode.
    type: bool
    default: false
  wait:
    description:
      - Wait until the operator is available, also when this call has deleted no pod.
      - Without it a later call can wait, so that other work is done meanwhile.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds until the operator is available.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
- name: Let the Serverless Logic operator see Knative Eventing
  rhdh.orchestrator.operator_restart:
    package: logic-operator
    apis:
      - brokers.eventing.knative.dev
      - triggers.eventing.knative.dev
"""

RETURN = r"""
restarted:
  description: Names of the pods that were, or in check mode would be, deleted.
  returned: success
  type: list
  elements: str
elapsed:
  description: Seconds until the operator was available.
  returned: when it was waited for
  type: float
timeline:
  description: State changes while waiting.
  returned: when it was waited for
  type: list
  elements: dict
requests:
  description: Number of requests by verb.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import outdated
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out


def restart(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Delete the pods that are too old and wait for their successors."""
    package = module.params["package"]
    crds = [session.get(k.CRD, api) for api in module.params["apis"]]
    to_come = module.check_mode and module.params["apis_expected"] and not all(map(outdated.established_at, crds))
    found = olm_csv.installed_by(session.list(k.SUBSCRIPTION), package)
    csv = session.get(k.CSV, found[1], found[0]) if found else None
    if found is None or csv is None:
        return {"changed": to_come, "restarted": []}
    namespace = found[0]
    names = olm_csv.deployments_of(csv)
    owned = outdated.pods_of(session.list(k.POD, namespace), names)
    old = owned if to_come else outdated.outdated(owned, crds)
    call = Call(module, session, diagnose)
    call.changed = bool(old)
    result = call.result(restarted=[pod["metadata"]["name"] for pod in old])
    if module.check_mode:
        return result
    for pod in old:
        session.delete(k.POD, pod["metadata"]["name"], namespace, uid=pod["metadata"]["uid"])
    stopping = [pod for pod in owned if pod in old or pod["metadata"].get("deletionTimestamp")]
    if not module.params["wait"] or not (stopping or _missing(session, namespace, names)):
        return result
    gone = {pod["metadata"]["uid"] for pod in stopping}

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        left = [pod for pod in snapshot.list(k.POD, namespace) if pod["metadata"]["uid"] in gone]
        if left:
            return {package: Verdict.pending("Stopping", f"{len(left)} old pod(s) still stopping")}
        return {name: rolled_out(snapshot.get(k.DEPLOYMENT, name, namespace)) for name in names}

    sources = [Source(k.POD, namespace), Source(k.DEPLOYMENT, namespace)]
    ended = call.wait(f"operator {package} to be available after its restart", sources, judge)
    return {**result, "elapsed": round(ended.elapsed, 2), "timeline": ended.timeline}


def _missing(session: Session, namespace: str, names: t.Iterable[str]) -> list[str]:
    """Return those of the Deployments that are not available as wanted; a call before may have restarted them."""
    found = {item["metadata"]["name"]: item for item in session.list(k.DEPLOYMENT, namespace)}
    return [name for name in names if rolled_out(found.get(name)).state != READY]


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            package={"type": "str", "required": True},
            apis={"type": "list", "elements": "str", "required": True},
            apis_expected={"type": "bool", "default": False},
            wait={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 300},
        ),
        supports_check_mode=True,
    )
    run(module, restart)


if __name__ == "__main__":
    main()
