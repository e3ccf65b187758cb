"""Volumes of a pod, laid out below its work directory, and their mounts as links below each container's root."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from sandbox.runtime import environment

Object = t.Mapping[str, t.Any]
Get = t.Callable[[str], t.Awaitable[Object | None]]


class NotReady(Exception):
    """A volume cannot be mounted yet; the text is the one of the kubelet's event."""


def _files(kind: str, found: Object, source: Object) -> dict[str, bytes]:
    data = environment.content(kind, found)
    if not source.get("items"):
        return data
    missing = [item["key"] for item in source["items"] if item["key"] not in data]
    if missing and not source.get("optional"):
        raise NotReady(f"references non-existent {kind.removesuffix('s')} key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}


async def _projected(source: Object, pod: Object, lookup: environment.Lookup) -> dict[str, bytes]:
    """Return the files of one Secret, ConfigMap, downward API or projected volume (tokens are left out)."""
    kinds = {"secret": "secrets", "configMap": "configmaps"}
    for key, kind in kinds.items():
        if key in source:
            name = source[key].get("secretName") or source[key].get("name")
            found = await lookup(kind, name)
            if found is None:
                if source[key].get("optional"):
                    return {}
                raise NotReady(f'{kind.removesuffix("s")} "{name}" not found')
            return _files(kind, found, source[key])
    if "downwardAPI" in source:
        items = [item for item in source["downwardAPI"].get("items") or () if "fieldRef" in item]
        return {item["path"]: environment.field(pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
    files: dict[str, bytes] = {}
    for part in (source.get("projected") or {}).get("sources") or ():
        files.update(await _projected(part, pod, lookup))
    return files


async def _claim(name: str, pod: Object, get: Get, data: Path) -> Path:
    """Return the data directory of a bound claim. Raises NotReady."""
    namespace = pod["metadata"]["namespace"]
    claim = await get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
    if claim is None:
        raise NotReady(f'persistentvolumeclaim "{name}" not found')
    if (claim.get("status") or {}).get("phase") != "Bound":
        raise NotReady(f'persistentvolumeclaim "{name}" is not bound')
    directory = data / str(claim["spec"]["volumeName"])
    directory.mkdir(parents=True, exist_ok=True)
    return directory


async def prepare(pod: Object, directory: Path, data: Path, lookup: environment.Lookup, get: Get) -> dict[str, Path]:
    """Make all volumes of the pod and return where each lies. `data` holds the PersistentVolumes' directories.

    Raises NotReady when an object that a volume needs is missing; calling again goes on.
    """
    places: dict[str, Path] = {}
    for volume in pod["spec"].get("volumes") or ():
        name = volume["name"]
        place = directory / "volumes" / name
        try:
            if "persistentVolumeClaim" in volume:
                place = await _claim(volume["persistentVolumeClaim"]["claimName"], pod, get, data)
            elif "ephemeral" in volume:
                place = await _claim(f"{pod['metadata']['name']}-{name}", pod, get, data)
            else:
                place.mkdir(parents=True, exist_ok=True)
                for path, text in (await _projected(volume, pod, lookup)).items():
                    target = place / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(text)
        except NotReady as error:
            raise NotReady(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        places[name] = place
    return places


def mount(container: Object, root: Path, places: t.Mapping[str, Path], values: t.Mapping[str, str]) -> None:
    """Make the container's root: each mount is a link to its volume, or to one path in it."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    # Outer mounts first: an inner one is then made inside the outer volume, as a container runtime does.
    for entry in sorted(container.get("volumeMounts") or (), key=lambda entry: entry["mountPath"].count("/")):
        source = places.get(entry["name"])
        if source is None:
            continue  # a service account token: it is in the kubeconfig
        part = entry.get("subPath") or environment.expand(entry.get("subPathExpr") or "", values)
        if part:
            source = source / part
            if not source.exists():
                source.mkdir(parents=True)
        target = root / entry["mountPath"].strip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            os.rmdir(target)
        target.symlink_to(source)
