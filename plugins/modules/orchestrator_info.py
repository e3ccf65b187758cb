#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: orchestrator_info
short_description: Read the status tree of an Orchestrator
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Reads the state of the operators, Knative, Developer Hub, the SonataFlowPlatform and its services, and asks
    Data Index and Job Service through the API server's service proxy.
  - Changes nothing, and does not wait. An unhealthy Orchestrator is a result, not a failure of the module.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
  - rhdh.orchestrator.database
options:
  release:
    description: Release of Red Hat Developer Hub that is expected, as in the table of validated combinations.
    type: str
    default: "1.10"
  namespace:
    description: Namespace of Developer Hub and of the platform.
    type: str
    default: rhdh
  name:
    description: Name of the Backstage custom resource.
    type: str
    default: developer-hub
  probe:
    description:
      - Ask the services themselves, which needs the right to C(get) and C(create) C(services/proxy) in the namespace.
    type: bool
    default: true
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
- name: Read the status of the Orchestrator
  rhdh.orchestrator.orchestrator_info:
  register: orchestrator

- name: Show it
  ansible.builtin.debug:
    msg: "{{ orchestrator.tree }}"
"""

RETURN = r"""
status:
  description: What was found.
  returned: success
  type: dict
  contains:
    healthy:
      description: Whether every node of the tree is ready.
      type: bool
      returned: success
    problems:
      description: One line for each node that is not ready, with the way to it.
      type: list
      elements: str
      returned: success
    openshift:
      description: Version of OpenShift.
      type: str
      returned: success
    release:
      description: Release of Developer Hub that was expected.
      type: str
      returned: success
    operators:
      description: Package, namespace, CSV, version, phase and readiness of each operator.
      type: list
      elements: dict
      returned: success
    platform:
      description: Who manages the platform (V(hub) or V(self)), and where its services keep their data.
      type: dict
      returned: success
    graphql:
      description: The answer of Data Index to a query for all process definitions; null when O(probe=false).
      type: dict
      returned: success
    tree:
      description: Nodes with title, state (V(ready), V(not ready) or V(absent)), detail and children.
      type: dict
      returned: success
tree:
  description: The tree as lines for a person to read.
  returned: success
  type: list
  elements: str
requests:
  description: Number of requests by verb.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.lookup import release
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.table import DEFAULT_RELEASE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import status as report_status
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import tree
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run


def read(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Read, judge and render."""
    wanted = release(module.params["release"])
    namespace, name, given = module.params["namespace"], module.params["name"], module.params["database"]
    wrong = db.problems(given, namespace) if given else []
    if wrong:
        raise InputError(wrong)
    database = db.describe(given, namespace) if given else None
    facts = report_status.collect(session, wanted, namespace, name, probe=module.params["probe"])
    status = report_status.judge(facts, wanted, namespace, name, database)
    return {"changed": False, "status": status, "tree": tree.render(status["tree"])}


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            release={"type": "str", "default": DEFAULT_RELEASE},
            namespace={"type": "str", "default": "rhdh"},
            name={"type": "str", "default": "developer-hub"},
            database=db.database_options(),
            probe={"type": "bool", "default": True},
        ),
        supports_check_mode=True,
    )
    run(module, read)


if __name__ == "__main__":
    main()
