#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: orchestrator_plan
short_description: Tell what an install of the Orchestrator would meet on a cluster
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Reads the cluster and tells the versions of the release's validated row, what exists and would be adopted, what
    would be created, and everything that stands in the way.
  - Changes nothing. The only requests besides reads are SelfSubjectAccessReviews.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
  - rhdh.orchestrator.database
options:
  release:
    description: Release of Red Hat Developer Hub, as in the table of validated combinations.
    type: str
    default: "1.10"
  namespace:
    description: Namespace of Developer Hub.
    type: str
    default: rhdh
  name:
    description: Name of the Backstage custom resource.
    type: str
    default: developer-hub
  catalog:
    description: CatalogSource that serves the operators.
    type: str
    default: redhat-operators
  catalog_namespace:
    description: Namespace of that CatalogSource.
    type: str
    default: openshift-marketplace
  allow_unvalidated:
    description: Report a combination of versions that was not validated as a warning instead of as a block.
    type: bool
    default: false
  leave_unfinished:
    description:
      - Whether the services of a platform may move to O(database) although workflow instances have not ended. Their
        timers and states stay behind then.
    type: bool
    default: false
  refuse:
    description: Fail, with one message that names every block, when there is any.
    type: bool
    default: false
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
- name: See what an install would do
  rhdh.orchestrator.orchestrator_plan:
    release: "1.10"
  register: plan

- name: Refuse a cluster that cannot take it
  rhdh.orchestrator.orchestrator_plan:
    refuse: true
"""

RETURN = r"""
plan:
  description: What was found.
  returned: always
  type: dict
  contains:
    release:
      description: Release of Developer Hub.
      type: str
      returned: always
    openshift:
      description: Version of OpenShift, or null when the cluster does not say.
      type: str
      returned: always
    versions:
      description: Validated version by package.
      type: dict
      returned: always
    adopted:
      description: What exists and would be used as it is.
      type: list
      elements: str
      returned: always
    created:
      description: What would be created.
      type: list
      elements: str
      returned: always
    blocks:
      description: Everything that stands in the way, each with what to do.
      type: list
      elements: str
      returned: always
    warnings:
      description: What an override let pass.
      type: list
      elements: str
      returned: always
requests:
  description: Number of requests by verb.
  returned: always
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.lookup import release
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.table import DEFAULT_RELEASE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import plan as report_plan
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run


def look(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Read, judge, and refuse when asked to."""
    params = module.params
    wanted = release(params["release"])
    facts = report_plan.collect(
        session,
        wanted,
        params["namespace"],
        params["catalog"],
        params["catalog_namespace"],
        params["database"],
        leave_unfinished=params["leave_unfinished"],
    )
    plan = report_plan.judge(
        facts,
        wanted,
        params["namespace"],
        params["name"],
        params["catalog"],
        allow_unvalidated=params["allow_unvalidated"],
        database=params["database"],
    )
    for warning in plan["warnings"]:
        module.warn(warning)
    if params["refuse"] and plan["blocks"]:
        reasons = "\n".join(f"- {block}" for block in plan["blocks"])
        module.fail_json(
            msg=f"Nothing was changed. The Orchestrator cannot be installed here:\n{reasons}",
            plan=plan,
            requests=dict(session.requests),
        )
    return {"changed": False, "plan": plan}


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            release={"type": "str", "default": DEFAULT_RELEASE},
            namespace={"type": "str", "default": "rhdh"},
            name={"type": "str", "default": "developer-hub"},
            catalog={"type": "str", "default": "redhat-operators"},
            catalog_namespace={"type": "str", "default": "openshift-marketplace"},
            allow_unvalidated={"type": "bool", "default": False},
            database=db.database_options(),
            leave_unfinished={"type": "bool", "default": False},
            refuse={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    run(module, look)


if __name__ == "__main__":
    main()
