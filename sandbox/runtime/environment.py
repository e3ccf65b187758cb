"""The environment of a container, resolved as a kubelet does."""

from __future__ import annotations

import base64
import math
import re
import typing as t

Object = t.Mapping[str, t.Any]
# Returns the object or None when it does not exist: lookup("secrets" or "configmaps", name).
Lookup = t.Callable[[str, str], t.Awaitable[Object | None]]

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")
_QUANTITY = re.compile(r"^([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class ConfigError(Exception):
    """The container cannot be made: something that it refers to is missing. The text is the kubelet's."""


def expand(text: str, values: t.Mapping[str, str]) -> str:
    """Replace $(NAME) by its value; `$$` is one dollar, an unknown name stays as it is written."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return values.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def parse_quantity(text: str) -> float:
    """Return a resource quantity as a number (cores, bytes). Raises ValueError."""
    match = _QUANTITY.match(str(text))
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    return float(match[1]) * _UNITS.get(match[2] or "", 1)


def content(kind: str, found: Object) -> dict[str, bytes]:
    """Return the keys of a Secret or ConfigMap as bytes."""
    if kind == "secrets":
        return {key: base64.b64decode(value or "") for key, value in (found.get("data") or {}).items()}
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data.update({key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()})
    return data


def field(pod: Object, path: str) -> str:
    """Return what a fieldRef says, for a pod whose status already has its addresses. Raises ConfigError."""
    match = re.match(r"^metadata\.(labels|annotations)\['([^']+)'\]$", path)
    if match:
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = pod["metadata"].get(path.rpartition(".")[2]) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    if path == "status.podIPs":
        return str(pod["status"]["podIP"])
    value: t.Any = pod
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(value)


def resource(container: Object, reference: Object) -> str:
    """Return what a resourceFieldRef says: the amount divided by the divisor, rounded up; 0 when not set."""
    section, _, name = reference["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(section) or {}
    divisor = parse_quantity(reference.get("divisor") or "1") or 1
    return str(math.ceil(parse_quantity(amounts.get(name, "0")) / divisor))


_KINDS = {"secrets": ("secret", "Secret"), "configmaps": ("configmap", "ConfigMap")}


async def _key(lookup: Lookup, kind: str, reference: Object, namespace: str) -> str | None:
    found = await lookup(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{_KINDS[kind][0]} "{reference["name"]}" not found')
    data = content(kind, found)
    if reference["key"] not in data:
        if reference.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {reference['key']} in {_KINDS[kind][1]} {namespace}/{reference['name']}")
    return data[reference["key"]].decode(errors="replace")


async def resolve(pod: Object, container: Object, lookup: Lookup) -> dict[str, str]:
    """Return the container's own environment variables, in order.

    `envFrom` comes first, `env` wins over it, and a value can refer to names set before it. Raises ConfigError when a
    Secret, a ConfigMap or a key of it is missing and not optional.
    """
    namespace = pod["metadata"]["namespace"]
    values: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        kind = "secrets" if "secretRef" in source else "configmaps"
        reference = source.get("secretRef") or source.get("configMapRef") or {}
        found = await lookup(kind, reference["name"])
        if found is None:
            if reference.get("optional"):
                continue
            raise ConfigError(f'{_KINDS[kind][0]} "{reference["name"]}" not found')
        for key, text in content(kind, found).items():
            values[source.get("prefix", "") + key] = text.decode(errors="replace")
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom")
        if not origin:
            values[variable["name"]] = expand(variable.get("value") or "", values)
            continue
        value: str | None
        if "secretKeyRef" in origin:
            value = await _key(lookup, "secrets", origin["secretKeyRef"], namespace)
        elif "configMapKeyRef" in origin:
            value = await _key(lookup, "configmaps", origin["configMapKeyRef"], namespace)
        elif "resourceFieldRef" in origin:
            value = resource(container, origin["resourceFieldRef"])
        else:
            value = field(pod, origin["fieldRef"]["fieldPath"])
        if value is not None:
            values[variable["name"]] = value
    return values
