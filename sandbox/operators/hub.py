"""Stand-in for the Red Hat Developer Hub operator: Backstage.

What differs between releases is data (hub_releases.yml). It keeps the ways of the real one that users fall over: plugin
dependencies come before everything else and the database Job with them, `Deployed` says little, nothing is pruned,
deletion is not noticed, only the custom resource, its Deployment, StatefulSet and referenced files wake it.

Settings: those of `_common` (operators.hub.*).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t
from pathlib import Path

import yaml

from sandbox.operators import _hub_objects as objects
from sandbox.operators import _hub_plugins as plugins
from sandbox.operators._api import ApiError, NoKind, Object
from sandbox.operators._common import Key, Operator, ReconcileError, condition_of, controller_of, now, owner_of, start

GROUP = "rhdh.redhat.com"
APPLY = "backstage-controller"  # the field manager of the objects; labels and status are written as "manager"
SYNC_LABEL, NAME_NOTE = f"{GROUP}/ext-config-sync", f"{GROUP}/backstage-name"
FLAVOUR_PREFIX, FLAVOUR_SUFFIX = "rhdh-flavour-", "-config"


class HubError(ReconcileError):
    """A pass failed in a way that the custom resource's status shows."""


def release_of(image: str, table: dict[str, Object]) -> tuple[str, Object]:
    """Return name and row of the release of an image's tag; an unknown one gets the newest row below it."""
    numbers = [int(part) for part in image.rpartition(":")[2].lstrip("v").split(".")[:2] if part.isdigit()]
    wanted = tuple(numbers) if len(numbers) == 2 else (99, 0)
    known = sorted((tuple(int(part) for part in name.split(".")), name) for name in table)
    best = [name for version, name in known if version <= wanted] or [known[0][1]]
    return best[-1], table[best[-1]]


def read_releases() -> dict[str, Object]:
    """Return the table of releases."""
    text = Path(__file__).with_name("hub_releases.yml").read_text(encoding="utf-8")
    return t.cast("dict[str, Object]", yaml.safe_load(text))


def deployed(workload: Object, rules: Object) -> tuple[str, str, str]:
    """Return status, reason and message of the condition `Deployed` for the Hub's Deployment or StatefulSet."""
    status = workload.get("status") or {}
    ready = status.get("readyReplicas", 0)
    conditions = status.get("conditions") or []
    if rules["deployed"] == "status-replicas":
        if ready == status.get("replicas", 0):
            return "True", "Deployed", ""
        texts = "".join(f" {each['type']}: {each.get('message', '')}" for each in conditions)
        return "False", "DeployInProgress", f"Deployment status:{texts}"
    failure = condition_of(workload, "ReplicaFailure")
    if failure.get("status") == "True":
        return "False", "DeployFailed", failure.get("message", "")
    done = ready == workload["spec"].get("replicas", 1)
    if workload["kind"] == "StatefulSet":
        done = done and status.get("currentReplicas", 0) == status.get("updatedReplicas", 0)
    if done:
        return "True", "Deployed", ""
    texts = "".join(f" {each['type']}={each['status']}({each.get('message', '')});" for each in conditions)
    return "False", "DeployInProgress", texts or "no conditions reported yet"


def references(spec: Object) -> list[tuple[str, str]]:
    """Return kind and name of every ConfigMap and Secret that a Backstage refers to, in the order of use."""
    application = spec.get("application") or {}
    files, env = application.get("extraFiles") or {}, application.get("extraEnvs") or {}
    found = [("ConfigMap", each["name"]) for each in (application.get("appConfig") or {}).get("configMaps") or []]
    for block in (files, env):
        found += [("ConfigMap", each["name"]) for each in block.get("configMaps") or []]
        found += [("Secret", each["name"]) for each in block.get("secrets") or []]
    if application.get("dynamicPluginsConfigMapName"):
        found.append(("ConfigMap", application["dynamicPluginsConfigMapName"]))
    return list(dict.fromkeys(found))


def config_hash(external: dict[tuple[str, str], Object]) -> str:
    """Return the checksum of all referenced content; it is on the pod, so a change of it restarts the Hub."""
    digest = hashlib.sha256()
    for key in sorted(external):
        digest.update(json.dumps([key, external[key].get("data")], sort_keys=True).encode())
    return digest.hexdigest()


class Hub:
    """The controller of Backstages."""

    def __init__(self, operator: Operator, rules: Object, images: objects.Images, home: str) -> None:
        """`home` is the operator's own namespace, where its configuration is."""
        self._op, self._api, self._rules, self._images, self._home = operator, operator.api, rules, images, home
        self.backstages = operator.queue(self.backstage)

    def watch(self) -> None:
        """Register the only things that wake the operator."""
        _, _, version = self._rules["api_version"].partition("/")
        self._op.watch(self.backstages, GROUP, version, "backstages")
        for plural in ("deployments", "statefulsets"):
            self._op.watch(self.backstages, "apps", "v1", plural, lambda body: controller_of(body, "Backstage"))

        def named(body: t.Mapping[str, t.Any]) -> Key | None:
            name = (body["metadata"].get("annotations") or {}).get(NAME_NOTE)
            return (body["metadata"]["namespace"], name) if name else None

        for plural in ("configmaps", "secrets"):
            self._op.watch(self.backstages, "", "v1", plural, named, labels={SYNC_LABEL: "true"})

    async def backstage(self, key: Key) -> float | None:
        """One pass. A Backstage that is being deleted gets it as well: the operator does not look at that."""
        backstage = await self._api.get(self._rules["api_version"], "Backstage", *key)
        if backstage is None:
            return None
        backstage.setdefault("spec", {})
        try:
            workload = await self._pass(backstage)
        except HubError as error:
            await self._say(backstage, "False", "DeployFailed", str(error))
            raise
        if workload:
            await self._say(backstage, *deployed(workload, self._rules))
        return None

    async def _say(self, backstage: Object, status: str, reason: str, message: str) -> None:
        old = condition_of(backstage, "Deployed")
        since = old["lastTransitionTime"] if old.get("status") == status else now()
        new = {"type": "Deployed", "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
        if old != new:
            await self._api.patch(backstage, {"status": {"conditions": [new]}}, "status")

    async def _pass(self, backstage: Object) -> Object | None:
        try:
            external = await self._external(backstage)
        except ApiError as error:
            raise HubError(f"failed to preprocess backstage spec {error}") from error
        if (backstage["spec"].get("monitoring") or {}).get("enabled"):
            try:
                await self._api.apply(self._service_monitor(backstage), APPLY)
            except ApiError as error:
                raise HubError(f"failed to apply ServiceMonitor failed to apply ServiceMonitor: {error}") from error
        try:
            chosen, merged = await self._plugins(backstage, external)
        except plugins.PluginError as error:
            raise HubError(f"failed to initialize backstage model {error}") from error
        await self._dependencies(backstage, plugins.dependencies(merged))
        try:
            return await self._objects(backstage, external, merged, "lightspeed" in chosen)
        except ApiError as error:
            raise HubError(f"failed to apply backstage objects {error}") from error

    async def _external(self, backstage: Object) -> dict[tuple[str, str], Object]:
        """Return what the Backstage refers to, marked so that its changes wake the operator."""
        home, found = backstage["metadata"]["namespace"], {}
        for kind, name in references(backstage["spec"]):
            body = await self._api.get("v1", kind, home, name)
            if body is None:
                text = f'failed to get external config from {name}: {kind} "{name}" not found'
                raise HubError(f"failed to preprocess backstage spec {text}")
            labels, notes = body["metadata"].get("labels") or {}, body["metadata"].get("annotations") or {}
            if labels.get(SYNC_LABEL) != "true" or NAME_NOTE not in notes:
                change: Object = {"labels": {SYNC_LABEL: "true"}}
                if NAME_NOTE not in notes:  # a file shared by two Backstages stays with the first
                    change["annotations"] = {NAME_NOTE: backstage["metadata"]["name"]}
                await self._api.patch({"apiVersion": "v1", "kind": kind, **body}, {"metadata": change})
            found[kind, name] = body
        return found

    async def _config(self, name: str) -> dict[str, str]:
        body = await self._api.get("v1", "ConfigMap", self._home, name)
        return (body or {}).get("data") or {}

    async def _plugins(self, backstage: Object, external: dict[tuple[str, str], Object]) -> tuple[list[str], Object]:
        """Return the enabled flavours and the plugins that count."""
        default = (await self._config("rhdh-default-config")).get(plugins.FILE, "")
        chosen: list[str] = []
        texts: list[str] = []
        if self._rules["flavours"]:
            known: dict[str, bool] = {}
            files: dict[str, str] = {}
            for body in await self._api.list("v1", "ConfigMap", self._home):
                name = body["metadata"]["name"]
                if name.startswith(FLAVOUR_PREFIX) and name.endswith(FLAVOUR_SUFFIX):
                    short = name[len(FLAVOUR_PREFIX) : -len(FLAVOUR_SUFFIX)]
                    metadata = yaml.safe_load(body["data"].get("metadata.yaml", "")) or {}
                    known[short] = bool(metadata.get("enabledByDefault"))
                    files[short] = body["data"].get(plugins.FILE, "")
            chosen = plugins.enabled_flavours(backstage["spec"].get("flavours"), known)
            texts = [files[name] for name in chosen]
        name = (backstage["spec"].get("application") or {}).get("dynamicPluginsConfigMapName")
        prefix = "failed to contribute external config, reason: "
        user = None
        if name:
            data = external["ConfigMap", name].get("data") or {}
            if list(data) != [plugins.FILE]:
                raise plugins.PluginError(f"{prefix}dynamic plugin configMap expects '{plugins.FILE}' Data key")
            user = data[plugins.FILE]
        try:
            return chosen, plugins.effective(default, texts, user, self._rules)
        except plugins.PluginError as error:
            raise plugins.PluginError(f"{prefix}{error}") from error

    async def _dependencies(self, backstage: Object, refs: list[str]) -> None:
        """Apply by force what the plugins depend on, and take it over, whoever made it. One failure spoils the pass."""
        meta, errors = backstage["metadata"], []
        files = await self._config("rhdh-plugin-deps") if refs else {}
        for file in sorted(files):
            if not any(file.startswith(ref) for ref in refs):
                continue
            text = (
                files[file].replace("{{backstage-name}}", meta["name"]).replace("{{backstage-ns}}", meta["namespace"])
            )
            for body in yaml.safe_load_all(text):
                if not body:
                    continue
                body["metadata"].setdefault("namespace", meta["namespace"])
                body["metadata"]["ownerReferences"] = [owner_of(backstage)]
                try:
                    await self._api.apply(body, APPLY)
                except ApiError as error:
                    errors.append(f"{error}\n")
        if errors:
            raise HubError("failed to apply plugin dependencies " + "".join(errors))

    async def _objects(
        self, backstage: Object, external: dict[tuple[str, str], Object], merged: Object, lightspeed: bool
    ) -> Object | None:
        """Apply the Hub's own objects in the product's order: the database's StatefulSet comes last."""
        rules, spec = self._rules, backstage["spec"]
        home, all_names = backstage["metadata"]["namespace"], objects.names(backstage["metadata"]["name"], rules)
        local = (spec.get("database") or {}).get("enableLocalDb", True)
        if not local and rules["cleans_by_name"]:
            await self._api.delete("apps/v1", "StatefulSet", home, all_names["database"])
            await self._api.delete("v1", "Service", home, all_names["database"])
            await self._api.delete("v1", "Secret", home, all_names["secret"])

        async def apply(body: Object | None) -> Object:
            return await self._api.apply(body, APPLY) if body else {}

        await apply(objects.app_config(backstage, rules))
        for body in objects.lightspeed_files(backstage) if lightspeed else []:
            await apply(body)
        if local:
            if not (spec.get("database") or {}).get("authSecretName"):
                await self._create_once(objects.database_secret(backstage, rules))
            await apply(objects.database_service(backstage))
        text = {plugins.FILE: plugins.dump(merged)}
        meta = {**objects.service(backstage)["metadata"], "name": all_names["plugins"]}
        await apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": text})
        with contextlib.suppress(NoKind):  # not on OpenShift: no Route
            await apply(objects.route(backstage))
        await apply(objects.npmrc(backstage, rules))
        await apply(objects.service(backstage))
        user = (spec.get("application") or {}).get("dynamicPluginsConfigMapName")
        workload = await apply(
            objects.deployment(
                backstage,
                rules,
                self._images,
                external,
                config_hash(external),
                plugins_map=user if user and rules["plugins"] == "replace" else all_names["plugins"],
                lightspeed=lightspeed,
            )
        )
        if local:
            await apply(objects.stateful_set(backstage, rules, self._images))
        return workload

    async def _create_once(self, body: Object) -> None:
        """Create the object; one that exists is left alone, whoever made it."""
        try:
            await self._api.create(body, APPLY)
        except ApiError as error:
            if error.code != 409:
                raise

    def _service_monitor(self, backstage: Object) -> Object:
        meta = objects.service(backstage)["metadata"]
        labels = {"app.kubernetes.io/instance": backstage["metadata"]["name"], "app.kubernetes.io/name": "backstage"}
        spec = {"selector": {"matchLabels": labels}, "endpoints": [{"port": "http-metrics", "path": "/metrics"}]}
        return {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {**meta, "name": f"backstage-{backstage['metadata']['name']}-metrics"},
            "spec": spec,
        }


async def main() -> None:
    """Run the stand-in until it is told to stop."""
    given = dict(os.environ)  # the product's names are in mixed case
    hub_image = given.get("RELATED_IMAGE_backstage", "registry.redhat.io/rhdh/rhdh-hub-rhel9:1.10.0")
    release, rules = release_of(hub_image, read_releases())
    images = objects.Images(
        hub=hub_image,
        postgresql=given.get("RELATED_IMAGE_postgresql", "registry.redhat.io/rhel9/postgresql-15:latest"),
        catalog_index=given.get("RELATED_IMAGE_catalog_index", f"quay.io/rhdh/plugin-catalog-index:{release}"),
    )
    operator = Operator("hub")
    home = os.environ.get("OPERATOR_NAMESPACE") or os.environ.get("POD_NAMESPACE", "rhdh-operator")
    Hub(operator, rules, images, home).watch()
    await operator.run()


if __name__ == "__main__":
    start(main)
