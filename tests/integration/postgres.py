"""PostgreSQL servers on the sandbox, and calls of modules on them: what the tests of the database share."""

from __future__ import annotations

import base64
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import audit

SERVERS, APPS = "databases", "apps"
IMAGES = {major: f"registry.redhat.io/rhel9/postgresql-{major}:latest" for major in (16, 18)}
CANARY = "c4n4ry"  # part of every password
OWNER_PASSWORD = f"{CANARY}-of-the-server"
RETRY = 4  # seconds that a Job tries again, where that is not what is shown
LONG = 150

Object = dict[str, t.Any]


def _encoded(secret: str) -> set[str]:
    """The parts of a secret's base64 that are the same wherever in an encoded text it begins."""
    found = set()
    for offset in range(3):
        text = base64.b64encode(b"x" * offset + secret.encode()).decode().rstrip("=")
        found.add(text[{0: 0, 1: 2, 2: 3}[offset] : len(text) - (0 if (offset + len(secret)) % 3 == 0 else 1)])
    return found


SPELLINGS = {CANARY, *_encoded(CANARY)}


def leaks(text: str) -> list[str]:
    """Return where a text holds the canary, plain or in base64; URL encoding does not change its letters."""
    return [text[max(0, text.find(each) - 80) : text.find(each) + 40] for each in SPELLINGS if each in text]


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


def hub_server(hub: str, password: str, size: str = "1Gi") -> list[Object]:
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
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
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
    - name: Call the module
      rhdh.orchestrator.MODULE: "{{ {'kubeconfig': kubeconfig} | combine(options) }}"
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

    def __init__(
        self,
        cluster: t.Any,
        folder: Path,
        calls: t.Mapping[str, t.Any],
        *arguments: str,
        module: str = "orchestrator_database",
    ) -> None:
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)
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
        (folder / "play.yml").write_text(PLAYBOOK.replace("MODULE", module), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(cluster.collections)
        environment |= dict.fromkeys(("TMPDIR", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"), str(self._temporary))
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

    def traces(self) -> str:
        """Return all that the play printed, registered, and left behind in its folder for temporary files."""
        files = [self.log, self._answers, *(file for file in self._temporary.rglob("*") if file.is_file())]
        return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)

    def end(self, seconds: float = 400) -> dict[str, Object]:
        """Wait for the play and return what each call answered."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=seconds)
        assert self._answers.exists(), self.log.read_text(encoding="utf-8")[-3000:]
        return t.cast("dict[str, Object]", json.loads(self._answers.read_text(encoding="utf-8")))


class Witness(threading.Thread):
    """Sees what others could see while the calls run: Jobs, pods, events, and the arguments of every process."""

    def __init__(self, cluster: t.Any, *namespaces: str) -> None:
        super().__init__(daemon=True)
        self._cluster, self._ended, self._namespaces = cluster, threading.Event(), namespaces
        self.seen: set[str] = set()
        self.jobs = 0

    def run(self) -> None:
        while not self._ended.is_set():
            for namespace in self._namespaces:
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

    def connect(
        self, name: str, database: str = "postgres", *, namespace: str = SERVERS, **more: t.Any
    ) -> psycopg.Connection[t.Any]:
        """Log in to a server as its owner, once it is there."""

        def attempt() -> psycopg.Connection[t.Any] | None:
            table = json.loads(self.cluster.instance.dns_file.read_text(encoding="utf-8"))
            lines = table.get(f"{name}.{namespace}:5432")
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

    def sql(self, name: str, *statements: str, database: str = "postgres", **more: t.Any) -> list[t.Any]:
        with self.connect(name, database, **more) as connection:
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

    def play(self, folder: Path, calls: t.Mapping[str, Call], *arguments: str, **more: str) -> Play:
        self.secrets(calls)
        return Play(self.cluster, folder, calls, *arguments, **more)

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
