# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster says of a PostgreSQL server. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import (
    Database,
    hub_database,
    secret_problems,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload


def deleted_by_operator(given: t.Mapping[str, t.Any], hub: str) -> list[str]:
    """Say which names of a description the Developer Hub operator deletes, where the Hub has no database of its own."""
    own = hub_database(hub, "")
    names = (
        ("database.secret.name", (given.get("secret") or {}).get("name"), own.secret, "Secret"),
        ("database.service", given.get("service"), own.service, "Service"),
    )
    return [
        f"{option}: Developer Hub 1.7 to 1.9 deletes a {kind} named {name} at every look at Backstage {hub}, because "
        "its spec.database.enableLocalDb is false. Use another name (or say release, if it is 1.10 or newer)."
        for option, name, taken, kind in names
        if name == taken
    ]


def judge_hub_server(
    stateful_set: Object | None, secret: Object | None, database: Database, pods: t.Sequence[Object] = ()
) -> dict[str, Verdict]:
    """Judge the Hub's own PostgreSQL: its StatefulSet rolled out (its pods tell why not), its Secret with both keys."""
    server = workload(stateful_set, pods)
    if stateful_set is None:
        where = f"{database.namespace}/{database.service}"
        server = Verdict.pending("NotCreated", f"StatefulSet {where} does not exist yet")
    wrong = secret_problems(secret, database)
    if secret is None:
        credentials = Verdict.pending("NotCreated", wrong[0])
    elif wrong:
        credentials = terminal("database/KeyMissing").verdict(" ".join(wrong))
    else:
        credentials = Verdict.ready("both keys are there")
    return {"server": server, "secret": credentials}


def policies_between(own: t.Iterable[Object], there: t.Iterable[Object], database: Database) -> list[str]:
    """Name the NetworkPolicies that may keep the services from a server that does not answer.

    `own` are those of the services' namespace, `there` those of the server's, where that is in the cluster.
    """
    egress = [p["metadata"]["name"] for p in own if "Egress" in (p.get("spec") or {}).get("policyTypes", [])]
    ingress = [
        p["metadata"]["name"] for p in there if "Ingress" in (p.get("spec") or {}).get("policyTypes", ["Ingress"])
    ]
    found = []
    if egress:
        names = ", ".join(sorted(egress))
        found.append(f"NetworkPolicies of {database.namespace} limit what may be reached: {names}.")
    if ingress:
        home = server_namespace(database)
        found.append(f"Namespace {home} has NetworkPolicies ({', '.join(sorted(ingress))}):")
        found.append(f"  one must let namespace {database.namespace} in on port {database.port}.")
    return found


def server_namespace(database: Database) -> str:
    """Return the namespace of the server; empty where it is not known to be in the cluster."""
    labels = database.host.split(".")
    inside = len(labels) >= 3 and labels[2] == "svc"
    return database.service_namespace or (labels[1] if inside else "")


def old_volume(claim: Object | None, secret: Object | None) -> list[str]:
    """Explain a refused login where the Hub's volume is older than its Secret; empty where it is not."""
    if claim is None or secret is None:
        return []
    made, written = (item["metadata"].get("creationTimestamp") or "" for item in (claim, secret))
    if not made < written:
        return []
    names = claim["metadata"]["name"], secret["metadata"]["name"]
    return [
        f"The volume {names[0]} ({made}) is older than the Secret {names[1]} ({written}):",
        "  a Hub that is created again gets a new password, but the data keeps the old one. Put the old password into",
        "  the Secret, or set the new one in PostgreSQL (ALTER ROLE). Deleting the volume deletes all data of the Hub.",
    ]
