# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status tree of an Orchestrator: everything is read once, and judged as the modules judge it. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import deployments_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import ownership as platform_ownership
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.parts import owner_backstage
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import EVENTING_WEBHOOK
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out

PLATFORM = "sonataflow-platform"


def collect(session: Session, release: Object, namespace: str, name: str, *, probe: bool = True) -> Object:
    """Read everything that the tree shows, and ask the services when `probe` is set. Changes nothing."""
    backstage = k.BACKSTAGE.at(release["backstage_api"])
    operators = {}
    subscriptions = session.list(k.SUBSCRIPTION)
    for part in release["operators"].values():
        operators[part["package"]] = _operator(session, subscriptions, part["package"])
    webhook = session.get(k.DEPLOYMENT, EVENTING_WEBHOOK, knative_judge.EVENTING.namespace)
    return {
        "cluster_version": session.get(k.CLUSTER_VERSION, "version"),
        "operators": operators,
        "serving": session.list(k.KNATIVE_SERVING),
        "eventing": session.list(k.KNATIVE_EVENTING),
        "webhook": webhook,
        "backstage": session.get(backstage, name, namespace),
        "hub": session.get(k.DEPLOYMENT, f"backstage-{name}", namespace),
        "database": session.get(k.STATEFUL_SET, f"backstage-psql-{name}", namespace),
        **_platform_facts(session, namespace),
        "probes": _probes(session, namespace) if probe else None,
    }


def _platform_facts(session: Session, namespace: str) -> Object:
    platforms = session.list(k.SONATAFLOW_PLATFORM, namespace)
    platform = next((item for item in platforms if item["metadata"]["name"] == PLATFORM), None)
    label = platform_parts.SERVICE_LABEL
    facts: Object = {
        "platforms": platforms,
        "platform": platform,
        "deployments": session.list(k.DEPLOYMENT, namespace, label_selector=label),
        "slices": session.list(k.ENDPOINT_SLICE, namespace, label_selector=label),
        "pods": [],
        "jobs": session.list(k.JOB, namespace) if platform_parts.migrates_by_job(platform) else None,
        "events": None,
    }
    try:
        facts["pods"] = session.list(k.POD, namespace, label_selector=label)
    except ApiError as exc:
        if not exc.forbidden:  # pods only say why
            raise
    broker = platform_parts.broker_of(platform)
    if broker:
        binding = session.get(k.SINK_BINDING, f"{PLATFORM}-jobs-service-sb", namespace)
        found = session.get(k.BROKER, *broker)
        served = found is not None or bool(session.served_versions(k.BROKER))
        facts["events"] = (found, binding, session.list(k.TRIGGER, broker[1]), served)
    return facts


def _operator(session: Session, subscriptions: list[Object], package: str) -> Object:
    found = [item for item in subscriptions if item["spec"].get("name") == package]
    if not found:
        return {"subscription": None, "csv": None, "deployments": {}}
    namespace = found[0]["metadata"]["namespace"]
    installed = (found[0].get("status") or {}).get("installedCSV")
    csv = session.get(k.CSV, installed, namespace) if installed else None
    deployments = {name: session.get(k.DEPLOYMENT, name, namespace) for name in deployments_of(csv)} if csv else {}
    return {"subscription": found[0], "csv": csv, "deployments": deployments}


def _probes(session: Session, namespace: str) -> Object:
    def ask(method: str, service: str, path: str, body: Object | None = None) -> tuple[int, str]:
        name = platform_spec.service_name(PLATFORM, service)
        return session.service_proxy(method, namespace, name, platform_ownership.SERVICE_PORT, path, body)

    health = {service: ask("GET", service, service_answers.READY_PATH) for service in platform_spec.SERVICES}
    return {**health, "graphql": ask("POST", "data_index", "/graphql", {"query": service_answers.GRAPHQL})}


def judge(
    facts: Object, release: Object, namespace: str, name: str, database: database_options.Database | None = None
) -> Object:
    """Turn what was read into the status: a tree of nodes, the problems in it, and whether all is well.

    `database` is the external one that the platform is expected to use.
    """
    children = [
        _node("operators", [_operator_node(package, part) for package, part in facts["operators"].items()]),
        _node(
            "knative",
            [
                _knative_node(knative_judge.SERVING, facts["serving"]),
                _knative_node(knative_judge.EVENTING, facts["eventing"]),
                _leaf(f"Deployment {EVENTING_WEBHOOK}", knative_judge.judge_webhook(facts["webhook"])),
            ],
        ),
        _node("developer hub", _hub_nodes(facts, namespace, name)),
        _node("platform", _platform_nodes(facts, namespace, name, database)),
    ]
    graphql = None
    if facts["probes"] is not None:
        graphql = read_graphql(*facts["probes"]["graphql"])
        children.append(_node("answers", _answer_nodes(facts["probes"], graphql)))
    tree = _node(f"orchestrator {namespace}/{name}", children)
    version = openshift_version(facts["cluster_version"])
    problems = list(_problems(tree))
    return {
        "healthy": not problems,
        "problems": problems,
        "openshift": version,
        "release": release["name"],
        "operators": [_operator_summary(package, part) for package, part in facts["operators"].items()],
        "platform": _platform_summary(facts["platform"]),
        "graphql": graphql,
        "tree": tree,
    }


def openshift_version(cluster_version: Object | None) -> str | None:
    """Return the version that OpenShift runs (the newest completed one), or None when it does not say."""
    history = ((cluster_version or {}).get("status") or {}).get("history") or []
    completed = [entry["version"] for entry in history if entry.get("state") == "Completed"]
    return (
        completed[0] if completed else ((cluster_version or {}).get("status") or {}).get("desired", {}).get("version")
    )


def read_graphql(status: int, text: str) -> Object:
    """Read the answer of Data Index; `ok` only for a 200 without errors that holds the list of definitions."""
    ok, said, _count = service_answers.graphql(status, text)
    return {
        "ok": ok,
        "status": status,
        "query": service_answers.GRAPHQL,
        "definitions": service_answers.definitions(text) if ok else None,
        "error": None if ok else said,
    }


def _node(title: str, children: list[Object], state: str = "", detail: str = "") -> Object:
    if not state:
        state = READY if all(child["state"] == READY for child in children) else "not ready"
    return {"title": title, "state": state, "detail": detail, "children": children}


def _leaf(title: str, verdict: Verdict) -> Object:
    if verdict.state == READY:
        return _node(title, [], READY, verdict.message)
    return _node(
        title, [], "absent" if verdict.reason == "NotCreated" else "not ready", verdict.message or verdict.reason
    )


def _operator_node(package: str, part: Object) -> Object:
    csv = part["csv"]
    if part["subscription"] is None:
        return _node(package, [], "absent", "no Subscription in the cluster is for this package")
    if csv is None:
        installed = (part["subscription"].get("status") or {}).get("installedCSV")
        why = f"ClusterServiceVersion {installed} is gone" if installed else "nothing is installed yet"
        return _node(package, [], "not ready", why)
    phase = (csv.get("status") or {}).get("phase") or "without a phase"
    workloads = [_leaf(f"Deployment {name}", rolled_out(found)) for name, found in part["deployments"].items()]
    succeeded = phase == "Succeeded" and not csv["metadata"].get("deletionTimestamp")
    good = succeeded and all(child["state"] == READY for child in workloads)
    reason = "" if succeeded else f" {(csv.get('status') or {}).get('reason', '')}".rstrip()
    return _node(csv["metadata"]["name"], workloads, READY if good else "not ready", f"{phase}{reason}")


def _operator_summary(package: str, part: Object) -> Object:
    csv = part["csv"] or {}
    return {
        "package": package,
        "namespace": part["subscription"]["metadata"]["namespace"] if part["subscription"] else None,
        "csv": csv.get("metadata", {}).get("name"),
        "version": csv.get("spec", {}).get("version"),
        "phase": (csv.get("status") or {}).get("phase"),
        "ready": _operator_node(package, part)["state"] == READY,
    }


def _knative_node(component: knative_judge.Component, found: list[Object]) -> Object:
    kind = component.kind.kind
    if not found:
        return _node(kind, [], "absent", "no object of this kind in the cluster")
    wrong = knative_judge.misplaced(component, found)
    if wrong:
        return _node(kind, [], "not ready", wrong[0])
    return _leaf(kind, knative_judge.judge(component, found[0]))


def _hub_nodes(facts: Object, namespace: str, name: str) -> list[Object]:
    nodes = [
        _leaf(f"Backstage {namespace}/{name}", hub_judge.judge_backstage(facts["backstage"])),
        _leaf(f"Deployment backstage-{name}", rolled_out(facts["hub"])),
    ]
    database = ((facts["backstage"] or {}).get("spec") or {}).get("database") or {}
    if database.get("enableLocalDb", True):
        nodes.append(_leaf(f"StatefulSet backstage-psql-{name}", rolled_out(facts["database"])))
    return nodes


def _platform_summary(platform: Object | None) -> Object:
    """Say who manages the platform, and where its services keep their data."""
    managed_by = ("hub" if owner_backstage(platform) else "self") if platform else None
    return {"managed_by": managed_by, "databases": database_move.places(platform)}


def _platform_nodes(
    facts: Object, namespace: str, name: str, database: database_options.Database | None
) -> list[Object]:
    platform = facts["platform"]
    deployments = {item["metadata"]["name"]: item for item in facts["deployments"]}
    verdicts = platform_judge.judge(
        PLATFORM, facts["platforms"], deployments, facts["pods"], facts["slices"], facts["jobs"], facts["events"]
    )
    node = _leaf(f"SonataFlowPlatform {namespace}/{PLATFORM}", verdicts.pop("platform"))
    owner = owner_backstage(platform)
    if platform and node["state"] == READY:
        node["detail"] += f", created by Developer Hub {owner}" if owner else ", managed by this collection"
    nodes = [node]
    if database and platform:
        nodes.append(_leaf(f"database {database.address}/{database.name}", _judge_database(platform, name, database)))
    for part, verdict in verdicts.items():
        known = part in platform_spec.SERVICES
        title = f"Deployment {platform_spec.service_name(PLATFORM, part)}" if known else part
        nodes.append(_leaf(title, verdict))
    return nodes


def _judge_database(platform: Object, name: str, database: database_options.Database) -> Verdict:
    """Judge whether a platform works with the database that is described, and stays so."""
    owner = owner_backstage(platform)
    if owner:
        return Verdict.pending(
            "NotOurs", f"the platform belongs to Backstage {owner}, which decides about its database"
        )
    if not database_move.uses(platform, database):
        return Verdict.pending(
            "OtherDatabase", f"the services work with {', '.join(database_move.places(platform)) or 'none'}"
        )
    if not database_move.reaches(platform, database):
        return Verdict.pending("OtherWay", "the services reach it with another Secret, schema or TLS than described")
    return Verdict.ready("as described" + (f", {database.sslmode}" if database.sslmode else ""))


def _answer_nodes(probes: Object, graphql: Object) -> list[Object]:
    nodes = []
    for service, title in (("data_index", "Data Index health"), ("job_service", "Job Service health")):
        up, said = service_answers.health(*probes[service])
        nodes.append(_node(title, [], READY if up else "not ready", said))
    _ok, said, _count = service_answers.graphql(*probes["graphql"])
    nodes.append(_node("Data Index GraphQL", [], READY if graphql["ok"] else "not ready", said))
    return nodes


def _problems(node: Object, path: str = "") -> t.Iterator[str]:
    here = f"{path} > {node['title']}" if path else node["title"]
    bad_children = [child for child in node["children"] if child["state"] != READY]
    for child in bad_children:
        yield from _problems(child, here)
    if node["state"] != READY and not bad_children:
        yield f"{here}: {node['state']}" + (f" ({node['detail']})" if node["detail"] else "")
