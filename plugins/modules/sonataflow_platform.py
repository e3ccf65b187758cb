#!/usr/bin/python

# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sonataflow_platform
short_description: Ensure a SonataFlowPlatform whose Data Index and Job Service answer
version_added: 0.1.0
author:
  - rhdh.orchestrator contributors (@rhdh-orchestrator)
description:
  - Works with the platform that the Developer Hub operator makes (adopts it and sets only what is asked for here) or
    with one of its own.
  - A platform says that it succeeded before its services exist, and keeps saying so when they cannot start. Ready means
    here that the platform has worked in its current generation, that both Deployments are rolled out with at least one
    replica and have endpoints, that the database migration Job is done where one is used, that SinkBinding and Triggers
    are Ready where eventing is set, and that the services answer (health, and a GraphQL query to Data Index).
  - A Secret that changed after the services started is noticed and rolls them once.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhdh.orchestrator.attributes
  - rhdh.orchestrator.database
options:
  name:
    description: Name of the platform.
    type: str
    default: sonataflow-platform
  namespace:
    description: Namespace of the platform.
    type: str
    required: true
  state:
    description: Whether the platform should be there.
    type: str
    choices: [present, absent]
    default: present
  managed_by:
    description:
      - V(hub) if the Developer Hub operator makes the platform, with the database of the Hub.
      - V(self) if this module makes it. The database is O(database), or else the one on the Hub's PostgreSQL.
      - One that the Developer Hub operator has made can be taken over once it is released, which
        M(rhdh.orchestrator.developer_hub) does with C(orchestrator.platform=self). Nothing is copied from its database.
    type: str
    choices: [hub, self]
    default: hub
  hub_name:
    description: Name of the Backstage custom resource.
    type: str
    default: developer-hub
  data_index:
    description: Options of Data Index.
    type: dict
    suboptions:
      enabled:
        description: Whether the service is deployed. The service of an existing platform keeps running when disabled.
        type: bool
        default: true
      replicas:
        description: Number of pods; V(0) stops the service. The Job Service runs once.
        type: int
      resources:
        description: Requests and limits of the container, merged with the operator's.
        type: dict
      image:
        description: Image of the container.
        type: str
      env:
        description: Variables of the container, as in a pod. The operator's own ones cannot be overridden.
        type: list
        elements: dict
      pod_template:
        description: More of the C(podTemplate) of the service, as in the custom resource.
        type: dict
  job_service:
    description: Options of Job Service.
    type: dict
    suboptions:
      enabled:
        description: Whether the service is deployed. The service of an existing platform keeps running when disabled.
        type: bool
        default: true
      replicas:
        description: Number of pods; V(0) stops the service. The Job Service runs once.
        type: int
      resources:
        description: Requests and limits of the container, merged with the operator's.
        type: dict
      image:
        description: Image of the container.
        type: str
      env:
        description: Variables of the container, as in a pod. The operator's own ones cannot be overridden.
        type: list
        elements: dict
      pod_template:
        description: More of the C(podTemplate) of the service, as in the custom resource.
        type: dict
  monitoring:
    description: Whether Prometheus monitoring is set up. By default on in a platform of our own.
    type: bool
  eventing:
    description: Knative Eventing for the platform.
    type: dict
    suboptions:
      broker:
        description: The Broker.
        type: dict
        suboptions:
          name:
            description: Name of the Broker.
            type: str
          namespace:
            description: Namespace of the Broker; by default that of the platform.
            type: str
  migration:
    description: How the databases of the services are migrated, for V(self).
    type: str
    choices: [service, job, none]
  cluster_platform:
    description:
      - Name of a SonataFlowClusterPlatform that offers this platform's services to the workflows of all namespaces.
      - It is made if it does not exist. Only one is active in a cluster; one that offers another platform is named and
        never changed.
    type: str
  network_policies:
    description:
      - Whether to ensure NetworkPolicies like those that the Developer Hub operator makes along with its own platform.
        For V(self).
      - They select the platform's services alone, and allow traffic from pods of the namespace, Knative, the Serverless
        Logic operator where it runs, routes and monitoring. In a namespace where another policy shuts off every pod, or
        the workflows, the workflows' pods get one as well. They belong to the platform and go with it.
    type: bool
    default: false
  workflow_namespaces:
    description: Further namespaces with workflows, which O(network_policies) lets in.
    type: list
    elements: str
    default: []
  probe:
    description: Whether the services are asked through the API server's service proxy.
    type: bool
    default: true
  with_workflows:
    description:
      - Whether O(state=absent) goes on though the namespace has workflows, and V(self) moves the services to another
        database though workflow instances have not ended. Their timers and states stay behind then.
    type: bool
    default: false
  delete_adopted:
    description:
      - With O(state=absent), remove also a platform that this collection did not create, or that a Backstage owns.
        Its operator may make that one again.
    type: bool
    default: false
  wait:
    description: Whether to wait until the platform is ready, or gone.
    type: bool
    default: true
  wait_timeout:
    description: Timeout in seconds for the whole call.
    type: int
    default: 900
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
  - Needs to get, list, watch, create, patch and delete SonataFlowPlatforms; to get, list and watch Deployments, Pods,
    EndpointSlices and, where used, Jobs, Brokers, Triggers and SinkBindings; to get the database's Secret. Asking the
    services needs get and create on services/proxy; without that right they are not asked, and a warning says so.
    O(cluster_platform) needs list, watch, create and patch of SonataFlowClusterPlatforms, O(network_policies) get,
    list, create and patch of NetworkPolicies and, unless the operator is where it is by default, list of Subscriptions,
    O(state=absent) list of SonataFlows.
"""

EXAMPLES = r"""
- name: Wait until the platform of Developer Hub is ready to the end
  rhdh.orchestrator.sonataflow_platform:
    namespace: rhdh

- name: Give Data Index more memory in the platform of Developer Hub
  rhdh.orchestrator.sonataflow_platform:
    namespace: rhdh
    data_index:
      replicas: 2
      resources:
        limits:
          memory: 2Gi

- name: A platform of our own on an external PostgreSQL
  rhdh.orchestrator.sonataflow_platform:
    namespace: rhdh
    managed_by: self
    database:
      host: postgres.example.com
      name: orchestrator
      secret:
        name: orchestrator-database
"""

RETURN = r"""
platform:
  description: The platform and what was done to it.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    action:
      description: V(none), V(created), V(patched), V(removed) or V(kept).
      type: str
    managed_by:
      description: Who makes it.
      type: str
    rolled_for_secret:
      description: Services that were rolled because the Secret had changed.
      type: list
      elements: str
    touches:
      description: How often a reconcile of the operator was triggered. It counts as a change.
      type: int
    cluster_platform:
      description: Name of the cluster platform that was asked for, or empty.
      type: str
    network_policies:
      description: NetworkPolicies that were made or changed.
      type: list
      elements: str
    leftovers:
      description: Triggers and SinkBindings that were deleted because eventing was switched off.
      type: list
      elements: str
services:
  description: By service (V(data_index), V(job_service)) its url, number of ready pods, and image.
  returned: when O(state=present), waited for
  type: dict
graphql:
  description: What Data Index answered.
  returned: success
  type: dict
  contains:
    status:
      description: V(ok) or V(skipped).
      type: str
    definitions:
      description: Number of process definitions.
      type: int
leftovers:
  description: Triggers and SinkBindings without owner, and our cluster platforms, that were cleared away.
  returned: when O(state=absent)
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

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import auth_argument_spec, new_module
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.flow import reconcile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.module import run

SERVICE_OPTIONS: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "enabled": {"type": "bool", "default": True},
        "replicas": {"type": "int"},
        "resources": {"type": "dict"},
        "image": {"type": "str"},
        "env": {"type": "list", "elements": "dict"},
        "pod_template": {"type": "dict"},
    },
}


def sonataflow_platform(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Create, adopt, wait for or remove the platform."""
    return reconcile(Call(module, session, diagnose))


def main() -> None:
    module = new_module(
        argument_spec=auth_argument_spec(
            name={"type": "str", "default": "sonataflow-platform"},
            namespace={"type": "str", "required": True},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            managed_by={"type": "str", "choices": ["hub", "self"], "default": "hub"},
            hub_name={"type": "str", "default": "developer-hub"},
            database=db.database_options(),
            data_index=SERVICE_OPTIONS,
            job_service=SERVICE_OPTIONS,
            monitoring={"type": "bool"},
            eventing={
                "type": "dict",
                "options": {
                    "broker": {"type": "dict", "options": {"name": {"type": "str"}, "namespace": {"type": "str"}}}
                },
            },
            migration={"type": "str", "choices": ["service", "job", "none"]},
            cluster_platform={"type": "str"},
            network_policies={"type": "bool", "default": False},
            workflow_namespaces={"type": "list", "elements": "str", "default": []},
            probe={"type": "bool", "default": True},
            with_workflows={"type": "bool", "default": False},
            delete_adopted={"type": "bool", "default": False},
            wait={"type": "bool", "default": True},
            wait_timeout={"type": "int", "default": 900},
        ),
        supports_check_mode=True,
    )
    run(module, sonataflow_platform)


if __name__ == "__main__":
    main()
