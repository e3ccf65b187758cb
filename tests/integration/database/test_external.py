"""An external PostgreSQL with verified TLS, from the one variable of the playbooks to services that work with it; back
to the Hub's own and there again. The tests build on each other and run in the order of this file.
"""

from __future__ import annotations

import base64
import concurrent.futures
import json
import typing as t
from pathlib import Path

import pytest

from sandbox.paths import Instance
from tests.toolkit import plays
from tests.toolkit.plays import Call, Play
from tests.toolkit.postgres import (
    CANARY,
    SERVERS,
    Authority,
    Object,
    Servers,
    Witness,
    leaks,
    server,
    simple,
)

pytestmark = pytest.mark.sandbox("fresh", mine=True)
HUB, NAMESPACE, PLATFORM = "developer-hub", "rhdh", "sonataflow-platform"
SERVER, NAME = "outside16", "orchestrator"
PASSWORD = f"{CANARY}-%2F/ä&='\" x"  # nothing of it may be taken for a part of a URL or of a shell
SECRET, AUTHORITY = "orchestrator-database", "postgres-ca"
DATABASE: Object = {
    "host": f"{SERVER}.{SERVERS}.svc",
    "name": NAME,
    "secret": {"name": SECRET},
    "ca": {"config_map": AUTHORITY},
}
SCHEMA = f"{PLATFORM}-data-index-service"
SERVICES = {name: f"{PLATFORM}-{name}-service" for name in ("data-index", "jobs")}
UNTRUSTED = "unable to find valid certification path"  # in the words of the services
ON_HUB = {"database": "backstage_plugin_orchestrator", "namespace": NAMESPACE}


class World(Servers):
    """The sandbox, with a PostgreSQL outside of the Hub's namespace."""

    def __init__(self, instance: Instance, logs: Path, authorities: dict[str, Authority]) -> None:
        super().__init__(instance)
        self._logs, self.authorities = logs, authorities

    def trust(self, name: str) -> None:
        """Put a CA into the ConfigMap that the database's description names."""
        pem = self.authorities[name].pem
        self.apply([simple("ConfigMap", AUTHORITY, NAMESPACE, data={"ca.crt": pem})])

    def password(self, value: str) -> None:
        content = {"POSTGRES_USER": "maker", "POSTGRES_PASSWORD": value}
        self.apply([simple("Secret", SECRET, NAMESPACE, stringData=content)])

    def install(self, *arguments: str, database: Object | None = DATABASE) -> Object:
        more = ["-e", json.dumps({"orchestrator_database": database})] if database else []
        return plays.playbook(self, "install", self._logs, *more, *arguments)

    def verify(self, file: Path, database: Object | None = DATABASE) -> tuple[bool, Object, str]:
        more = ["-e", json.dumps({"orchestrator_database": database})] if database else []
        done = plays.playbook(self, "verify", self._logs, "-e", f"orchestrator_report={file}", *more)
        assert done["requests"]["mutating"] == []
        return done["ok"], json.loads(file.read_text(encoding="utf-8")), done["output"]

    def platform(self) -> Object:
        return self.there("SonataFlowPlatform", PLATFORM, NAMESPACE)

    def log(self, pod: str) -> str:
        """What a pod's container has printed in this life and the one before."""
        return "".join(self.pod_log(pod, NAMESPACE, previous) for previous in (False, True))

    def pods(self) -> list[Object]:
        return self.all("Pod", NAMESPACE, "sonataflow.org/service")

    def outside(self, *statements: str, database: str = NAME) -> list[t.Any]:
        return self.sql(SERVER, *statements, database=database, sslmode="require")

    def hub(self, *statements: str) -> list[t.Any]:
        secret = self.kubectl_get("secret", f"backstage-psql-secret-{HUB}", "-n", NAMESPACE)["data"]
        password = base64.b64decode(secret["POSTGRES_PASSWORD"]).decode()
        return self.sql(f"backstage-psql-{HUB}", *statements, password=password, **ON_HUB)

    def reachable(self, yes: bool) -> None:
        """Take the server away from everybody, with the connections that are open, or give it back."""
        port = 5432 if yes else 5999
        patch = json.dumps({"spec": {"ports": [{"port": 5432, "targetPort": port}]}})
        self.kubectl("patch", "service", SERVER, "-n", SERVERS, "--type=merge", "-p", patch)
        if not yes:
            self.kill_server(SERVER)


@pytest.fixture(scope="module")
def world(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> World:
    authorities = {"good": Authority("good"), "wrong": Authority("wrong")}
    world = World(instance, tmp_path_factory.mktemp("logs"), authorities)
    for name in (SERVERS, NAMESPACE):
        world.create("Namespace", name)
    certificate = world.authorities["good"].certificate(DATABASE["host"])
    world.apply(server(SERVER, 16, certificate, SANDBOX_TLS_ONLY="true"))
    world.trust("good")
    world.password(PASSWORD)
    role = PASSWORD.replace("'", "''")
    world.outside(f"CREATE ROLE maker LOGIN CREATEDB PASSWORD '{role}'", database="postgres")
    return world


def changed_objects(requests: list[str]) -> set[str]:
    """The kinds of objects that requests changed, by the last part of their paths that is a kind."""
    return {line.split("?")[0].split("/namespaces/")[-1].split("/")[1] for line in requests}


# -- before anything is changed ---------------------------------------------------------------------------------------


def test_all_that_is_wrong_is_told_by_the_preflight(world: World) -> None:
    bad = {
        "host": "pg",
        "service": "pg",
        "port": 70000,
        "name": "Order",
        "secret": {"name": SECRET},
        "sslmode": "maybe",
    }
    done = world.install(database=bad)
    assert not done["ok"]
    assert done["requests"]["mutating"] == []
    for text in ("either host", "70000", "'Order'", "'maybe'", "Nothing was changed"):
        assert text in done["output"]


def test_a_missing_secret_and_ca_are_told_by_the_preflight(world: World) -> None:
    wrong = {**DATABASE, "secret": {"name": "nosuch"}, "ca": {"config_map": "nothing"}}
    done = world.install(database=wrong)
    assert not done["ok"]
    assert done["requests"]["mutating"] == []
    assert f"Secret {NAMESPACE}/nosuch does not exist" in done["output"]
    assert f"ConfigMap {NAMESPACE}/nothing does not exist" in done["output"]


@pytest.fixture(scope="module")
def predicted() -> dict[str, int]:
    """What check mode said, for the install to keep; empty when the check was not among the selected tests."""
    return {}


def test_check_mode_on_an_empty_cluster_predicts_and_writes_nothing(world: World, predicted: dict[str, int]) -> None:
    done = world.install("--check")
    predicted["changed"] = done["changed"]
    assert done["ok"], done["output"][-3000:]
    assert done["requests"]["mutating"] == []
    assert done["changed"] > 0


@pytest.mark.parametrize(
    ("trouble", "text"), [("password", "knows another password"), ("ca", "CA that signed the server's certificate")]
)
def test_a_database_that_does_not_work_ends_the_install_at_its_beginning(world: World, trouble: str, text: str) -> None:
    if trouble == "password":
        world.password(f"{CANARY}-other")
    else:
        world.trust("wrong")
    try:
        done = world.install()
    finally:
        world.password(PASSWORD)
        world.trust("good")
    assert not done["ok"]
    assert text in done["output"]
    assert leaks(done["output"]) == []
    assert changed_objects(done["requests"]["mutating"]) == {"jobs"}, done["requests"]["mutating"]
    assert world.kubectl_get("subscriptions.operators.coreos.com", "-A")["items"] == []


# -- from nothing, and the server goes away in the middle -------------------------------------------------------------


def test_install_from_nothing_while_the_server_is_killed_and_comes_back(
    world: World, predicted: dict[str, int]
) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        running = background.submit(world.install)

        def platforms() -> bool:
            return running.done() or world.get("SonataFlowPlatform", PLATFORM, NAMESPACE) is not None

        try:
            world.until("the platform is made", platforms, 300)
            assert not running.done(), running.result()["output"][-3000:]
            world.reachable(False)

            def hit() -> bool:
                statuses = [s for pod in world.pods() for s in pod["status"].get("containerStatuses") or []]
                return any(status["restartCount"] for status in statuses)

            world.until("a service fails without its database", hit, 120)
        finally:
            world.reachable(True)
        done = running.result()
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == predicted.get("changed", done["changed"])
    assert leaks(done["output"]) == []


def test_the_platform_is_our_own_and_the_hub_has_none(world: World) -> None:
    platform = world.platform()
    assert not platform["metadata"].get("ownerReferences")
    assert platform["metadata"]["labels"]["rhdh.orchestrator/created"] == "true"
    for service in ("dataIndex", "jobService"):
        postgresql = platform["spec"]["services"][service]["persistence"]["postgresql"]
        assert "sslmode=verify-full" in postgresql["jdbcUrl"]
        assert postgresql["secretRef"]["name"] == SECRET
    policies = world.kubectl_get("networkpolicies", "-n", NAMESPACE)["items"]
    assert len(policies) == 4
    assert {item["metadata"]["ownerReferences"][0]["uid"] for item in policies} == {platform["metadata"]["uid"]}
    jobs = world.kubectl_get("jobs", "-n", NAMESPACE)["items"]
    assert [item["metadata"]["name"] for item in jobs] == []


def test_both_services_are_connected_over_tls(world: World) -> None:
    """The server admits nothing else; in front of it TLS is done, so that its rows show an address beside 127.0.0.1."""

    def connected() -> set[str]:
        query = (
            f"SELECT application_name, client_addr FROM pg_stat_activity WHERE datname = '{NAME}' AND usename = 'maker'"
        )
        rows = world.outside(query)
        assert "127.0.0.1" not in {str(address) for _name, address in rows}
        return {service for service in SERVICES.values() if any(service in name for name, _address in rows)}

    world.until("both services are connected", lambda: connected() == set(SERVICES.values()))


def test_verify_says_whose_platform_and_which_database(world: World, tmp_path: Path) -> None:
    world.outside(f"INSERT INTO \"{SCHEMA}\".definitions (id, version, metadata) VALUES ('outside', '1.0', '{{}}')")
    healthy, report, output = world.verify(tmp_path / "report.json")
    assert healthy, output[-3000:]
    assert report["platform"] == {"managed_by": "self", "databases": [f"{DATABASE['host']}:5432/{NAME}"]}
    assert [row["id"] for row in report["graphql"]["definitions"]] == ["outside"]
    assert "managed by this collection" in output
    assert "as described, verify-full" in output


def test_a_second_run_changes_and_writes_nothing(world: World) -> None:
    done = world.install()
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


def test_check_mode_on_a_complete_cluster_predicts_nothing(world: World) -> None:
    done = world.install("--check")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


# -- breaking it ------------------------------------------------------------------------------------------------------


def test_a_wrong_ca_keeps_the_services_from_their_database(world: World, tmp_path: Path) -> None:
    """That is: both really verify the server. What is said of it holds no password either."""
    world.trust("wrong")
    try:
        world.kubectl("delete", "pods", "-n", NAMESPACE, "-l", "sonataflow.org/service")

        def refused(service: str) -> bool:
            names = [pod["metadata"]["name"] for pod in world.pods() if service in pod["metadata"]["name"]]
            return any(UNTRUSTED in world.log(name) for name in names)

        for service in SERVICES.values():
            world.until(f"{service} does not trust the server", lambda service=service: refused(service))
        common = {"namespace": NAMESPACE, "managed_by": "self", "database": DATABASE}
        calls = {
            "ends-in-failure": Call({**common, "network_policies": True, "wait_timeout": 15}),
            "bad-input": Call({**common, "database": {**DATABASE, "port": 0}}),
        }
        with Witness(world, NAMESPACE) as witness:
            play = Play(world, tmp_path, "sonataflow_platform", calls, "--diff", "-vvvv")
            with play:
                answers = play.end()
    finally:
        world.trust("good")
    assert answers["ends-in-failure"]["failed"]
    assert UNTRUSTED in answers["ends-in-failure"]["msg"]
    assert "port: 0" in answers["bad-input"]["msg"]
    assert leaks(play.traces()) == []
    assert not [found for text in witness.seen if (found := leaks(text))]


def test_it_heals_and_nothing_is_told_of_the_password(world: World, tmp_path: Path) -> None:
    world.kubectl("delete", "pods", "-n", NAMESPACE, "-l", "sonataflow.org/service")
    options = {"namespace": NAMESPACE, "managed_by": "self", "database": DATABASE, "network_policies": True}
    with Witness(world, NAMESPACE) as witness:
        calls = {"present": Call(options)}
        play = Play(world, tmp_path, "sonataflow_platform", calls, "--diff", "-vvvv")
        with play:
            answer = play.end()["present"]
    assert not answer.get("failed"), answer["msg"]
    assert not answer["changed"]
    assert leaks(play.traces()) == []
    assert not [found for text in witness.seen if (found := leaks(text))]


# -- back to the Hub's own, and there again ---------------------------------------------------------------------------


def test_without_the_variable_our_platform_is_not_handed_to_the_hub(world: World) -> None:
    done = world.install(database=None)
    assert not done["ok"]
    assert done["requests"]["mutating"] == []
    assert "Describe its database in orchestrator_database" in done["output"]


def test_back_to_the_database_of_the_hub(world: World, tmp_path: Path) -> None:
    calls = {"absent": Call({"namespace": NAMESPACE, "managed_by": "self", "state": "absent"})}
    with Play(world, tmp_path, "sonataflow_platform", calls) as play:
        assert not play.end()["absent"].get("failed")
    done = world.install(database=None)
    assert done["ok"], done["output"][-3000:]
    owners = world.platform()["metadata"]["ownerReferences"]
    assert [(owner["kind"], owner["name"]) for owner in owners] == [("Backstage", HUB)]
    healthy, report, output = world.verify(tmp_path / "report.json", database=None)
    assert healthy, output[-3000:]
    assert report["platform"]["managed_by"] == "hub"
    assert report["graphql"]["definitions"] == []
    assert world.outside(f'SELECT id FROM "{SCHEMA}".definitions') == [("outside",)], "nothing was deleted"


def test_verify_tells_a_platform_on_another_database_than_described(world: World, tmp_path: Path) -> None:
    healthy, _report, output = world.verify(tmp_path / "report.json")
    assert not healthy
    assert f"belongs to Backstage {HUB}" in output


def test_a_platform_that_the_hub_still_manages_is_not_taken(world: World, tmp_path: Path) -> None:
    calls = {"own": Call({"namespace": NAMESPACE, "managed_by": "self", "database": DATABASE})}
    mark = world.mark()
    with Play(world, tmp_path, "sonataflow_platform", calls) as play:
        answer = play.end()["own"]
    assert answer["failed"]
    assert "orchestrator.platform: self" in answer["msg"]
    assert world.mutating(mark) == []


def test_a_platform_that_was_let_go_of_runs_on_and_may_be_had_back(world: World, tmp_path: Path) -> None:
    """As when a run ends between letting go and moving."""
    before = world.platform()
    options = {"namespace": NAMESPACE, "name": HUB, "orchestrator": {"platform": "self"}}
    with Play(world, tmp_path, "developer_hub", {"go": Call(options)}) as play:
        answer = play.end()["go"]
    assert not answer.get("failed"), answer["msg"]
    assert answer["released"] == [f"SonataFlowPlatform {PLATFORM}"]
    free = world.platform()
    assert not free["metadata"].get("ownerReferences")
    assert (free["metadata"]["uid"], free["spec"]) == (before["metadata"]["uid"], before["spec"])
    done = world.install(database=None)
    assert done["ok"], done["output"][-3000:]
    after = world.platform()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert [owner["name"] for owner in after["metadata"]["ownerReferences"]] == [HUB]


def test_unfinished_workflows_are_not_left_behind(world: World) -> None:
    world.hub(f"INSERT INTO \"{SCHEMA}\".processes (id, process_id, state) VALUES ('one', 'greeting', 1)")
    done = world.install()
    assert not done["ok"]
    assert done["requests"]["mutating"] == []
    assert "1 workflow instance(s) have not ended" in done["output"]
    world.hub(f"UPDATE \"{SCHEMA}\".processes SET state = 2 WHERE id = 'one'")


def test_check_mode_predicts_the_move(world: World) -> None:
    before = world.platform()
    done = world.install("--check")
    assert done["ok"], done["output"][-3000:]
    assert done["requests"]["mutating"] == []
    assert done["changed"] > 0
    assert world.platform()["spec"] == before["spec"]


def test_the_services_of_a_hub_move_to_the_external_database(world: World, tmp_path: Path) -> None:
    before = world.platform()
    done = world.install()
    assert done["ok"], done["output"][-3000:]
    assert "nothing is copied from there, and nothing is deleted" in " ".join(done["output"].split())
    after = world.platform()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert not after["metadata"].get("ownerReferences")
    healthy, report, output = world.verify(tmp_path / "report.json")
    assert healthy, output[-3000:]
    assert report["platform"]["managed_by"] == "self"
    assert [row["id"] for row in report["graphql"]["definitions"]] == ["outside"]
    assert world.hub(f'SELECT id FROM "{SCHEMA}".processes') == [("one",)], "the old data stay"


def test_after_the_move_a_second_run_changes_nothing_and_the_hub_leaves_it_alone(world: World) -> None:
    generation = world.platform()["metadata"]["generation"]
    note = json.dumps({"metadata": {"annotations": {"touched": "1"}}})
    world.kubectl("patch", "backstage", HUB, "-n", NAMESPACE, "--type=merge", "-p", note)
    done = world.install()
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []
    platform = world.platform()
    assert platform["metadata"]["generation"] == generation
    assert not platform["metadata"].get("ownerReferences")


def test_names_that_the_operator_deletes_are_refused_for_its_releases(world: World, tmp_path: Path) -> None:
    group = world.kubectl_get("backstage", HUB, "-n", NAMESPACE)["apiVersion"]
    secret = "backstage-psql-secret-other"
    content = {"POSTGRES_USER": "maker", "POSTGRES_PASSWORD": PASSWORD}
    spec = {"database": {"enableLocalDb": False}, "flavours": []}
    world.apply([
        simple("Backstage", "other", NAMESPACE, group, spec=spec),
        simple("Secret", secret, NAMESPACE, stringData=content),
    ])  # fmt: skip
    common = {"namespace": NAMESPACE, "hub_name": "other", "database": {**DATABASE, "secret": {"name": secret}}}
    calls = {name: Call({**common, "release": name}) for name in ("1.7", "1.8", "1.9", "1.10")}
    with Play(world, tmp_path, "orchestrator_database", calls) as play:
        answers = play.end()
    for name in ("1.7", "1.8", "1.9"):
        assert f"deletes a Secret named {secret}" in answers[name]["msg"]
        assert set(answers[name]["requests"]) <= {"get"}
    assert not answers["1.10"].get("failed"), answers["1.10"]["msg"]
