"""The parts of a sandbox as programs: command lines and configuration files, rendered from the instance's state."""

from __future__ import annotations

import base64
import importlib.util
import json
import secrets
import shlex
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox import settings
from sandbox.cluster import kwok, pki
from sandbox.cluster.tools import Tools
from sandbox.paths import Instance

ADMIN = "sandbox-admin"
PORTS = (
    "etcd",
    "etcd-peer",
    "apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "kubelet",
    "opm",
    "packageserver",
    "faults",
)
# Parts with an identity of their own, so that the audit log tells them from people.
CLIENTS = (
    "internal",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "olm",
    "catalog",
    "packageserver",
    "runtime",
)
POD_CIDR_SIMULATED = "10.97.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
# Domain of the Routes: the same in every sandbox, so that a snapshot of one can be put back in another.
APPS_DOMAIN = "apps.sandbox.invalid"


@dataclass(frozen=True)
class Program:
    """One supervised process. `stop` is the first signal at the end, `grace` the seconds before SIGKILL."""

    name: str
    command: tuple[str, ...]
    stop: str = "TERM"
    grace: int = 5


def new_tokens() -> dict[str, str]:
    """Return a random bearer token for people and for each part."""
    return {user: secrets.token_urlsafe(24) for user in (ADMIN, *(f"sandbox-{part}" for part in CLIENTS))}


def openshift_version(instance: Instance) -> str:
    """Return the OpenShift version that this sandbox plays: the setting `openshift.version`, default 4.20.6."""
    return str(settings.get("openshift.version", "4.20.6", instance.settings_file))


def programs(instance: Instance, tools: Tools) -> list[Program]:
    """Return all parts, in the order in which they are started. Parts whose code is absent are left out."""
    port = instance.state["ports"]
    root, keys = instance.root, instance.secrets / "pki"

    def config(part: str) -> str:
        return f"--kubeconfig={instance.part_kubeconfig(part)}"

    def binary(name: str) -> str:
        return str(tools.path(name))

    def module(name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", name)

    etcd_url, peer_url = f"http://127.0.0.1:{port['etcd']}", f"http://127.0.0.1:{port['etcd-peer']}"
    olm_tls = (f"--tls-cert={keys}/apiserver.crt", f"--tls-key={keys}/apiserver.key", f"--client-ca={keys}/ca.crt")
    found = [
        Program(
            "etcd",
            (
                binary("etcd"),
                f"--data-dir={root}/etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
                "--max-request-bytes=8388608",
                f"--listen-client-urls={etcd_url}",
                f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
            ),
        ),
        Program("network", module("sandbox.cluster.network")),
        # The API server waits for its watches when asked to end politely, and writes nothing then: it is killed.
        Program("apiserver", (binary("kube-apiserver"), *_apiserver_flags(instance)), stop="KILL"),
        Program("opm", _opm(instance, binary("opm"), port["opm"])),
        Program(
            "kube-controller-manager",
            (
                binary("kube-controller-manager"),
                config("kube-controller-manager"),
                "--leader-elect=false",
                f"--service-account-private-key-file={keys}/sa.key",
                f"--root-ca-file={keys}/ca.crt",
                "--bind-address=127.0.0.1",
                f"--secure-port={port['kube-controller-manager']}",
                f"--cert-dir={root}/secrets/kcm",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                # Nodes are simulated: nobody may declare them lost after a pause, or detach volumes from them.
                "--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller,"
                "-horizontal-pod-autoscaler-controller,-persistentvolume-attach-detach-controller",
            ),
            stop="KILL",
        ),
        Program(
            "kube-scheduler",
            (
                binary("kube-scheduler"),
                config("kube-scheduler"),
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={port['kube-scheduler']}",
                f"--cert-dir={root}/secrets/scheduler",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ),
            stop="KILL",
        ),
        Program(
            "kwok",
            (
                binary("kwok"),
                config("kwok"),
                f"--config={root}/kwok.yaml",
                "--manage-all-nodes=true",
                "--node-name=localhost",
                "--node-ip=127.0.0.1",
                f"--node-port={port['kubelet']}",
                f"--server-address=127.0.0.1:{port['kwok']}",
                f"--tls-cert-file={keys}/apiserver.crt",
                f"--tls-private-key-file={keys}/apiserver.key",
                f"--cidr={POD_CIDR_SIMULATED}",
                # With leases, a kwok that was killed would leave its successor waiting for the leases to run out.
                "--node-lease-duration-seconds=0",
            ),
            stop="KILL",
        ),
        Program(
            "packageserver",
            (
                binary("packageserver"),
                config("packageserver"),
                f"--port={port['packageserver']}",
                f"--cert-dir={root}/secrets/packageserver",
            ),
        ),
        Program(
            "catalog",
            (binary("catalog"), config("catalog"), "--namespace=openshift-marketplace", *olm_tls),
            stop="KILL",
        ),
        # olm reads the environment only; no copied ClusterServiceVersion is lost by its sudden end.
        Program(
            "olm",
            ("/usr/bin/env", f"KUBECONFIG={instance.part_kubeconfig('olm')}", binary("olm"), *olm_tls),
            stop="KILL",
        ),
    ]
    if importlib.util.find_spec("sandbox.runtime.__main__"):
        found.append(Program("runtime", module("sandbox.runtime"), grace=15))
    found.append(Program("faults", module("sandbox.faults.proxy")))
    return found


# Parts that run only while somebody uses them.
ON_DEMAND = frozenset({"faults"})


def _opm(instance: Instance, binary: str, port: int) -> tuple[str, ...]:
    root = instance.root
    flags = (f"--port={port}", "--pprof-addr=", f"--termination-log={root}/opm.term", f"--cache-dir={root}/opm-cache")
    # The cache is rebuilt instead of refused when the catalog has changed.
    return (binary, "serve", f"{root}/catalog", *flags, "--cache-enforce-integrity=false")


def _apiserver_flags(instance: Instance) -> list[str]:
    port = instance.state["ports"]
    keys = instance.secrets / "pki"
    flags = {
        "etcd-servers": f"http://127.0.0.1:{port['etcd']}",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port["apiserver"],
        "tls-cert-file": keys / "apiserver.crt",
        "tls-private-key-file": keys / "apiserver.key",
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": SERVICE_CIDR,
        "authorization-mode": "Node,RBAC",
        "token-auth-file": instance.secrets / "tokens.csv",
        "allow-privileged": "true",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": keys / "sa.pub",
        "service-account-signing-key-file": keys / "sa.key",
        # Service and pod proxies, webhooks and aggregated APIs go to pod addresses, by way of the egress proxy.
        "enable-aggregator-routing": "true",
        "egress-selector-config-file": instance.root / "egress.yaml",
        "kubelet-preferred-address-types": "InternalIP",
        # As on OpenShift: who sets blockOwnerDeletion must have the right to finalize the owner.
        "enable-admission-plugins": "OwnerReferencesPermissionEnforcement",
        # Nobody runs who would take the not-ready taint of a new node away again.
        "disable-admission-plugins": "TaintNodesByCondition",
        "proxy-client-cert-file": keys / "front-proxy.crt",
        "proxy-client-key-file": keys / "front-proxy.key",
        "requestheader-client-ca-file": keys / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "audit-policy-file": instance.root / "audit-policy.yaml",
        "audit-log-path": instance.audit_log,
        "audit-log-maxsize": 500,
        "audit-log-maxbackup": 1,
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def audit_policy() -> dict[str, t.Any]:
    """Return the audit policy: all requests of people, changes by ServiceAccounts, nothing of the sandbox's parts.

    Each request is one line, written when it is answered (for a watch: when it ends), with user and userAgent.
    """
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "users": [f"sandbox-{part}" for part in CLIENTS]},
            {"level": "None", "users": ["system:apiserver", "system:anonymous"]},
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
            {"level": "None", "userGroups": ["system:serviceaccounts"], "verbs": ["get", "list", "watch"]},
            {"level": "Metadata"},
        ],
    }


def kubeconfig(port: int, ca: Path, user: str, token: str) -> dict[str, t.Any]:
    """Return a kubeconfig as an object; `ca` is embedded, so that the file can be copied anywhere."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": "default"}}],
        "current-context": "sandbox",
    }


def write_configuration(instance: Instance, parts: t.Iterable[Program]) -> None:
    """Write every file that the parts read, from the instance's state and settings."""
    state = instance.state
    keys = instance.secrets / "pki"
    pki.ensure(keys)
    tokens = state["tokens"]
    _private(
        instance.secrets / "tokens.csv",
        "".join(f'{token},{user},{user},"system:masters"\n' for user, token in tokens.items()),
    )
    port, ca = state["ports"], keys / "ca.crt"
    for part in CLIENTS:
        user = f"sandbox-{part}"
        _private(instance.part_kubeconfig(part), json.dumps(kubeconfig(port["apiserver"], ca, user, tokens[user])))
    for path, number in ((instance.kubeconfig, port["apiserver"]), (instance.faulty_kubeconfig, port["faults"])):
        _private(path, json.dumps(kubeconfig(number, ca, ADMIN, tokens[ADMIN]), indent=1) + "\n")
    egress = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(instance.root / "egress.sock")}}}
    _private(
        instance.root / "egress.yaml",
        json.dumps(
            {
                "apiVersion": "apiserver.k8s.io/v1beta1",
                "kind": "EgressSelectorConfiguration",
                "egressSelections": [{"name": "cluster", "connection": egress}],
            }
        ),
    )
    _private(instance.root / "audit-policy.yaml", json.dumps(audit_policy()))
    extra = settings.get("runtime.images", [], instance.settings_file)
    _private(instance.root / "kwok.yaml", kwok.render(kwok.image_patterns(extra), APPS_DOMAIN))
    _private(instance.root / "supervisord.conf", supervisor_configuration(instance, parts))


def supervisor_configuration(instance: Instance, parts: t.Iterable[Program]) -> str:
    """Return supervisord's configuration: a Unix socket, no network port, nothing started by itself."""
    root = instance.root
    lines = [
        "[unix_http_server]",
        f"file={root}/supervisor.sock",
        "chmod=0700",
        "[supervisord]",
        f"logfile={instance.logs}/supervisord.log",
        "logfile_maxbytes=1MB",
        "logfile_backups=1",
        f"pidfile={root}/supervisord.pid",
        f"childlogdir={instance.logs}",
        "nodaemon=true",
        "silent=true",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in parts:
        lines += [
            f"[program:{program.name}]",
            # supervisord expands percent signs.
            "command=" + shlex.join(program.command).replace("%", "%%"),
            f"directory={Path(__file__).resolve().parent.parent.parent}",
            "autostart=false",
            "autorestart=true",
            "startsecs=1",
            "startretries=8",
            f"stopsignal={program.stop}",
            f"stopwaitsecs={program.grace}",
            "redirect_stderr=true",
            f"stdout_logfile={instance.logs}/{program.name}.log",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=1",
        ]
    return "\n".join(lines) + "\n"


def _private(path: Path, content: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(content, encoding="utf-8")
    unfinished.chmod(0o600)
    unfinished.replace(path)
