#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: developer_hub
short_description: Run Red Hat Developer Hub with the Orchestrator
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Creates a Backstage whose plugins include the Orchestrator, in the way that its release needs - a flavour, or
    entries in a plugin ConfigMap - and waits until the operator has acted on it, the Hub is rolled out, its
    database is ready, and the platform for workflows exists and belongs to it.
  - An existing Backstage is completed, not replaced. Entries, fields and comments of others stay as they are.
  - All problems that prevent the work are reported in one message, before the first change.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
options:
  name:
    description: Name of the Backstage.
    type: str
    default: developer-hub
  namespace:
    description: Its namespace. Created when it does not exist.
    type: str
    default: rhdh
  release:
    description:
      - Release of Developer Hub. It decides API version, plugins and what is known of the operator's ways.
      - Write it as a string; C(1.10) without quotes is the number 1.1.
    type: str
    default: "1.10"
  orchestrator:
    description: The Orchestrator in this Developer Hub.
    type: dict
    default: {}
    suboptions:
      enabled:
        description:
          - Whether its plugins are enabled.
          - The operator removes nothing when they are disabled later; RV(leftovers) names what stays.
        type: bool
        default: true
      platform:
        description:
          - Who makes the platform for workflows.
          - V(hub) is the Developer Hub operator, on the Hub's own PostgreSQL, because the backend plugin depends on it.
          - With V(self) this dependency is cleared in the plugin ConfigMap, in the form of the release, so that
            M(rhdh.orchestrator.sonataflow_platform) can make a platform with another database. A platform that the
            operator has made is taken out of its ownership once the operator has acted on that, and runs on.
          - Without a value it stays as the plugin ConfigMap says.
        type: str
        choices: [hub, self]
  lightspeed:
    description:
      - Whether the flavour lightspeed is enabled, on releases that have it. It brings more images and containers.
      - Without a value it stays as it is, which on a new Backstage is the default of the product.
    type: bool
  replicas:
    description: Number of pods of the Hub. Without a value it is left alone.
    type: int
  spec:
    description:
      - Further fields of the spec of the Backstage that this collection shall own.
      - A ConfigMap named in C(application.dynamicPluginsConfigMapName) gets the Orchestrator's entries that the
        release needs, and loses those that it cannot load or would load twice, whatever form they have. All else in its
        text stays byte for byte, comments, blank lines and commented-out entries included. Only a comment within the
        lines of a removed entry goes with it.
      - The own C(pluginConfig) of such an entry stays, in the entry of the release for the same plugin, and so do
        dependencies that differ from those of the release. A warning names a C(pluginConfig) that was kept so, or that
        could not be kept.
      - Enabled entries that look like the Orchestrator and will be loaded twice, also those in
        C(application.dynamicPlugins), are left alone and named in a warning.
      - A text that this module cannot edit is refused with the line, before any change and in check mode as well.
        Such are several documents, a list of plugins that is an alias or comes from a merge key, an entry whose anchor
        is used elsewhere, and what PyYAML cannot read.
    type: dict
    default: {}
  force_conflicts:
    description: Take over fields of the Backstage that another field manager owns and that differ.
    type: bool
    default: false
  state:
    description:
      - Whether the Backstage shall exist.
      - Its removal takes along everything that its operator made, the platform for workflows as well.
      - With V(ready) the module only waits for what exists. It sends no write at all, so that an operator that backs
        off is not made to retry either. In check mode it does not wait.
    type: str
    choices:
      - present
      - ready
      - absent
    default: present
  delete_data:
    description:
      - With O(state=absent), remove the volume of the local database as well.
      - Otherwise it stays, and with it the Secret that holds its password, so that a new Backstage of that name works.
    type: bool
    default: false
  delete_adopted:
    description: With O(state=absent), remove also a Backstage that this collection did not create.
    type: bool
    default: false
  wait:
    description: Wait until everything is ready, or gone.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds for the whole call.
    type: int
    default: 1200
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
  - Needs the rights to get and create the namespace; in it to list, patch and delete Backstages, to get and patch
    ConfigMaps, to get Secrets named in O(spec), to read NetworkPolicies, SonataFlowPlatforms (and, to release one,
    patch them), Deployments, StatefulSets, Pods and their logs; and to get the CustomResourceDefinitions of the first
    and the third.
"""

EXAMPLES = r"""
- name: Developer Hub with the Orchestrator
  rhdh.orchestrator.developer_hub:

- name: Without Lightspeed, with an own app-config
  rhdh.orchestrator.developer_hub:
    namespace: portal
    name: portal
    release: "1.10"
    lightspeed: false
    replicas: 2
    spec:
      application:
        appConfig:
          configMaps:
            - name: portal-app-config

- name: Remove it, and its data
  rhdh.orchestrator.developer_hub:
    state: absent
    delete_data: true
"""

RETURN = r"""
backstage:
  description: The Backstage and what was, or in check mode would be, done to it.
  returned: state is present or absent
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    api_version:
      description: The API version that was used.
      type: str
    action:
      description: One of none, created, patched, deleted, kept.
      type: str
release:
  description: The row of the release table that was used.
  returned: success
  type: str
namespace_created:
  description: Whether the namespace was, or would be, created.
  returned: state is present
  type: bool
plugins_config_map:
  description: The plugin ConfigMap and what was done to it.
  returned: when there is one
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    action:
      description: One of none, created, patched.
      type: str
    replaced:
      description:
        - Coordinates of the Orchestrator's plugins that the release cannot load or would load twice, and that were
          taken out.
      type: list
      elements: str
leftovers:
  description: Objects that an Orchestrator which is now disabled left.
  returned: state is present
  type: list
  elements: str
released:
  description: The platform, if it was, or would be, taken out of the ownership of the Backstage.
  returned: state is present
  type: list
  elements: str
kept:
  description: What a removal left.
  returned: state is absent
  type: list
  elements: str
deleted:
  description: What was removed besides the Backstage.
  returned: state is absent
  type: list
  elements: str
touches:
  description:
    - How often the operator was made to retry at once because the cause of its failure was gone.
    - Each time an annotation of the Backstage is written, so that the module has changed something.
    - Always 0 with O(state=ready), which writes nothing.
  returned: when the module waited
  type: int
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
  description: The objects before and after, with the values of secrets hidden.
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
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.flow import reconcile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.table import DEFAULT_RELEASE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run


def developer_hub(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Create, complete, wait for or remove the Developer Hub."""
    return reconcile(Call(module, session, diagnose))


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            name={"type": "str", "default": "developer-hub"},
            namespace={"type": "str", "default": "rhdh"},
            release={"type": "str", "default": DEFAULT_RELEASE},
            orchestrator={
                "type": "dict",
                "default": {},
                "options": {
                    "enabled": {"type": "bool", "default": True},
                    "platform": {"type": "str", "choices": ["hub", "self"]},
                },
            },
            lightspeed={"type": "bool"},
            replicas={"type": "int"},
            spec={"type": "dict", "default": {}},
            force_conflicts={"type": "bool", "default": False},
            state={"type": "str", "choices": ["present", "ready", "absent"], "default": "present"},
            delete_data={"type": "bool", "default": False},
            delete_adopted={"type": "bool", "default": False},
            wait={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 1200},
        ),
        supports_check_mode=True,
    )
    run(module, developer_hub)


if __name__ == "__main__":
    main()
