#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: olm_operator_info
short_description: Tell which operators OLM has installed, and what the catalogs offer for them
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Reads Subscriptions, their ClusterServiceVersions and Deployments, and tells for each operator whether it really
    runs, whether an InstallPlan waits for approval, and, on request, what its catalog offers.
  - Changes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  packages:
    description: Only operators of these packages; all if not given. A package without Subscription is reported as such.
    type: list
    elements: str
    default: []
  namespace:
    description: Only operators whose Subscription is in this namespace.
    type: str
  available:
    description: Also read from the catalog which channels and versions there are. The packages must be named.
    type: bool
    default: false
  catalog:
    description: Name of the CatalogSource, for packages that have no Subscription.
    type: str
    default: redhat-operators
  catalog_namespace:
    description: Namespace of the CatalogSource, for packages that have no Subscription.
    type: str
    default: openshift-marketplace
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
notes:
  - Needs to list Subscriptions and to read ClusterServiceVersions, InstallPlans and Deployments of their namespaces,
    and PackageManifests for O(available=true).
"""

EXAMPLES = r"""
- name: What is installed of the Orchestrator's operators, and what is on offer?
  rhdh.orchestrator.olm_operator_info:
    packages:
      - serverless-operator
      - logic-operator
      - rhdh
    available: true
  register: operators
"""

RETURN = r"""
operators:
  description: One entry an operator.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Package.
      type: str
    namespace:
      description: Namespace of its Subscription; null when it has none.
      type: str
    subscription:
      description: Name of its Subscription; null when it has none.
      type: str
    created_by_us:
      description: Whether this collection created the Subscription.
      type: bool
    channel:
      description: Channel.
      type: str
    approval:
      description: Approval of InstallPlans.
      type: str
    catalog:
      description: Name of its CatalogSource.
      type: str
    catalog_namespace:
      description: Namespace of that CatalogSource.
      type: str
    csv:
      description: The installed ClusterServiceVersion; null when none is.
      type: str
    version:
      description: Its version.
      type: str
    phase:
      description: Phase of the ClusterServiceVersion.
      type: str
    running:
      description: Whether it has Succeeded and all its Deployments are available.
      type: bool
    deployments:
      description: Whether each of its Deployments is available, by name.
      type: dict
    pending_plan:
      description: The InstallPlan that waits for approval; null when none does.
      type: str
    pending_csvs:
      description: What that plan would install.
      type: list
      elements: str
    conditions:
      description: Reasons of the Subscription's conditions that are true. OLM leaves stale ones behind.
      type: dict
    available:
      description: Versions by channel, newest first; with O(available=true) only.
      type: dict
requests:
  description: Number of requests by verb.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.info import channels, describe
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted, find_manifest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run


def info(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Read and tell."""
    params = module.params
    packages = params["packages"]
    if params["available"] and not packages:
        raise InputError(["available: name the packages; a whole catalog is many megabytes."])
    subscriptions = session.list(k.SUBSCRIPTION, params["namespace"])
    found = [s for s in subscriptions if not packages or s["spec"]["name"] in packages]
    operators = [_read(session, subscription) for subscription in found]
    known = {operator["name"] for operator in operators}
    operators += [describe(package) for package in packages if package not in known]
    if params["available"]:
        for operator in operators:
            operator["available"] = _available(session, operator, params)
    return {"changed": False, "operators": operators}


def _read(session: Session, subscription: Object) -> dict[str, t.Any]:
    namespace, status = subscription["metadata"]["namespace"], subscription.get("status") or {}
    name, ref = status.get("installedCSV"), (status.get("installPlanRef") or {}).get("name")
    csv = session.get(k.CSV, name, namespace) if name else None
    pending = ref and status.get("state") == "UpgradePending"
    plan = session.get(k.INSTALL_PLAN, ref, namespace) if pending else None
    deployments = session.list(k.DEPLOYMENT, namespace) if csv else []
    return describe(subscription["spec"]["name"], subscription, csv, plan, deployments)


def _available(session: Session, operator: dict[str, t.Any], params: dict[str, t.Any]) -> dict[str, list[str]]:
    catalog = operator["catalog"] or params["catalog"]
    home = operator["catalog_namespace"] or params["catalog_namespace"]
    selectors = {"label_selector": f"catalog={catalog}", "field_selector": f"metadata.name={operator['name']}"}
    wanted = Wanted(operator["name"], home, catalog=catalog, catalog_namespace=home)
    return channels(find_manifest(session.list(k.PACKAGE_MANIFEST, home, **selectors), wanted))


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            packages={"type": "list", "elements": "str", "default": []},
            namespace={"type": "str"},
            available={"type": "bool", "default": False},
            catalog={"type": "str", "default": "redhat-operators"},
            catalog_namespace={"type": "str", "default": "openshift-marketplace"},
        ),
        supports_check_mode=True,
    )
    run(module, info)


if __name__ == "__main__":
    main()
