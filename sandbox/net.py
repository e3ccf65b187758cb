"""Names of the cluster for played processes: Services resolved without a DNS server.

The process runtime writes the file named by SANDBOX_DNS from Services and EndpointSlices, one key per Service port:
{"<service>.<namespace>:<port>": ["127.N.x.y:<target port>", ...]}.
"""

from __future__ import annotations

import json
import os
import random


class NameNotResolved(OSError):
    """The name is no Service of the cluster, or the Service has no ready endpoint."""


def resolve(host: str, port: int, namespace: str | None = None) -> tuple[str, int]:
    """Return the loopback address and port behind a Service name.

    `host` is `service`, `service.namespace` or any longer form below `svc`; a plain name is looked up in `namespace`
    (default: $POD_NAMESPACE). IP addresses and `localhost` are returned as they are. Raises NameNotResolved.
    """
    if host == "localhost" or host.replace(".", "").isdigit():
        return host, port
    labels = host.rstrip(".").split(".")
    service, home = labels[0], labels[1] if len(labels) > 1 else namespace or os.environ.get("POD_NAMESPACE", "")
    with open(os.environ["SANDBOX_DNS"], encoding="utf-8") as stream:
        table = json.load(stream)
    key = f"{service}.{home}:{port}"
    endpoints = table.get(key)
    if endpoints is None:
        raise NameNotResolved(f"could not resolve host {host!r} port {port}: no such Service port in the cluster")
    if not endpoints:
        raise NameNotResolved(f"connection to {host!r} port {port} refused: the Service has no ready endpoint")
    address, _, target = random.choice(endpoints).rpartition(":")
    return address, int(target)
