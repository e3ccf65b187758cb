"""The roles of single operators as a user runs them: one small playbook of the built collection, again and again."""

from __future__ import annotations

import dataclasses
import re
import typing as t

import pytest

from sandbox import audit
from tests.toolkit import plays
from tests.toolkit.cluster import Object

from .operators import CREATED, CSV, OlmCluster

pytestmark = pytest.mark.sandbox("traps", mine=True)

ROLES = {  # role: (namespace, CSV of release 1.10)
    "serverless": ("openshift-serverless", "serverless-operator.v1.37.1"),
    "serverless_logic": ("openshift-serverless-logic", "logic-operator.v1.38.1"),
    "developer_hub_operator": ("rhdh-operator", "rhdh-operator.v1.10.3"),
}
NOT_OFFERED = "9.9.9"


@dataclasses.dataclass
class Run:
    """How a playbook ended, and what the API server saw of it."""

    code: int
    changed: int
    output: str
    writes: list[str]


def included(**variables: str) -> list[Object]:
    """The tasks of a playbook with all three roles; `variables` are set for each, with its prefix."""
    return [
        {
            "ansible.builtin.include_role": {"name": f"rhdh.orchestrator.{role}"},
            "vars": {f"{role}_{key}": value for key, value in variables.items()},
        }
        for role in ROLES
    ]


@pytest.fixture(scope="module")
def run(cluster: OlmCluster, tmp_path_factory: pytest.TempPathFactory) -> t.Callable[..., Run]:
    """Run a playbook of the roles with some variables; arguments are those of ansible-playbook."""
    folder = tmp_path_factory.mktemp("roles")

    def play(*arguments: str, tasks: list[Object] | None = None, **variables: str) -> Run:
        mark = audit.mark(cluster.instance.audit_log)
        done = plays.tasks(cluster, folder, tasks or included(**variables), *arguments)
        recap = re.search(r"localhost +: ok=\d+ +changed=(\d+)", done.stdout)
        assert recap, done.stdout + done.stderr
        writes = audit.count(audit.requests(cluster.instance.audit_log, mark))["mutating"]
        return Run(done.returncode, int(recap[1]), done.stdout, writes)

    return play


def as_predicted(found: Run, changed: int, *, writes: bool = False) -> None:
    assert found.code == 0, found.output[-3000:]
    assert found.changed == changed, found.output[-3000:]
    assert bool(found.writes) is writes, found.writes


def test_from_nothing_to_nothing_to_do(cluster: OlmCluster, run: t.Callable[..., Run]) -> None:
    """Check mode predicts the install and writes nothing; a second run, and check mode after it, change nothing."""
    as_predicted(run("--check"), 3)
    assert not [home for home, _csv in ROLES.values() if cluster.get("Namespace", home)]
    as_predicted(run(), 3, writes=True)
    for home, csv in ROLES.values():
        assert cluster.phase(CSV, csv, home) == "Succeeded"
        for kind in ("Subscription", "OperatorGroup"):
            (found,) = cluster.all(kind, home)
            assert found["metadata"]["labels"][CREATED] == "true"
    as_predicted(run(), 0)
    as_predicted(run("--check"), 0)


def test_a_version_that_is_not_offered_is_refused_with_those_that_are(run: t.Callable[..., Run]) -> None:
    for role, (_home, csv) in ROLES.items():
        task = {
            "ansible.builtin.include_role": {"name": f"rhdh.orchestrator.{role}"},
            "vars": {f"{role}_version": NOT_OFFERED},
        }
        found = run(tasks=[task])
        assert (found.code, found.changed, found.writes) == (2, 0, [])
        assert f"no version '{NOT_OFFERED}' in channel" in found.output
        assert csv.partition(".v")[2] in found.output.partition("there are: ")[2].splitlines()[0]


def test_absent_takes_all_of_it_away_once(cluster: OlmCluster, run: t.Callable[..., Run]) -> None:
    as_predicted(run("--check", state="absent"), 3)
    as_predicted(run(state="absent"), 3, writes=True)
    assert not [home for home, _csv in ROLES.values() if cluster.get("Namespace", home)]
    as_predicted(run(state="absent"), 0)
    as_predicted(run("--check", state="absent"), 0)
