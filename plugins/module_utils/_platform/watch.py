# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait for a platform: what is watched and asked, and what ready means. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.explain import causes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Patch, Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.probe import (
    ANSWERS,
    Answer,
    Probe,
    note_answers,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.repairs import Repairs, is_reverted, leftovers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.poll import Poll
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import PENDING, READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL


class Watch:
    """Watches one platform until all of it is ready."""

    def __init__(self, wanted: Platform) -> None:
        self.wanted = wanted
        self.repairs = Repairs(wanted)

    def until_ready(self) -> Result:
        """Wait. Raises WaitFailed with the deepest cause known."""
        wanted, call = self.wanted, self.wanted.call
        probe = Probe(wanted)
        polls = [Poll(ANSWERS, self.services_to_ask, probe.ask)] if wanted.params["probe"] else []

        def facts(ended: Result) -> Object:
            note_answers(wanted, ended.snapshot)
            return wanted.facts(ended.snapshot)

        ended = call.wait(
            f"{wanted} to be ready",
            self.sources(),
            self.judge,
            causes=lambda result: causes(wanted, result),
            facts=facts,
            act=self.repairs.act,
            polls=polls,
        )
        note_answers(wanted, ended.snapshot)
        return ended

    def sources(self) -> list[Source]:
        """Return what is watched."""
        wanted = self.wanted
        sources = [Source(k.SONATAFLOW_PLATFORM, wanted.namespace)]
        for kind in (k.DEPLOYMENT, k.POD, k.ENDPOINT_SLICE):
            detail = kind == k.POD  # pods only tell why
            sources.append(Source(kind, wanted.namespace, label_selector=platform_parts.SERVICE_LABEL, optional=detail))
        if wanted.by_job():
            sources.append(Source(k.JOB, wanted.namespace))
            sources.append(Source(k.POD, wanted.namespace, label_selector=JOB_LABEL, optional=True))
        broker = wanted.broker()
        if broker:
            sources.append(Source(k.BROKER, broker[1], broker[0]))
            sources.append(Source(k.TRIGGER, broker[1]))
            sources.append(Source(k.SINK_BINDING, wanted.namespace, f"{wanted.name}-jobs-service-sb"))
        else:
            sources += wanted.left_sources(wanted.after or wanted.before)
        if wanted.cluster:
            sources.append(Source(k.SONATAFLOW_CLUSTER_PLATFORM))
        return sources

    def services_to_ask(self, snapshot: Snapshot) -> tuple[str, ...] | None:
        """Return the services that are asked how they are: none before all objects are ready."""
        live = snapshot.get(k.SONATAFLOW_PLATFORM, self.wanted.name, self.wanted.namespace)
        if live is None or any(verdict.state != READY for verdict in self.judge_objects(snapshot).values()):
            return None
        off = self.wanted.off()
        return tuple(service for service in platform_parts.wanted_services(live) if service not in off)

    def judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Return the verdict of every part; pure."""
        verdicts = self.judge_objects(snapshot)
        if self.wanted.params["probe"] and all(verdict.state == READY for verdict in verdicts.values()):
            answer: Answer | None = snapshot.answer(ANSWERS)
            asking = Verdict.pending("Asking", "the services have not answered yet")
            verdicts[ANSWERS] = answer.verdict if answer else asking
        return verdicts

    def judge_objects(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Return the verdicts on the objects, without what the services answer."""
        wanted = self.wanted
        live = snapshot.get(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace)
        deployments = {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT)}
        verdicts = platform_judge.judge(
            wanted.name,
            snapshot.list(k.SONATAFLOW_PLATFORM),
            deployments,
            snapshot.list(k.POD),
            snapshot.list(k.ENDPOINT_SLICE),
            snapshot.list(k.JOB) if wanted.by_job() else None,
            self._eventing(snapshot),
            wanted.off(),
        )
        if owner := self._judge_owner(live):
            verdicts["owner"] = owner
        if live is not None and wanted.left_sources(live):
            jobs = deployments.get(platform_spec.service_name(wanted.name, "job_service"))
            verdicts["leftovers"] = platform_judge.judge_leftovers(leftovers(snapshot, live), jobs)
        if wanted.cluster:
            clusters = snapshot.list(k.SONATAFLOW_CLUSTER_PLATFORM)
            verdicts["cluster"] = cluster_platforms.judge_cluster_platform(
                wanted.cluster, wanted.name, wanted.namespace, clusters
            )
        if wanted.patch is not None and live is not None:
            verdicts["spec"] = self._judge_spec(live, wanted.patch)
        return verdicts

    def _eventing(self, snapshot: Snapshot) -> tuple[t.Any, ...] | None:
        broker = self.wanted.broker()
        if not broker:
            return None
        binding = snapshot.get(k.SINK_BINDING, f"{self.wanted.name}-jobs-service-sb", self.wanted.namespace)
        return snapshot.get(k.BROKER, *broker), binding, snapshot.list(k.TRIGGER), snapshot.served(k.BROKER)

    def _judge_owner(self, live: Object | None) -> Verdict | None:
        owner = platform_parts.owner_backstage(live)
        if live is not None and self.wanted.hub:
            return platform_judge.judge_owner(live, self.wanted.params["hub_name"])
        if not owner:
            return None
        return Verdict(
            PENDING,
            "TakenOver",
            f"Backstage {owner} took it over: its backend plugin still depends on it",
            "Clear that dependency: module developer_hub, orchestrator.platform: self.",
        )

    def _judge_spec(self, live: Object, patch: Patch) -> Verdict:
        """Judge whether our patch has stayed: the operator writes back an old spec on a young platform."""
        if is_reverted(self.wanted, live):
            return Verdict.pending("PatchReverted", "the operator wrote back what it had read before our patch")
        return Verdict.ready("stayed", stable_for=patch.settle)
