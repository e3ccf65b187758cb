# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One SonataFlowPlatform in one call of the module: what is wanted, what was found and done. PRIVATE."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import ended


@dataclasses.dataclass
class Patch:
    """A patch of a live platform, which has to be watched: its operator may write back what it had read before."""

    sent_at: float  # monotonic
    removed: Object  # what it has taken out of the spec
    settle: float  # seconds that it must have stayed


class Platform:
    """The platform that the options name."""

    def __init__(self, call: Call) -> None:
        self.call, self.params, self.session = call, call.params, call.session
        self.name: str = call.params["name"]
        self.namespace: str = call.params["namespace"]
        self.hub = call.params["managed_by"] == "hub"
        self.cluster: str = call.params.get("cluster_platform") or ""
        self.body: Object = {}  # what is applied
        self.action = "none"
        self.before: Object | None = None
        self.after: Object | None = None
        self.patch: Patch | None = None
        self.policies: list[str] = []  # NetworkPolicies that were written
        self.cleared: list[str] = []  # Triggers and SinkBindings that eventing left behind
        self.rotated: list[str] = []  # services whose pods are replaced, since their Secret has changed
        self.touches = 0
        self.graphql: Object = {"status": "skipped", "definitions": None}

    def __str__(self) -> str:
        """What messages call it."""
        return f"SonataFlowPlatform {self.namespace}/{self.name}"

    def broker(self) -> tuple[str, str] | None:
        """Return name and namespace of the Broker: that of the options, else that of the platform; None without one."""
        given = (self.params.get("eventing") or {}).get("broker")
        if given:
            return given["name"], given.get("namespace") or self.namespace
        return platform_parts.broker_of(self.after or self.before)

    def by_job(self) -> bool:
        """Tell whether a Job of the operator migrates the database."""
        return self.params.get("migration") == "job" or platform_parts.migrates_by_job(self.after or self.before)

    def off(self) -> list[str]:
        """Return the services that were asked for with 0 replicas."""
        return [
            service
            for service in platform_spec.SERVICES
            if platform_spec.asked_replicas(self.params.get(service) or {}) == 0
        ]

    def facts(self, snapshot: Snapshot) -> Object:
        """Return what the result says about the platform, its services and their answers."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.name, self.namespace)
        services: Object = {}
        for service in platform_parts.wanted_services(live) if live else []:
            name = platform_spec.service_name(self.name, service)
            found = snapshot.get(k.DEPLOYMENT, name, self.namespace)
            services[service] = {
                "url": f"http://{name}.{self.namespace}",
                "ready": ((found or {}).get("status") or {}).get("readyReplicas") or 0,
                "image": platform_parts.first_image(found),
            }
        return {**self.summary(), "services": services}

    def summary(self) -> Object:
        """Return what the result says of the platform itself."""
        return {
            "platform": {
                "name": self.name,
                "namespace": self.namespace,
                "action": self.action,
                "managed_by": self.params["managed_by"],
                "rolled_for_secret": self.rotated,
                "touches": self.touches,
                "cluster_platform": self.cluster,
                "network_policies": self.policies,
                "leftovers": self.cleared,
            },
            "graphql": self.graphql,
        }

    @property
    def waits_for_hub(self) -> bool:
        """Whether there is something to set in a platform that the Developer Hub operator has not made yet."""
        made = self.before is not None or self.after is not None
        return self.hub and not made and bool(self.body["spec"]) and not self.session.check_mode

    def left_sources(self, platform: Object | None) -> list[Source]:
        """Return where to look for what eventing left behind in a platform that has none any more."""
        if platform_parts.sends_events(platform):
            return []
        homes = sorted({namespace for namespace, _name in platform_parts.triggers_of(platform)})
        sources = [Source(k.TRIGGER, home, label_selector=f"app={self.name}") for home in homes]
        binding = f"{self.name}-jobs-service-sb"
        return [*sources, Source(k.SINK_BINDING, self.namespace, binding)] if homes else []

    def may_go_on(self, live: Object, broker: Object | None, jobs: t.Sequence[Object]) -> bool:
        """Tell whether nothing that we know of keeps the operator from going on, so that a touch helps."""
        if self.broker() and not (broker and knative_judge.ready(broker)):
            return False
        return all(ended(job)[0] == "complete" for job in platform_judge.migration_jobs(jobs, live))
