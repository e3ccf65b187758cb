# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a SonataFlowPlatform should say, and what ready means for it. PRIVATE to the collection.

`Succeed` of a platform is true before its services exist and stays true when they cannot start, so readiness is judged
on the objects behind it. Pure functions over plain dicts.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative.judge import judge_broker, ready
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.parts import (
    SERVICE_LABEL,
    broker_of,
    first_container,
    migrates_by_job,
    owner_backstage,
    persistence_of,
    triggers_of,
    wanted_services,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.spec import MIGRATOR, SERVICES, service_name
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import PENDING, READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL, ended, job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload

JDBC_VARIABLE = "QUARKUS_DATASOURCE_JDBC_URL"
REACTIVE_VARIABLE = "QUARKUS_DATASOURCE_REACTIVE_URL"  # the Job Service asks this one


def judge_platform(platform: Object | None, all_platforms: t.Sequence[Object], name: str) -> Verdict:
    """Judge the platform object alone."""
    if platform is None:
        others = [item["metadata"]["name"] for item in all_platforms]
        message = "does not exist yet" + (f"; the namespace has {', '.join(others)}" if others else "")
        return Verdict.pending("NotCreated", message)
    metadata = platform["metadata"]
    if metadata.get("deletionTimestamp"):
        finalizers = ", ".join(metadata.get("finalizers") or []) or "none"
        return terminal("platform/Deleting").verdict(f"is being deleted; finalizers: {finalizers}")
    succeed = condition(platform, "Succeed")
    if succeed is None or succeed.get("status") == "Unknown":
        return Verdict.pending("Creating", "the Serverless Logic operator has not looked at it yet")
    if succeed.get("status") != "True":
        reason, message = succeed.get("reason") or "NotSucceeded", succeed.get("message") or ""
        if reason == "Duplicated":
            others = [item["metadata"]["name"] for item in all_platforms if item["metadata"]["name"] != name]
            return terminal("platform/Duplicated").verdict(f"active is {', '.join(others) or 'another one'}")
        if reason == "Failure":
            return terminal("platform/Failure").verdict(message)
        return Verdict.pending(reason, message)
    if not current(platform):
        observed = (platform.get("status") or {}).get("observedGeneration")
        step = f"generation {observed} of {metadata.get('generation')}"
        return terminal("platform/GenerationLag").verdict(
            f"{step} worked in; if this lasts, the operator meets an error"
        )
    return Verdict.ready("Succeed")


def judge_service(
    service: str,
    platform: Object,
    deployment: Object | None,
    pods: t.Sequence[Object],
    slices: t.Sequence[Object],
    off: bool = False,
) -> Verdict:
    """Judge one service: rolled out with at least one replica, and endpoints; `off` tells that 0 were asked for."""
    name = service_name(platform["metadata"]["name"], service)
    block = (platform["spec"].get("services") or {}).get(SERVICES[service][0]) or {}
    if deployment is None:
        return Verdict.pending("NotCreated", f"Deployment {name} does not exist yet")
    if (block.get("podTemplate") or {}).get("replicas") == 0 and deployment["spec"].get("replicas") == 0:
        if off:
            return Verdict.ready("scaled to 0, as asked for")
        text = f"Deployment {name} is scaled to 0 replicas by the platform's podTemplate.replicas"
        remedy = f"Set it to 1 where it was set, or say {service}.replicas: 0 if that is meant."
        return Verdict(PENDING, "ScaledToZero", text, remedy)
    rollout = workload(deployment, selected(pods, {SERVICE_LABEL: name}))
    if rollout.state != READY:
        return rollout
    wrong = other_database(deployment, platform, service)
    if wrong:
        return Verdict.pending("OtherDatabase", f"Deployment {name} {wrong}")
    if not has_endpoint(slices, name):
        return Verdict.pending("NoEndpoints", f"Service {name} has no ready endpoint")
    return rollout


def other_database(deployment: Object, platform: Object, service: str) -> str:
    """Return how a service's database differs from what the platform says; empty when it is that one."""
    wanted = persistence_of(platform, service)
    env = {entry["name"]: entry for entry in first_container(deployment).get("env") or []}
    url = (env.get(JDBC_VARIABLE) or {}).get("value") or ""
    reactive = (env.get(REACTIVE_VARIABLE) or {}).get("value") or ""
    if not wanted or not url:
        return ""  # without persistence the services keep their data in memory
    reference = wanted.get("serviceRef")
    if reference:
        host, name = _location(url)
        names = (reference["name"], reference.get("databaseName") or "sonataflow")
        if (re.split("[.:]", host)[0], name) != names:
            return f"works with {redact_text(url)}, not with database {names[1]} of Service {names[0]}"
    elif url != wanted.get("jdbcUrl"):
        return f"works with {redact_text(url)}, not with {redact_text(wanted.get('jdbcUrl') or '')}"
    if reactive and _location(reactive) != _location(url):
        return f"works with {redact_text(reactive)}, and not only with {redact_text(url)}"
    for variable in ("QUARKUS_DATASOURCE_USERNAME", "QUARKUS_DATASOURCE_PASSWORD"):
        source = (env.get(variable) or {}).get("valueFrom") or {}
        used, secret = (source.get("secretKeyRef") or {}).get("name"), (wanted.get("secretRef") or {}).get("name")
        if used != secret:
            return f"takes its credentials from Secret {used}, not from {secret}"
    return ""


def _location(url: str) -> tuple[str, str]:
    """Return host with port, and database, of a URL of PostgreSQL."""
    found = re.search(r"postgresql://([^/?]*)/([^?]*)", url)
    return (found.group(1), found.group(2)) if found else ("", "")


def has_endpoint(slices: t.Sequence[Object], service: str) -> bool:
    """Tell whether a Service has a ready endpoint."""
    for item in slices:
        if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != service:
            continue
        for endpoint in item.get("endpoints") or []:
            if endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False:
                return True
    return False


def migration_jobs(jobs: t.Sequence[Object], platform: Object) -> list[Object]:
    """Return the operator's database migration Jobs of a platform."""
    return [item for item in jobs if _owned(item, platform) and MIGRATOR in item["metadata"]["name"]]


def judge_migration(jobs: t.Sequence[Object], platform: Object, pods: t.Sequence[Object] = ()) -> Verdict:
    """Judge the operator's database migration Job, which runs before the services are made."""
    owned = migration_jobs(jobs, platform)
    endings = {item["metadata"]["name"]: ended(item) for item in owned}
    for name, (how, reason, message) in endings.items():
        if how == "failed":
            return terminal("platform/MigrationFailed").verdict(f"Job {name} failed ({reason}): {message}", job=name)
    done = (platform.get("status") or {}).get("sonataFlowPlatformDBMigrationPhase") and not owned
    if done or any(how == "complete" for how, _reason, _message in endings.values()):
        return Verdict.ready("database migrated")
    if not owned:
        return Verdict.pending("NotStarted", "the operator has not made the database migration Job yet")
    running = job(owned[0], [pod for pod in pods if JOB_LABEL in (pod["metadata"].get("labels") or {})])
    reason = "Migrating" if running.state == PENDING else running.reason
    text = f"the database migration Job has not finished: {next(iter(endings))}, {running.message}"
    return dataclasses.replace(running, reason=reason, message=text)


def judge_eventing(
    platform: Object,
    broker: Object | None,
    sink_binding: Object | None,
    triggers: t.Sequence[Object],
    served: bool = True,
) -> Verdict:
    """Judge Broker, SinkBinding of the Job Service and Triggers of a platform with eventing.

    `served` tells whether the cluster knows Brokers at all.
    """
    name, namespace = t.cast("tuple[str, str]", broker_of(platform))
    where = f"Broker {namespace}/{name}"
    if broker is None:
        why = "" if served else " (the cluster serves no Brokers: KnativeEventing is not installed)"
        return terminal("platform/BrokerMissing").verdict(
            f"{where} does not exist{why}: the Job Service is not made without it"
        )
    if broker["metadata"].get("deletionTimestamp"):
        return terminal("platform/BrokerMissing").verdict(f"{where} is being deleted")
    judged = judge_broker(broker)
    if judged.state != READY:
        return dataclasses.replace(judged, message=f"{where}: {judged.message}")
    if "job_service" in wanted_services(platform):
        if sink_binding is None:
            return Verdict.pending("SinkBindingMissing", "the operator has not made the Job Service's SinkBinding yet")
        if not ready(sink_binding):
            message = "the Job Service stays at 0 replicas until it is bound; the eventing-webhook does that"
            return terminal("platform/SinkNotBound").verdict(message)
    listed = {item for item in triggers_of(platform) if item[0] == namespace}
    known = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in triggers}
    missing = sorted(item for item in listed if item not in known)
    unready = sorted(item for item in listed if item in known and not ready(known[item]))
    if not listed or missing or unready:
        text = ", ".join(name for _namespace, name in (missing + unready)[:3]) or "none made yet"
        return Verdict.pending(
            "TriggersNotReady", f"{len(listed) - len(missing) - len(unready)} of {len(listed)}: {text}"
        )
    return Verdict.ready(f"{len(listed)} triggers")


def judge_leftovers(left: t.Sequence[Object], job_service: Object | None) -> Verdict:
    """Judge what eventing left behind when it was switched off: the operator takes nothing back."""
    if left:
        names = ", ".join(item["metadata"]["name"] for item in left[:3])
        return Verdict.pending("EventingLeftovers", f"{len(left)} Triggers and SinkBindings are still there: {names}")
    if any(entry["name"] == "K_SINK" for entry in first_container(job_service).get("env") or []):
        name = t.cast(Object, job_service)["metadata"]["name"]
        text = f"Deployment {name} still sends to the Broker"
        return Verdict(PENDING, "EventingLeftovers", text, "If it stays so, delete it: the operator creates it again.")
    return Verdict.ready("none")


def judge_owner(platform: Object, hub: str) -> Verdict:
    """Judge whether a platform belongs to the Backstage `hub`: another one takes it over silently."""
    owner = owner_backstage(platform)
    if owner == hub:
        return Verdict.ready(f"Backstage {owner}")
    if owner:
        return terminal("platform/NotOurs").verdict(f"is owned by Backstage {owner}, not by {hub}")
    return Verdict(
        PENDING,
        "NotAdopted",
        f"belongs to no Backstage yet: the operator takes it over when it works on Backstage {hub}",
        "Let that Backstage depend on the platform (flavour orchestrator, or its plugins), or use managed_by: self.",
    )


def judge(
    name: str,
    platforms: t.Sequence[Object],
    deployments: t.Mapping[str, Object],
    pods: t.Sequence[Object],
    slices: t.Sequence[Object],
    jobs: t.Sequence[Object] | None = None,
    eventing: tuple[t.Any, ...] | None = None,
    off: t.Collection[str] = (),
) -> dict[str, Verdict]:
    """Judge everything about a platform but what its services answer.

    `jobs` and `eventing` (the arguments of judge_eventing) are None where they were not looked at; `off` are the
    services that were asked for with 0 replicas.
    """
    platform = next((item for item in platforms if item["metadata"]["name"] == name), None)
    verdicts = {"platform": judge_platform(platform, platforms, name)}
    if platform is None:
        return verdicts
    if jobs is not None and migrates_by_job(platform):
        verdicts["migration"] = judge_migration(jobs, platform, pods)
    if eventing is not None and broker_of(platform):
        verdicts["eventing"] = judge_eventing(platform, *eventing)
    services = wanted_services(platform)
    if not services:
        verdicts["services"] = Verdict.pending("NoServices", "the platform has no services in its spec yet")
    for service in services:
        found = deployments.get(service_name(name, service))
        verdicts[service] = judge_service(service, platform, found, pods, slices, service in off)
    return verdicts


def _owned(obj: Object, owner: Object) -> bool:
    return any(ref.get("uid") == owner["metadata"].get("uid") for ref in obj["metadata"].get("ownerReferences") or [])
