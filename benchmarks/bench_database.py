"""The proof of a database: our one task against the four of kubernetes.core that run a Job with psql."""

from __future__ import annotations

import statistics
import time
import typing as t

from benchmarks.lab import Lab
from benchmarks.rows import BenchmarkFailed, Row
from sandbox.cluster import lifecycle

NAMESPACE, PASSWORD = "database-bench", "of-the-benchmark"
RUNS = 5


def objects() -> dict[str, list[dict[str, t.Any]]]:
    """A PostgreSQL with the database that is asked for, by path of the collection."""
    labels = {"app": "postgresql"}
    values = {"POSTGRESQL_ADMIN_PASSWORD": PASSWORD, "POSTGRESQL_DATABASE": "bench"}
    container = {
        "name": "postgresql",
        "image": "registry.redhat.io/rhel9/postgresql-15:latest",
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    core = f"/api/v1/namespaces/{NAMESPACE}"
    login = {"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": PASSWORD}
    return {
        "/api/v1/namespaces": [{"metadata": {"name": NAMESPACE}}],
        f"{core}/secrets": [{"metadata": {"name": "bench"}, "stringData": login}],
        f"{core}/services": [
            {"metadata": {"name": "postgresql"}, "spec": {"selector": labels, "ports": [{"port": 5432}]}}
        ],
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments": [
            {
                "metadata": {"name": "postgresql"},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            }
        ],
    }


def prepare(lab: Lab) -> None:
    """Make the server and wait until it is ready. Raises BenchmarkFailed."""
    lab.pristine()
    api = lifecycle.client(lab.instance)
    for path, found in objects().items():
        for body in found:
            api.request("POST", path, body)
    deadline = time.monotonic() + 60
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/postgresql"
    while not ((api.get(path) or {}).get("status") or {}).get("readyReplicas"):
        if time.monotonic() > deadline:
            raise BenchmarkFailed("the server did not become ready")
        time.sleep(0.2)
    api.close()


def measure() -> t.Iterator[Row]:
    """Yield database.proof (seconds of a playbook)."""
    with Lab() as lab:
        prepare(lab)
        ours, theirs = [], []
        for _ in range(RUNS):  # in turn, so that the machine's other work meets both
            ours.append(lab.peer("database_ours.yml"))
            theirs.append(lab.peer("database.yml"))
        yield Row(
            "database.proof",
            statistics.median(ours),
            peer=statistics.median(theirs),
            goal=0.8,
            note="all that is known of a database, against kubernetes.core telling only that it exists",
        )
