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
import threading
import typing as t
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.paths import Instance
from tests.toolkit.cluster import Cluster, Object
from tests.toolkit.plays import Batch, Call, Play

SERVERS, APPS = "databases", "apps"
IMAGES = {major: f"registry.redhat.io/rhel9/postgresql-{major}:latest" for major in (16, 18)}
CANARY = "c4n4ry"  # part of every password
OWNER_PASSWORD = f"{CANARY}-of-the-server"
MODULE = "orchestrator_database"
RETRY = 4  # seconds that a Job tries again, where that is not what is shown
LONG = 150


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
class Provision:
    """One call of orchestrator_database. `secret` is created in its namespace, None creates none."""

    database: Object | None
    secret: dict[str, str] | None = None
    namespace: str = APPS
    options: Object = dataclasses.field(default_factory=dict)

    def call(self, name: str) -> Call:
        """The call; its Secret and its database are named after it."""
        found: Object = {"namespace": self.namespace, "retry_seconds": RETRY, "wait_timeout": LONG, **self.options}
        if self.database is not None:
            found["database"] = {"secret": {"name": name}, "name": name.replace("-", "_"), **self.database}
        return Call(found)


def login(user: str, password: str = "") -> dict[str, str]:
    return {"POSTGRES_USER": user, "POSTGRES_PASSWORD": password or f"{CANARY}-{user}"}


def at(name: str, /, **more: t.Any) -> Object:
    return {"host": f"{name}.{SERVERS}.svc", **more}


class Witness(threading.Thread):
    """Sees what others could see while the calls run: Jobs, pods, events, and the arguments of every process."""

    def __init__(self, cluster: Cluster, *namespaces: str) -> None:
        super().__init__(daemon=True)
        self._cluster, self._ended, self._namespaces = cluster, threading.Event(), namespaces
        self.seen: set[str] = set()
        self.jobs = 0

    def run(self) -> None:
        while not self._ended.is_set():
            for namespace in self._namespaces:
                for kind in ("Job", "Pod", "Event"):
                    found = self._cluster.all(kind, namespace)
                    self.jobs += len(found) * (kind == "Job")
                    self.seen.update(map(json.dumps, found))
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


class Servers(Cluster):
    """The cluster, with PostgreSQL servers and calls of orchestrator_database on them."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self._secrets: set[tuple[str, str]] = set()

    def server(
        self,
        name: str,
        database: str = "postgres",
        *,
        namespace: str = SERVERS,
        password: str = OWNER_PASSWORD,
        **more: t.Any,
    ) -> psycopg.Connection[t.Any]:
        """Log in to a server as its owner, once it is there."""
        return self.connect(name, namespace, password, database, **more)

    def sql(self, name: str, *statements: str, database: str = "postgres", **more: t.Any) -> list[t.Any]:
        """Run statements as a server's owner; return the rows of the last one."""
        with self.server(name, database, **more) as connection:
            for statement in statements:
                cursor = connection.execute(t.cast(t.Any, statement))
            return cursor.fetchall() if cursor.description else []

    def secrets(self, calls: t.Mapping[str, Provision]) -> None:
        """Create the Secrets of calls, but for those that were created before."""
        found = [
            simple("Secret", name, call.namespace, stringData=call.secret)
            for name, call in calls.items()
            if call.secret and (name, call.namespace) not in self._secrets
        ]
        self._secrets |= {(each["metadata"]["name"], each["metadata"]["namespace"]) for each in found}
        if found:
            self.apply(found)

    def play(self, folder: Path, calls: t.Mapping[str, Provision], *arguments: str) -> Play:
        """Start a playbook in which every call is a host."""
        self.secrets(calls)
        return Play(self, folder, MODULE, {name: call.call(name) for name, call in calls.items()}, *arguments)

    def batch(self, folder: Path, calls: t.Mapping[str, Provision], *, check: bool = False) -> Batch:
        """Start the calls without Ansible around them."""
        self.secrets(calls)
        return Batch(self, folder, MODULE, {name: call.call(name) for name, call in calls.items()}, check=check)

    def kill_server(self, name: str) -> None:
        """Kill the processes of a server, as a lost node does."""
        pods = self.kubectl_get("pods", "-n", SERVERS, "-l", f"app={name}")["items"]
        identity = pods[0]["status"]["containerStatuses"][0]["containerID"]
        os.kill(int(re.sub(r"\D", "", identity)), signal.SIGQUIT)
