#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_wait
short_description: Wait for several Kubernetes objects at once, and report why when it is not reached
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Waits until all targets are as wanted; driven by watches, with one deadline over all of them.
  - Ends as soon as a target can no longer get there (a Job that failed, an operator in the wrong OperatorGroup), and
    names the deepest cause that the cluster knows.
  - Objects that are being deleted are never ready. A status of an older generation does not count.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  targets:
    description: What to wait for. All of it must hold at the same time.
    type: list
    elements: dict
    required: true
    suboptions:
      api_version:
        description: API group and version, such as V(apps/v1).
        type: str
        required: true
      kind:
        description: Kind.
        type: str
        required: true
      name:
        description: Name; without it all objects of the kind, or those that O(targets[].label_selector) selects.
        type: str
      namespace:
        description: Namespace; without it all namespaces.
        type: str
      label_selector:
        description: Labels that select the objects.
        type: str
      check:
        description:
          - V(exists) and V(absent) look at nothing else.
          - V(condition) needs O(targets[].conditions), V(field) needs O(targets[].field).
          - V(csv) is an operator's own ClusterServiceVersion that has Succeeded and whose Deployments are available.
          - V(job) is a Job that is complete. V(rollout) is a Deployment, StatefulSet or DaemonSet that is rolled out in
            its current generation, with at least one replica.
        type: str
        choices: [exists, absent, condition, field, csv, job, rollout]
        default: exists
      conditions:
        description: Conditions that must all hold.
        type: list
        elements: dict
        suboptions:
          type:
            description: Type of the condition.
            type: str
            required: true
          status:
            description: Its wanted status.
            type: str
            choices: ['True', 'False', Unknown]
            default: 'True'
          reason:
            description: Its wanted reason; any if not given.
            type: str
      failed_conditions:
        description:
          - Conditions that end the wait as failed at once, such as C(Failed=True) of a resource that is never retried.
          - What is wanted is tested first. Not for O(targets[].check=absent).
        type: list
        elements: dict
        suboptions:
          type:
            description: Type of the condition.
            type: str
            required: true
          status:
            description: Its status.
            type: str
            choices: ['True', 'False', Unknown]
            default: 'True'
          reason:
            description: Its reason; any if not given.
            type: str
          grace:
            description: Seconds that it must last, for conditions that may heal.
            type: int
            default: 0
      field:
        description: Path of a field, such as V(status.phase), V(status.items[0].name) or V(metadata.labels["a.b/c"]).
        type: str
      comparison:
        description:
          - How the field is compared with O(targets[].value). Order is that of numbers and of quantities, such as
            V(500m) or V(2Gi); text is equal only to the same text.
          - V(in) takes a list, or text separated by commas; V(matches) takes a regular expression.
        type: str
        choices: [eq, ne, gt, ge, lt, le, in, matches, exists, absent]
        default: eq
      value:
        description: Value that the field is compared with.
        type: raw
      at_least:
        description: How many objects must be there, and all of them as wanted.
        type: int
        default: 1
      stable_for:
        description: Seconds that the target must stay as wanted.
        type: int
        default: 0
      generation_aware:
        description: Whether C(status.observedGeneration), where there is one, must be current.
        type: bool
        default: true
  fail_fast:
    description:
      - Whether to end as soon as a target can no longer get there, after the time in which its state may still heal
        (see docs/terminal-states.md). Otherwise only readiness or the timeout ends the wait.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    details: Looks once and answers without waiting.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
notes:
  - Needs to list and watch the targets' kinds; with list alone it polls, and without it ends within seconds. Reads for
    the cause (pods, events, logs) that are refused make the message less detailed and never fail the wait.
  - While the API server does not answer (an upgrade, a restart) nothing is concluded from what it said before.
"""

EXAMPLES = r"""
- name: Wait for a database and its Job at once
  rhdh.orchestrator.k8s_wait:
    targets:
      - api_version: apps/v1
        kind: StatefulSet
        name: postgresql
        namespace: rhdh
        check: rollout
      - api_version: batch/v1
        kind: Job
        name: create-database
        namespace: rhdh
        check: job
    wait_timeout: 300

- name: Wait until a claim is bound
  rhdh.orchestrator.k8s_wait:
    targets:
      - api_version: v1
        kind: PersistentVolumeClaim
        name: data
        namespace: rhdh
        check: field
        field: status.phase
        value: Bound

- name: Wait until a platform is ready and no longer duplicated
  rhdh.orchestrator.k8s_wait:
    targets:
      - api_version: sonataflow.org/v1alpha08
        kind: SonataFlowPlatform
        name: sonataflow-platform
        namespace: rhdh
        check: condition
        conditions:
          - type: Succeed

- name: Wait for a resource that says when it has failed
  rhdh.orchestrator.k8s_wait:
    targets:
      - api_version: cert-manager.io/v1
        kind: Certificate
        name: web
        namespace: shop
        check: condition
        conditions:
          - type: Ready
        failed_conditions:
          - type: Issuing
            status: 'False'
            reason: Failed
            grace: 30
"""

RETURN = r"""
ready:
  description: Whether all targets are as wanted. Always true, except in check mode.
  returned: success
  type: bool
targets:
  description: State (C(ready), C(pending) or C(failed)), reason and message of each target, by its description.
  returned: success
  type: dict
objects:
  description: The selected objects as last seen, without managed fields; values of Secrets are left out.
  returned: success
  type: list
  elements: dict
elapsed:
  description: Seconds waited.
  returned: success
  type: float
timeline:
  description: State changes while waiting.
  returned: success
  type: list
  elements: dict
requests:
  description: Number of requests by verb.
  returned: always
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.target import CHECKS, COMPARISONS, Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.wait import wait_for


def k8s_wait(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Wait for the targets."""
    targets = [Target.from_option(option) for option in module.params["targets"]]
    return wait_for(Call(module, session, diagnose), targets, module.params["fail_fast"])


def main() -> None:
    condition = {
        "type": {"type": "str", "required": True},
        "status": {"type": "str", "choices": ["True", "False", "Unknown"], "default": "True"},
        "reason": {"type": "str"},
    }
    failed = {**condition, "grace": {"type": "int", "default": 0}}
    target = {
        "api_version": {"type": "str", "required": True},
        "kind": {"type": "str", "required": True},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selector": {"type": "str"},
        "check": {"type": "str", "choices": list(CHECKS), "default": "exists"},
        "conditions": {"type": "list", "elements": "dict", "options": condition},
        "failed_conditions": {"type": "list", "elements": "dict", "options": failed},
        "field": {"type": "str"},
        "comparison": {"type": "str", "choices": list(COMPARISONS), "default": "eq"},
        "value": {"type": "raw"},
        "at_least": {"type": "int", "default": 1},
        "stable_for": {"type": "int", "default": 0},
        "generation_aware": {"type": "bool", "default": True},
    }
    module = new_module(
        argument_spec=auth_argument_spec(
            targets={"type": "list", "elements": "dict", "required": True, "options": target},
            fail_fast={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 600},
        ),
        supports_check_mode=True,
    )
    run(module, k8s_wait)


if __name__ == "__main__":
    main()
