# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a SonataFlowPlatform is not ready. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.workload import below_job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import LOGIC_DEPLOYMENTS
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader

LOGIC_OPERATOR = "the Serverless Logic operator"


def below_platform(reader: Reader, platform: Object) -> Cause | None:
    """Look in the order in which the operator works: Job, Broker, SinkBinding, generation, pods."""
    verdict = platform_judge.judge_platform(platform, [platform], platform["metadata"]["name"])
    if (condition(platform, "Succeed") or {}).get("status") != "True":
        return _not_succeeded(reader, platform, verdict)
    cause = _migration(reader, platform) if platform_parts.migrates_by_job(platform) else None
    if cause:
        return cause
    found = _service_deployments(reader, platform)
    cause = _jobs_service(reader, platform, found, lags=verdict.reason == "GenerationLag")
    if cause:
        return cause
    if verdict.reason == "GenerationLag":
        return _lag(reader, platform, verdict)
    for service in platform_parts.wanted_services(platform):
        cause = _service(reader, platform, service, found)
        if cause:
            return cause
    return None


def _not_succeeded(reader: Reader, platform: Object, verdict: Verdict) -> Cause:
    """Return why the operator has not accepted the platform."""
    cause = None
    if verdict.reason == "Creating":
        cause = reader.operator_down(LOGIC_DEPLOYMENTS, LOGIC_OPERATOR)
    text = f"{called(platform)}: {short(verdict.message)}"
    return cause or Cause(text, verdict.remedy, get_command(platform))


def _service_deployments(reader: Reader, platform: Object) -> dict[str, Object]:
    """Return the Deployments of the platform's services by name."""
    name, namespace = platform["metadata"]["name"], platform["metadata"]["namespace"]
    names = ",".join(platform_spec.service_name(name, service) for service in platform_spec.SERVICES)
    labels = f"{platform_parts.SERVICE_LABEL} in ({names})"
    return {item["metadata"]["name"]: item for item in reader.list(k.DEPLOYMENT, namespace, labels)}


def _jobs_service(reader: Reader, platform: Object, found: t.Mapping[str, Object], *, lags: bool) -> Cause | None:
    """Return why the Job Service waits for its Broker, or for its SinkBinding."""
    name, namespace = platform["metadata"]["name"], platform["metadata"]["namespace"]
    broker = platform_parts.broker_of(platform)
    wanted = "job_service" in platform_parts.wanted_services(platform)
    if not broker or not wanted or not reader.known(k.DEPLOYMENT):
        return None
    deployment = found.get(platform_spec.service_name(name, "job_service"))
    if deployment is None or lags:
        cause = reader.down(k.BROKER, *broker)
        if cause:
            remedy = cause.remedy or terminal("platform/BrokerMissing").remedy
            return dataclasses.replace(cause.below("the Job Service is not made"), remedy=remedy)
    elif not (deployment.get("spec") or {}).get("replicas"):
        cause = reader.down(k.SINK_BINDING, f"{name}-jobs-service-sb", namespace)
        if cause:
            return cause.below("the Job Service stays at 0 replicas")
    return None


def _lag(reader: Reader, platform: Object, verdict: Verdict) -> Cause:
    """Return why the operator has not observed the newest generation."""
    cause = reader.operator_down(LOGIC_DEPLOYMENTS, LOGIC_OPERATOR)
    if cause:
        return cause
    cause = reader.events(platform, anything=True)
    if cause:
        return cause.below(f"the operator meets an error ({verdict.message})")
    return Cause(f"{called(platform)}: {verdict.message}", verdict.remedy, get_command(platform))


def _service(reader: Reader, platform: Object, service: str, found: t.Mapping[str, Object]) -> Cause | None:
    """Return why one service of the platform does not run; one that is scaled to 0 is meant to be."""
    name = platform_spec.service_name(platform["metadata"]["name"], service)
    deployment = found.get(name)
    if deployment is None and reader.known(k.DEPLOYMENT):
        return (
            reader.operator_down(LOGIC_DEPLOYMENTS, LOGIC_OPERATOR)
            or reader.events(platform, anything=True)
            or Cause(f"{called(platform)}: Deployment {name} is not made", "", get_command(platform))
        )
    spec = platform["spec"]["services"][platform_spec.SERVICES[service][0]] or {}
    replicas = (spec.get("podTemplate") or {}).get("replicas")
    return reader.below(deployment) if deployment and replicas != 0 else None


def _migration(reader: Reader, platform: Object) -> Cause | None:
    """Return why the database is not migrated: nothing else is made before."""
    jobs = [
        job
        for job in reader.list(k.JOB, platform["metadata"]["namespace"])
        if "db-migrator-job" in job["metadata"]["name"]
    ]
    judged = platform_judge.judge_migration(jobs, platform)
    if judged.state == READY or not reader.known(k.JOB):
        return None
    cause = below_job(reader, jobs[0]) if jobs else None
    if cause:
        return dataclasses.replace(cause, remedy=judged.remedy or cause.remedy)
    return Cause(f"{called(platform)}: {judged.message}", judged.remedy, get_command(platform))
