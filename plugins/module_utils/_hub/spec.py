# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of a Backstage's spec that belongs to this collection. PRIVATE; pure functions over dictionaries."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

PLATFORM = "sonataflow-platform"
# Goes through the custom resource to the Deployment without a rollout: on it, the operator has seen our change.
HANDSHAKE = "rhdh.orchestrator/seen"
# On a platform that was taken out of a Backstage's ownership, with that one's name: it may have it back.
RELEASED = "rhdh.orchestrator/released-by"
APP_LABEL = "rhdh.redhat.com/app"


class Names(t.NamedTuple):
    """What the operator calls its objects for one Backstage."""

    name: str
    namespace: str

    @property
    def workload(self) -> str:
        """Deployment (or StatefulSet), Service and Route."""
        return f"backstage-{self.name}"

    @property
    def database(self) -> str:
        """StatefulSet and Service of the local database."""
        return f"backstage-psql-{self.name}"

    @property
    def database_secret(self) -> str:
        """Secret of the local database."""
        return f"backstage-psql-secret-{self.name}"

    @property
    def database_claim(self) -> str:
        """PersistentVolumeClaim of the local database; outlives the Backstage."""
        return f"data-backstage-psql-{self.name}-0"

    @property
    def plugins(self) -> str:
        """Our own plugin ConfigMap, where the user has none."""
        return f"{self.name}-orchestrator-plugins"


# -- the spec -------------------------------------------------------------------------------------------------------


def merged(base: t.Any, over: t.Any) -> t.Any:
    """Merge two specs: mappings by key, everything else of `over` wins."""
    if isinstance(base, dict) and isinstance(over, dict):
        result = dict(base)
        for key, value in over.items():
            result[key] = merged(base[key], value) if key in base else copy.deepcopy(value)
        return result
    return copy.deepcopy(over)


def merge_flavours(current: list[Object] | None, orchestrator: bool, lightspeed: bool | None) -> list[Object]:
    """Return the list of flavours to write: what is there, with ours put right and each name once.

    The list is written as a whole. Lightspeed is on where it is not listed, except where the list was empty on
    purpose; `lightspeed` None keeps that as it was.
    """
    wanted: dict[str, Object] = {}  # of two with one name the operator takes the last
    for flavour in current or []:
        wanted[flavour["name"]] = {"name": flavour["name"], "enabled": flavour.get("enabled", True)}
    wanted["orchestrator"] = {"name": "orchestrator", "enabled": orchestrator}
    if lightspeed is None and current == []:
        lightspeed = False
    if lightspeed is not None:
        wanted["lightspeed"] = {"name": "lightspeed", "enabled": lightspeed}
    return list(wanted.values())


def desired_spec(
    row: Object,
    live: Object | None,
    *,
    user: Object,
    orchestrator: bool,
    lightspeed: bool | None,
    replicas: int | None,
    plugins_config_map: str | None,
    token: str | None,
) -> Object:
    """Return the part of a Backstage's spec that we own."""
    spec = copy.deepcopy(user)
    if row["behaviour"]["flavours"]:
        current = user["flavours"] if "flavours" in user else ((live or {}).get("spec") or {}).get("flavours")
        spec["flavours"] = merge_flavours(current, orchestrator, lightspeed)
    if plugins_config_map:
        spec = merged(spec, {"application": {"dynamicPluginsConfigMapName": plugins_config_map}})
    if replicas is not None:
        spec = merged(spec, {"deployment": {"patch": {"spec": {"replicas": replicas}}}})
    if token:
        spec = merged(spec, {"deployment": {"patch": {"metadata": {"annotations": {HANDSHAKE: token}}}}})
    return spec


def token_of(backstage: Object | None) -> str | None:
    """Return the handshake token that a Backstage carries for its Deployment."""
    node: t.Any = (backstage or {}).get("spec") or {}
    for step in ("deployment", "patch", "metadata", "annotations", HANDSHAKE):
        node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None


def plugins_config_map(spec: Object) -> str | None:
    """Return the name of the plugin ConfigMap that a spec refers to."""
    return (spec.get("application") or {}).get("dynamicPluginsConfigMapName") or None


def local_database(spec: Object) -> bool:
    """Tell whether the operator runs the database."""
    return (spec.get("database") or {}).get("enableLocalDb", True) is not False


def workload_kind(spec: Object) -> k.Kind:
    """Return the kind of workload that runs the Hub."""
    return k.STATEFUL_SET if (spec.get("deployment") or {}).get("kind") == "StatefulSet" else k.DEPLOYMENT


def references(spec: Object) -> list[tuple[k.Kind, str]]:
    """Return the ConfigMaps and Secrets that a spec refers to; each must exist before the operator reads it."""
    application = spec.get("application") or {}
    found: list[tuple[k.Kind, str]] = []
    for part in ("appConfig", "extraFiles", "extraEnvs"):
        for key, kind in (("configMaps", k.CONFIG_MAP), ("secrets", k.SECRET)):
            for reference in (application.get(part) or {}).get(key) or []:
                if isinstance(reference, dict) and reference.get("name"):
                    found.append((kind, reference["name"]))
    return list(dict.fromkeys(found))


def owner_of(obj: Object | None) -> tuple[str, str, str] | None:
    """Return kind, name and uid of an object's controller."""
    for reference in ((obj or {}).get("metadata") or {}).get("ownerReferences") or []:
        if reference.get("controller"):
            return reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
    return None
