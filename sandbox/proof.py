"""What the demonstration proves, observed by plain requests: no code of the collection takes part.

- Operators: each Subscription's CSV is Succeeded now, and every Deployment that the CSV owns has an available pod.
- Data Index: its GraphQL answer, fetched through the API server's service proxy, lists exactly the definitions that
  are in PostgreSQL, and follows when a uniquely named definition is written to the table and removed again.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import ssl
import time
import typing as t
import urllib.error
import urllib.request
import uuid

import psycopg
import yaml
from psycopg import sql

from sandbox import net
from sandbox.paths import Instance

PACKAGES = ("serverless-operator", "logic-operator", "rhdh")
QUERY = "{ ProcessDefinitions { id version } }"
OLM = "/apis/operators.coreos.com/v1alpha1"
PLATFORMS = "/apis/sonataflow.org/v1alpha08/sonataflowplatforms"
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
SETTLE = 10.0  # seconds that the Data Index may take until its answer follows the table


class Unproven(Exception):
    """Something is not as it has to be; the text is the reason, in one line."""


@dataclasses.dataclass
class Proof:
    """What was observed, and what is missing from the proof (empty when all was seen)."""

    operators: list[dict[str, str]] = dataclasses.field(default_factory=list)
    graphql: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)


class Cluster:
    """Plain requests to the API server of one sandbox, as its user."""

    def __init__(self, instance: Instance) -> None:
        try:
            kubeconfig = yaml.safe_load(instance.kubeconfig.read_text(encoding="utf-8"))
        except OSError as error:
            raise Unproven(f"the sandbox was never up: {_short(error)}") from error
        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        self._server = cluster["server"]
        self._headers = {**JSON, "Authorization": f"Bearer {user['token']}"}
        self._trust = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )

    def get(self, path: str) -> dict[str, t.Any]:
        """GET a path. Raises Unproven when the API server does not answer with an object."""
        return t.cast("dict[str, t.Any]", json.loads(self._call("GET", path)))

    def post(self, path: str, body: t.Any) -> str:
        """POST a JSON body and return the text of the answer. Raises Unproven."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: t.Any = None) -> str:
        request = urllib.request.Request(
            self._server + path,
            method=method,
            headers=self._headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=20, context=self._trust) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise Unproven(f"{method} {path}: {error.code} {_short(error.read().decode(errors='replace'))}") from error
        except OSError as error:
            raise Unproven(f"{method} {path}: {_short(error)}") from error


def _short(text: t.Any) -> str:
    return " ".join(str(text).split())[:200]


def owned_deployments(csv: t.Mapping[str, t.Any], deployments: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, bool]:
    """Return {Deployment name of the CSV: it is owned by exactly this CSV and has an available replica}."""
    found = {}
    uid = csv["metadata"]["uid"]
    by_name = {item["metadata"]["name"]: item for item in deployments}
    for entry in csv["spec"]["install"]["spec"].get("deployments", []):
        item = by_name.get(entry["name"], {})
        owners = {owner["uid"] for owner in item.get("metadata", {}).get("ownerReferences", [])}
        found[entry["name"]] = uid in owners and item.get("status", {}).get("availableReplicas", 0) > 0
    return found


def operators(cluster: Cluster) -> tuple[list[dict[str, str]], list[str]]:
    """Return one row for each package, and what is wrong with them."""
    rows, problems = [], []
    subscriptions = {item["spec"]["name"]: item for item in cluster.get(f"{OLM}/subscriptions")["items"]}
    for package in PACKAGES:
        row = {"package": package, "csv": "", "version": "", "phase": "missing"}
        rows.append(row)
        subscription = subscriptions.get(package)
        if subscription is None:
            problems.append(f"no Subscription of {package}")
            continue
        namespace = subscription["metadata"]["namespace"]
        row["csv"] = subscription.get("status", {}).get("installedCSV", "")
        found = [
            item
            for item in cluster.get(f"{OLM}/namespaces/{namespace}/clusterserviceversions")["items"]
            if item["metadata"]["name"] == row["csv"]
        ]
        if not found:
            problems.append(f"{package}: its CSV {row['csv'] or '(none)'} is not there")
            continue
        csv = found[0]
        row["version"], row["phase"] = csv["spec"].get("version", ""), csv.get("status", {}).get("phase", "")
        if row["phase"] != "Succeeded":
            problems.append(f"{row['csv']} is {row['phase'] or 'without a phase'}")
        owned = owned_deployments(csv, cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"])
        problems += [
            f"Deployment {namespace}/{name} of {row['csv']} does not run" for name, runs in owned.items() if not runs
        ]
        if not owned:
            problems.append(f"{row['csv']} owns no Deployment")
    return rows, problems


def _secret(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    data = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}").get("data", {})
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def connect(
    cluster: Cluster, instance: Instance, platform: t.Mapping[str, t.Any]
) -> tuple[psycopg.Connection[t.Any], str]:
    """Connect to the Data Index's PostgreSQL, as the running Deployment was told to; return (connection, schema).

    The server is reached at its pod's own address, not through the Data Index. Raises Unproven.
    """
    namespace = platform["metadata"]["namespace"]
    deployment = cluster.get(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{platform['metadata']['name']}-data-index-service"
    )
    values: dict[str, str] = {}
    for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        values[variable["name"]] = (
            _secret(cluster, namespace, source["name"])[source["key"]] if source else variable.get("value", "")
        )
    url = re.fullmatch(
        r"jdbc:postgresql://(?P<host>[^:/]+)(?::(?P<port>\d+))?/(?P<database>[^?]+)(?:\?(?P<options>.*))?",
        values.get("QUARKUS_DATASOURCE_JDBC_URL", ""),
    )
    if url is None:
        raise Unproven("the Data Index has no PostgreSQL URL")
    schema = re.search(r"currentSchema=([^&]+)", url["options"] or "")
    os.environ["SANDBOX_DNS"] = str(instance.dns_file)
    try:
        address, port = net.resolve(url["host"], int(url["port"] or 5432), namespace)
        connection = psycopg.connect(
            host=address, port=port, dbname=url["database"], connect_timeout=10, autocommit=True,
            user=values["QUARKUS_DATASOURCE_USERNAME"], password=values["QUARKUS_DATASOURCE_PASSWORD"],
        )  # fmt: skip
    except (OSError, psycopg.Error) as error:
        raise Unproven(f"PostgreSQL {url['host']}/{url['database']}: {_short(error)}") from error
    return connection, schema[1] if schema else "public"


def graphql(cluster: Cluster, platform: t.Mapping[str, t.Any], query: str = QUERY) -> list[dict[str, str]]:
    """Return the definitions that the Data Index answers with, sorted. Raises Unproven."""
    namespace, name = platform["metadata"]["namespace"], platform["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/services/http:{name}-data-index-service:80/proxy/graphql"
    text = cluster.post(path, {"query": query})
    try:
        answer = json.loads(text)
        rows = answer["data"]["ProcessDefinitions"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unproven(f"the Data Index does not answer GraphQL: {_short(text)}") from error
    return sorted(rows, key=lambda row: (row["id"], row["version"]))


def rows_in(connection: psycopg.Connection[t.Any], table: sql.Composable) -> list[dict[str, str]]:
    """Return the definitions that are in PostgreSQL, in the form of the GraphQL answer, sorted."""
    found = connection.execute(sql.SQL("SELECT id, version FROM {}").format(table)).fetchall()
    return sorted(({"id": row[0], "version": row[1]} for row in found), key=lambda row: (row["id"], row["version"]))


def _agree(
    cluster: Cluster, platform: t.Mapping[str, t.Any], wanted: list[dict[str, str]], when: str
) -> list[dict[str, str]]:
    """Wait until GraphQL answers `wanted`; return the answer. Raises Unproven when it does not within SETTLE."""
    deadline = time.monotonic() + SETTLE
    while True:
        answer = graphql(cluster, platform)
        if answer == wanted:
            return answer
        if time.monotonic() > deadline:
            raise Unproven(f"{when} the Data Index answers {_short(answer)}, but PostgreSQL holds {_short(wanted)}")
        time.sleep(0.2)


def prove_data_index(cluster: Cluster, instance: Instance) -> dict[str, t.Any]:
    """Show that GraphQL is computed from PostgreSQL. Raises Unproven."""
    platforms = cluster.get(PLATFORMS)["items"]
    if not platforms:
        raise Unproven("there is no SonataFlowPlatform")
    platform = platforms[0]
    connection, schema = connect(cluster, instance, platform)
    unique = {"id": f"proof-{uuid.uuid4().hex[:12]}", "version": "1.0"}
    table = sql.Identifier(schema, "definitions")
    try:
        with connection:
            _agree(cluster, platform, rows_in(connection, table), "at first")
            connection.execute(
                sql.SQL("INSERT INTO {} (id, version, name) VALUES (%s, %s, %s)").format(table),
                [unique["id"], unique["version"], "written by the demonstration"],
            )
            try:
                stored = rows_in(connection, table)
                answer = _agree(cluster, platform, stored, "after a definition was written")
            finally:
                connection.execute(sql.SQL("DELETE FROM {} WHERE id = %s").format(table), [unique["id"]])
            _agree(cluster, platform, rows_in(connection, table), "after it was removed")
    except psycopg.Error as error:
        raise Unproven(f"PostgreSQL: {_short(error)}") from error
    return {"query": QUERY, "answer": answer, "from_database": stored, "written_for_the_proof": unique["id"]}


def collect(instance: Instance) -> Proof:
    """Observe everything and return it, with all that is missing. Never raises for what the cluster says."""
    result = Proof()
    try:
        cluster = Cluster(instance)
    except Unproven as error:
        return Proof(problems=[str(error)])
    try:
        result.operators, problems = operators(cluster)
        result.problems += problems
    except Unproven as error:
        result.problems.append(str(error))
    try:
        result.graphql = prove_data_index(cluster, instance)
    except Unproven as error:
        result.problems.append(str(error))
    return result
