#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: knative
short_description: Install Knative Serving and Knative Eventing of OpenShift Serverless
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Creates KnativeServing and KnativeEventing in the only places where the product accepts them, and waits until both
    are ready and the webhook that admits Brokers, Triggers and SinkBindings answers.
  - One that this collection did not create is adopted as it is. It is waited for, and never changed.
  - With O(state=absent) it removes those that this collection created, after looking for objects that still need them.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  serving:
    description: KnativeServing, named C(knative-serving) in the namespace C(knative-serving).
    type: dict
    suboptions:
      enabled:
        description: Whether this call treats it at all.
        type: bool
        default: true
      spec:
        description: Fields of its spec that this collection shall own. The product's defaults are right for most.
        type: dict
  eventing:
    description: KnativeEventing, named C(knative-eventing) in the namespace C(knative-eventing).
    type: dict
    suboptions:
      enabled:
        description: Whether this call treats it at all.
        type: bool
        default: true
      spec:
        description: Fields of its spec that this collection shall own. The product's defaults are right for most.
        type: dict
  state:
    description:
      - Whether both shall exist.
      - With V(ready) nothing is written; the module only waits for what exists. In check mode it does not wait.
    type: str
    choices:
      - present
      - ready
      - absent
    default: present
  delete_adopted:
    description: With O(state=absent), remove also what this collection did not create.
    type: bool
    default: false
  wait:
    description: Wait until both are ready, or gone.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds for the whole call.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
notes:
  - Needs the rights to list C(knativeservings) and C(knativeeventings) in all namespaces, to patch, create and delete
    them in their namespaces, to get and create namespaces, and to get Deployments in C(knative-eventing).
"""

EXAMPLES = r"""
- name: Install Knative Serving and Eventing
  rhdh.orchestrator.knative:

- name: Only Eventing, with one replica per Deployment
  rhdh.orchestrator.knative:
    serving:
      enabled: false
    eventing:
      spec:
        high-availability:
          replicas: 1

- name: Remove what this collection installed
  rhdh.orchestrator.knative:
    state: absent
"""

RETURN = r"""
components:
  description: What was found and done, for each of the two that was treated.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the object and of its namespace.
      type: str
    kind:
      description: Kind of the object.
      type: str
    action:
      description: What was, or in check mode would be, done. One of none, created, patched, adopted, deleted, kept.
      type: str
    ready:
      description: Whether it was ready at the end. Missing when the module did not look.
      type: bool
    version:
      description: Version of Knative that its status tells.
      type: str
namespaces_created:
  description: Namespaces that were, or in check mode would be, created.
  returned: success
  type: list
  elements: str
leftovers:
  description: What a removal left on purpose, because it may hold other people's objects.
  returned: state is absent
  type: list
  elements: str
elapsed:
  description: Seconds spent waiting.
  returned: when the module waited
  type: float
timeline:
  description: State changes while waiting.
  returned: when the module waited
  type: list
  elements: dict
diff:
  description: The objects before and after.
  returned: in diff mode
  type: list
  elements: dict
requests:
  description: Number of requests by verb.
  returned: always
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative.flow import reconcile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run


def knative(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Create, complete, wait for or remove the components."""
    return reconcile(Call(module, session, diagnose))


def main() -> None:
    component = {
        "type": "dict",
        "options": {"enabled": {"type": "bool", "default": True}, "spec": {"type": "dict"}},
    }
    module = new_module(
        argument_spec=auth_argument_spec(
            serving=component,
            eventing=component,
            state={"type": "str", "choices": ["present", "ready", "absent"], "default": "present"},
            delete_adopted={"type": "bool", "default": False},
            wait={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 600},
        ),
        supports_check_mode=True,
    )
    run(module, knative)


if __name__ == "__main__":
    main()
