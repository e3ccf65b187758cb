"""The table of names (the sandbox has no DNS server) from Services and EndpointSlices; see sandbox/net.py."""

from __future__ import annotations

import json
import os
import re
import typing as t
from pathlib import Path

Object = t.Mapping[str, t.Any]


def local(address: str, loopback: str) -> str | None:
    """Return the loopback address behind a pod IP ("127.9.1.2" for 10.98.1.2), or None when nobody answers there."""
    if address.startswith("10.98."):
        return f"{loopback}.{address.removeprefix('10.98.')}"
    return address if address.startswith("127.") else None


def table(services: t.Iterable[Object], slices: t.Iterable[Object], loopback: str) -> dict[str, list[str]]:
    """Return {"<service>.<namespace>:<port>": ["127.N.x.y:<port>", ...]}; ready endpoints only.

    A Service of type ExternalName that points at another Service gets that one's lines under its own name.
    """
    behind: dict[tuple[str, str], list[Object]] = {}
    for piece in slices:
        service = (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        behind.setdefault((piece["metadata"]["namespace"], service), []).append(piece)
    lines: dict[str, list[str]] = {}
    aliases: list[tuple[str, str]] = []
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            match = re.match(r"^([^.]+)\.([^.]+)(\.svc(\..*)?)?$", spec.get("externalName", ""))
            if match:
                aliases.append((f"{name}.{namespace}", f"{match[1]}.{match[2]}"))
            continue
        for port in spec.get("ports") or ():
            found = set()
            for piece in behind.get((namespace, name), ()):
                targets = [p["port"] for p in piece.get("ports") or () if p.get("name", "") == port.get("name", "")]
                for endpoint in piece.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready") is False:
                        continue
                    addresses = [local(address, loopback) for address in endpoint["addresses"]]
                    found |= {f"{address}:{target}" for address in addresses if address for target in targets}
            lines[f"{name}.{namespace}:{port['port']}"] = sorted(found)
    for alias, target in aliases:
        for key in [key for key in lines if key.startswith(f"{target}:")]:
            lines[f"{alias}:{key.rpartition(':')[2]}"] = lines[key]
    return lines


def write(path: Path, lines: dict[str, list[str]]) -> None:
    """Replace the file in one step, readable by processes that dropped root."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(lines, indent=0, sort_keys=True), encoding="utf-8")
    temporary.chmod(0o644)
    os.replace(temporary, path)
