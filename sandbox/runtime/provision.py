"""PersistentVolumes for claims of the sandbox's StorageClass: a directory each, gone with its volume."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

PROVISIONER = "sandbox.invalid/local"
_WANTED = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")

Object = t.Mapping[str, t.Any]


def wanted(claim: Object, storage_class: Object) -> bool:
    """Return whether a volume is to be made for this claim now."""
    annotations = claim["metadata"].get("annotations") or {}
    if claim["spec"].get("volumeName") or claim["metadata"].get("deletionTimestamp"):
        return False
    if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not annotations.get(
        "volume.kubernetes.io/selected-node"
    ):
        return False
    return any(annotations.get(name) == PROVISIONER for name in _WANTED)


def volume(claim: Object, storage_class: Object, data: Path) -> dict[str, t.Any]:
    """Return the PersistentVolume for a claim. Its name follows the claim's uid, and so does its data."""
    name = f"pvc-{claim['metadata']['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim["metadata"]["name"],
                "namespace": claim["metadata"]["namespace"],
                "uid": claim["metadata"]["uid"],
            },
            "hostPath": {"path": str(data / name)},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
        },
    }


def removable(found: Object) -> bool:
    """Return whether a PersistentVolume is ours and its claim is gone for good."""
    annotations = found["metadata"].get("annotations") or {}
    return (
        annotations.get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        and (found.get("status") or {}).get("phase") in ("Released", "Failed")
        and found["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    )


def remove_data(name: str, data: Path) -> None:
    """Remove the directory of a volume."""
    shutil.rmtree(data / name, ignore_errors=True)
