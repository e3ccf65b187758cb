#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: olm_operator
short_description: Install, adopt, pin, upgrade or remove operators through OLM, several side by side
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Installs, updates or removes a list of operators in one call. Everything is read and resolved from the catalog
    first; all problems are reported at once, before anything is written. Then all operators are written, and one wait
    covers all.
  - An operator is installed when its own ClusterServiceVersion has stayed Succeeded, its Deployments are available,
    the Subscription agrees, and its CustomResourceDefinitions are served.
  - An operator that this collection did not install, in whatever namespace and under whatever name of its
    Subscription, is used as it is. An OperatorGroup that is there is used whatever its name.
  - With O(operators[].approval=Manual) only the InstallPlan that the Subscription refers to is approved, and only when
    it holds the wanted version, or a step on the way to it, and nothing of others.
  - A plan of an upgrade is not approved when one of its CustomResourceDefinitions drops a version that is among the
    stored versions of the live one. OLM would stop the upgrade half-way.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  operators:
    description: The operators.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the package in the catalog.
        type: str
        required: true
      namespace:
        description: Namespace for the Subscription; created when it is missing.
        type: str
        required: true
      channel:
        description: Channel; the package's default channel if not given.
        type: str
      csv:
        description: Exact name of the wanted ClusterServiceVersion.
        type: str
      version:
        description: Exact wanted version, such as V(1.38.1) or V(3.2.0-16).
        type: str
      version_range:
        description:
          - The newest version of the channel within this range is wanted, such as V(>=1.37.0 <1.39.0).
          - A build suffix counts as a pre-release, as for OLM.
        type: str
      approval:
        description:
          - Approval of InstallPlans. With V(Manual) this module approves, and the version stays.
          - Without a wanted version, V(Manual) installs the newest version of the channel once and keeps what is
            installed from then on.
          - A wanted version together with V(Automatic) is refused, since OLM would not keep it.
        type: str
        choices: [Manual, Automatic]
        default: Manual
      catalog:
        description: Name of the CatalogSource.
        type: str
        default: redhat-operators
      catalog_namespace:
        description: Namespace of the CatalogSource.
        type: str
        default: openshift-marketplace
      operator_group:
        description: The OperatorGroup to create when the namespace has none.
        type: dict
        suboptions:
          name:
            description: Its name; by default that of the namespace.
            type: str
          target_namespaces:
            description:
              - Namespaces that the operator watches; all, if the operator supports that. An empty list means all.
              - An operator that is there already is refused when it does not watch them.
            type: list
            elements: str
      watches:
        description:
          - Namespaces that the operator must watch, whoever installed it; one that watches others only is refused.
          - Without this and C(operator_group.target_namespaces), an operator that is found in another namespace than
            O(operators[].namespace) must watch what it would watch there, which is all namespaces if it supports that.
        type: list
        elements: str
        default: []
      config:
        description: The Subscription's C(config), such as C(env) or C(resources).
        type: dict
      allow_collateral:
        description: ClusterServiceVersions of other operators that an InstallPlan may bring along.
        type: list
        elements: str
        default: []
  state:
    description: Whether the operators are to be installed or removed.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Wait until the operators run, or are gone. Without waiting no InstallPlan is approved.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds for the whole call.
    type: int
    default: 1800
  manage_adopted:
    description: With O(state=present), also change, and approve for, operators that this collection did not install.
    type: bool
    default: false
  delete_adopted:
    description: With O(state=absent), also remove operators that this collection did not install.
    type: bool
    default: false
  replace_orphan:
    description:
      - Delete a ClusterServiceVersion of a wanted package that has no Subscription, so that it can be installed again.
        OLM never adopts such a one. CustomResourceDefinitions and their objects stay.
    type: bool
    default: false
  reset_failed_plan:
    description: Restart a Failed InstallPlan, after its cause was fixed.
    type: bool
    default: false
  recreate_dead_subscription:
    description:
      - Delete and create again a Subscription whose InstallPlan is done but whose ClusterServiceVersion is missing
        (also when a later version is offered meanwhile), or whose failed InstallPlan was deleted. OLM never
        goes on with such a one.
      - In the second case both ClusterServiceVersions of the upgrade that failed are deleted as well, so that the
        operator does not run for a moment. CustomResourceDefinitions and their objects stay.
    type: bool
    default: false
  ignore_custom_resources:
    description: With O(state=absent), remove an operator although objects of its APIs exist.
    type: bool
    default: false
  delete_crds:
    description:
      - With O(state=absent), delete the operator's CustomResourceDefinitions as well, and with them all their objects.
    type: bool
    default: false
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
  - Needs to list and watch Subscriptions, OperatorGroups and CatalogSources in all namespaces, to list PackageManifests
    in the catalog's; to get, list and watch InstallPlans, ClusterServiceVersions and Deployments in the operators'
    namespaces; to create and patch Namespaces, OperatorGroups and Subscriptions, and to patch InstallPlans. Missing
    rights are reported all at once, with the smallest roles that grant them.
"""

EXAMPLES = r"""
- name: Install two operators in exactly these versions
  rhdh.orchestrator.olm_operator:
    operators:
      - name: serverless-operator
        namespace: openshift-serverless
        channel: stable-1.37
        version: 1.37.1
      - name: logic-operator
        namespace: openshift-serverless-logic
        channel: stable
        version_range: ">=1.38.0 <1.39.0"

- name: Install the newest version and let OLM keep it new
  rhdh.orchestrator.olm_operator:
    operators:
      - name: rhdh
        namespace: rhdh-operator
        channel: fast
        approval: Automatic

- name: Remove an operator and keep its CustomResourceDefinitions
  rhdh.orchestrator.olm_operator:
    operators:
      - name: rhdh
        namespace: rhdh-operator
    state: absent
"""

RETURN = r"""
operators:
  description: What was found, done and reached, one entry an operator, in the order given.
  returned: always, unless the input was refused
  type: list
  elements: dict
  contains:
    name:
      description: Package.
      type: str
    namespace:
      description: Namespace of its Subscription, which may be another one than asked for when it was adopted.
      type: str
    channel:
      description: Channel.
      type: str
    csv:
      description: The ClusterServiceVersion that is installed, or in check mode would be.
      type: str
    version:
      description: Its version.
      type: str
    subscription:
      description: Name of the Subscription.
      type: str
    operator_group:
      description: Name of the OperatorGroup.
      type: str
    action:
      description: One of C(created), C(adopted), C(updated), C(none), C(removed), C(kept), C(absent).
      type: str
    steps:
      description: ClusterServiceVersions still to be installed, in order, as far as the catalog tells.
      type: list
      elements: str
    plans_approved:
      description: InstallPlans that this call approved.
      type: list
      elements: str
    upgrades_included:
      description: ClusterServiceVersions of other packages in the approved plans (dependencies, allowed collateral).
      type: list
      elements: str
    crds:
      description: CustomResourceDefinitions that the operator owns.
      type: list
      elements: str
    removed:
      description: What this call removed, with O(state=absent).
      type: list
      elements: str
    leftovers:
      description: What OLM leaves behind, after a removal.
      type: list
      elements: str
    warnings:
      description: What is worth knowing, such as a deprecation.
      type: list
      elements: str
roles:
  description: The smallest ClusterRole and Roles that grant the missing rights.
  returned: when rights are missing
  type: list
  elements: dict
timeline:
  description: State changes while waiting.
  returned: always
  type: list
  elements: dict
elapsed:
  description: Seconds of the whole call.
  returned: success
  type: float
requests:
  description: Number of requests by verb.
  returned: always
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import Options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.remove import Removal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.run import Run
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run

FLAGS = ("manage_adopted", "replace_orphan", "reset_failed_plan", "recreate_dead_subscription")
REMOVAL_FLAGS = ("delete_adopted", "ignore_custom_resources", "delete_crds")


def operators(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Install, update or remove the operators."""
    params, call = module.params, Call(module, session, diagnose)
    wanted = [Wanted.from_option(option) for option in params["operators"]]
    if params["state"] == "absent":
        return Removal(call, wanted, wait=params["wait"], **{name: params[name] for name in REMOVAL_FLAGS}).absent()
    options = Options(params["wait"], **{name: params[name] for name in FLAGS})
    return Run(call, wanted, options).present()


def main() -> None:
    operator = {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "channel": {"type": "str"},
        "csv": {"type": "str"},
        "version": {"type": "str"},
        "version_range": {"type": "str"},
        "approval": {"type": "str", "choices": ["Manual", "Automatic"], "default": "Manual"},
        "catalog": {"type": "str", "default": "redhat-operators"},
        "catalog_namespace": {"type": "str", "default": "openshift-marketplace"},
        "operator_group": {
            "type": "dict",
            "options": {"name": {"type": "str"}, "target_namespaces": {"type": "list", "elements": "str"}},
        },
        "watches": {"type": "list", "elements": "str", "default": []},
        "config": {"type": "dict"},
        "allow_collateral": {"type": "list", "elements": "str", "default": []},
    }
    module = new_module(
        argument_spec=auth_argument_spec(
            operators={"type": "list", "elements": "dict", "required": True, "options": operator},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            wait={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 1800},
            **{name: {"type": "bool", "default": False} for name in (*FLAGS, *REMOVAL_FLAGS)},
        ),
        supports_check_mode=True,
    )
    run(module, operators)


if __name__ == "__main__":
    main()
