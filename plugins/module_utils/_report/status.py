# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status tree of an Orchestrator: one look at everything, judged and rendered. PRIVATE to the collection."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import deployments_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.parts import owner_backstage
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out

PLATFORM = "sonataflow-platform"
GRAPHQL_QUERY = "{ ProcessDefinitions { id version name } }"
SERVICE_PORT = 80  # the port of both services' Services, whatever their pods listen on


def collect(session: Session, release: Object, namespace: str, name: str, *, probe: bool = True) -> Object:
    """Read everything that the tree shows, and ask the services when `probe` is set. Changes nothing."""
    backstage = k.BACKSTAGE.at(release["backstage_api"])
    operators = {}
    subscriptions = session.list(k.SUBSCRIPTION)
    for part in release["operators"].values():
        operators[part["package"]] = _operator(session, subscriptions, part["package"])
    services = {
        service: session.get(k.DEPLOYMENT, f"{PLATFORM}-{service}-service", namespace)
        for service in ("data-index", "jobs")
    }
    return {
        "cluster_version": session.get(k.CLUSTER_VERSION, "version"),
        "operators": operators,
        "serving": session.list(k.KNATIVE_SERVING),
        "eventing": session.list(k.KNATIVE_EVENTING),
        "backstage": session.get(backstage, name, namespace),
        "hub": session.get(k.DEPLOYMENT, f"backstage-{name}", namespace),
        "database": session.get(k.STATEFUL_SET, f"backstage-psql-{name}", namespace),
        "platform": session.get(k.SONATAFLOW_PLATFORM, PLATFORM, namespace),
        "services": services,
        "probes": _probes(session, namespace) if probe else None,
    }


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
    index, jobs = f"{PLATFORM}-data-index-service", f"{PLATFORM}-jobs-service"
    query = {"query": GRAPHQL_QUERY}
    return {
        "data-index": session.service_proxy("GET", namespace, index, SERVICE_PORT, "/q/health/ready"),
        "jobs": session.service_proxy("GET", namespace, jobs, SERVICE_PORT, "/q/health/ready"),
        "graphql": session.service_proxy("POST", namespace, index, SERVICE_PORT, "/graphql", query),
    }


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
            [_knative_node("KnativeServing", facts["serving"]), _knative_node("KnativeEventing", facts["eventing"])],
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
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    data = (answer.get("data") or {}) if isinstance(answer, dict) else {}
    definitions = data.get("ProcessDefinitions")
    errors = answer.get("errors") if isinstance(answer, dict) else None
    ok = status == 200 and not errors and isinstance(definitions, list)
    return {
        "ok": ok,
        "status": status,
        "query": GRAPHQL_QUERY,
        "definitions": definitions if ok else None,
        "error": None if ok else str(errors or text)[:300],
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


def judge_condition(obj: Object | None, kind: str) -> Verdict:
    """Judge a custom resource by its one condition: True, of the current generation, and not being deleted."""
    if obj is None:
        return Verdict.pending("NotCreated", "does not exist")
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if not current(obj):
        return Verdict.pending("NotObserved", "its operator has not seen the current generation yet")
    found = condition(obj, kind)
    if found is None:
        return Verdict.pending("NoStatus", f"has no condition {kind} yet")
    if found.get("status") != "True":
        text = " ".join(filter(None, (found.get("reason"), found.get("message"))))
        return Verdict.pending("NotTrue", f"{kind} is {found.get('status')}: {text}".rstrip(": "))
    return Verdict.ready(f"{kind} is True")


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


def _knative_node(kind: str, found: list[Object]) -> Object:
    if not found:
        return _node(kind, [], "absent", "no object of this kind in the cluster")
    if len(found) > 1:
        places = ", ".join(sorted(f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in found))
        return _node(kind, [], "not ready", f"there must be only one, found {places}")
    node = _leaf(kind, judge_condition(found[0], "Ready"))
    version = (found[0].get("status") or {}).get("version")
    return {**node, "detail": f"{node['detail']}, Knative {version}"} if node["state"] == READY and version else node


def _hub_nodes(facts: Object, namespace: str, name: str) -> list[Object]:
    nodes = [
        _leaf(f"Backstage {namespace}/{name}", judge_condition(facts["backstage"], "Deployed")),
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
    node = _leaf(f"SonataFlowPlatform {namespace}/{PLATFORM}", judge_condition(platform, "Succeed"))
    owner = owner_backstage(platform)
    if platform and node["state"] == READY:
        whose = f"made by Developer Hub {owner}" if owner else "our own"
        node["detail"] += f", {whose}"
    nodes = [node]
    if database and platform:
        nodes.append(_leaf(f"database {database.address}/{database.name}", _judge_database(platform, name, database)))
    for service, deployment in facts["services"].items():
        nodes.append(_leaf(f"Deployment {PLATFORM}-{service}-service", rolled_out(deployment)))
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
    for service, title in (("data-index", "Data Index health"), ("jobs", "Job Service health")):
        status, text = probes[service]
        good = status == 200 and '"UP"' in text
        nodes.append(_node(title, [], READY if good else "not ready", "UP" if good else _short(status, text)))
    if graphql["ok"]:
        count = len(graphql["definitions"])
        nodes.append(_node("Data Index GraphQL", [], READY, f"{count} process definition{'' if count == 1 else 's'}"))
    else:
        nodes.append(_node("Data Index GraphQL", [], "not ready", _short(graphql["status"], graphql["error"])))
    return nodes


def _short(status: int, text: str) -> str:
    try:  # an answer of the API server itself: its message says it all
        answer = json.loads(text)
        text = answer.get("message") or text if isinstance(answer, dict) else text
    except ValueError:
        pass
    line = " ".join(text.split())[:200]
    return f"HTTP {status}: {line}" if status else f"no answer: {line}"


def _problems(node: Object, path: str = "") -> t.Iterator[str]:
    here = f"{path} > {node['title']}" if path else node["title"]
    bad_children = [child for child in node["children"] if child["state"] != READY]
    for child in bad_children:
        yield from _problems(child, here)
    if node["state"] != READY and not bad_children:
        yield f"{here}: {node['state']}" + (f" ({node['detail']})" if node["detail"] else "")
