"""Stand-in for the OpenShift Serverless Logic operator: SonataFlowPlatform, SonataFlowClusterPlatform, SonataFlow.

It keeps the ways of the real one that users fall over: `Succeed` is True before any service exists; the spec of a young
platform is written back as it was some moments ago; with the Broker missing there is no Job Service at all; the Job
Service has 0 replicas until its sink is bound; Brokers are never watched; a pass that does not find the migration Job
deletes both Deployments.

Settings besides those of `_common` (operators.logic.*):
stale_spec_windows  list of [read, write] in seconds after the first pass: the spec read at the first moment is written
                    back at the second (default [[0, 0.9], [0.95, 1.8], [5.0, 5.5]]; [] switches the trap off)
poll_seconds        pause between looks at what is not watched: duplicates, migration Jobs (default 5)
services_fail       text: every pass fails with it once the platform itself is a success (default: none)
workflow_ready_seconds  least age of a workflow before it is called running (default 0)
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import typing as t
from pathlib import Path

import yaml

from sandbox import net
from sandbox.operators import _logic_objects as objects
from sandbox.operators._api import ApiError, Object
from sandbox.operators._common import Key, Operator, ReconcileError, condition_of, controller_of, now, start
from sandbox.operators._logic_objects import DATA_INDEX, JOBS

GROUP, VERSION = "sonataflow.org", "v1alpha08"
API = f"{GROUP}/{VERSION}"
TRIGGER_FINALIZER, WORKFLOW_FINALIZER = "trigger-deletion", "workflow-deletion"
REGISTRY = "registry.redhat.io/openshift-serverless-1"
WINDOWS = [[0, 0.9], [0.95, 1.8], [5.0, 5.5]]
INFO = {"goOS": "linux", "goVersion": "go1.26.8"}


def images_from(root: str) -> objects.Images:
    """Return the operand images named in the operator's own configuration, config/controllers_cfg.yaml below `root`.

    Images that it does not name are called like the Data Index's.
    """
    path = Path(root, "config", "controllers_cfg.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    index = config.get("dataIndexPostgreSQLImageTag") or f"{REGISTRY}/logic-data-index-postgresql-rhel9:latest"

    def image(key: str, name: str) -> str:
        return config.get(key) or index.replace("logic-data-index-postgresql", name)

    return objects.Images(
        tag=index.rpartition(":")[2],
        data_index=index,
        data_index_ephemeral=image("dataIndexEphemeralImageTag", "logic-data-index-ephemeral"),
        jobs=image("jobsServicePostgreSQLImageTag", "logic-jobs-service-postgresql"),
        jobs_ephemeral=image("jobsServiceEphemeralImageTag", "logic-jobs-service-ephemeral"),
        migrator=image("dbMigratorToolImageTag", "logic-db-migrator-tool"),
    )


def is_bound(binding: Object | None, deployment: Object | None) -> bool:
    """Whether the sink is bound: the SinkBinding says so and the Deployment's container carries K_SINK."""
    if not binding or not deployment or condition_of(binding, "SinkProvided").get("status") != "True":
        return False
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return any(entry["name"] == "K_SINK" for entry in containers[0].get("env") or [])


class Logic:
    """The controllers of the three kinds; each has one worker, so one slow object delays the others of its kind."""

    def __init__(self, operator: Operator, images: objects.Images) -> None:
        self._op = operator
        self._api = operator.api
        self._images = images
        self.platforms = operator.queue(self.platform)
        self.clusters = operator.queue(self.cluster_platform)
        self.workflows = operator.queue(self.workflow)
        self._young: set[str] = set()

    def watch(self) -> None:
        """Register what is watched. Brokers, Secrets and Jobs are not."""
        watch = self._op.watch
        watch(self.platforms, GROUP, VERSION, "sonataflowplatforms")
        watch(self.clusters, GROUP, VERSION, "sonataflowclusterplatforms")
        watch(self.workflows, GROUP, VERSION, "sonataflows")
        for group, version, plural in (
            ("apps", "v1", "deployments"),
            ("", "v1", "services"),
            ("", "v1", "configmaps"),
            ("eventing.knative.dev", "v1", "triggers"),  # only when the CRD exists at the start, as in the product
            ("sources.knative.dev", "v1", "sinkbindings"),
        ):
            watch(self.platforms, group, version, plural, lambda body: controller_of(body, "SonataFlowPlatform"))
            watch(self.workflows, group, version, plural, lambda body: controller_of(body, "SonataFlow"))

    def _poll(self) -> float:
        return float(self._op.setting("poll_seconds", 5))

    # ---- platforms

    async def platform(self, key: Key) -> float | None:
        """One pass over a platform."""
        platform = await self._api.get(API, "SonataFlowPlatform", *key)
        if platform is None:
            for other in await self._api.list(API, "SonataFlowClusterPlatform"):
                reference = other["spec"]["platformRef"]
                if (reference["namespace"], reference["name"]) == key:
                    self.clusters.add(("", other["metadata"]["name"]))
            for other in await self._api.list(API, "SonataFlowPlatform", key[0]):
                self.platforms.add((key[0], other["metadata"]["name"]))
            for workflow in await self._api.list(API, "SonataFlow", key[0]):
                self.workflows.add((key[0], workflow["metadata"]["name"]))
            return None
        if platform["metadata"].get("deletionTimestamp"):
            await self._forget_triggers(platform)
            return None
        state = condition_of(platform, "Succeed")
        if state.get("status") != "True":
            if await self._has_active_sibling(platform):
                if state.get("reason") != "Duplicated":
                    await self._say(
                        platform, "False", "Duplicated", observedGeneration=platform["metadata"]["generation"]
                    )
                return self._poll()
            platform = await self._create(platform)
        platform = await self._link_cluster_platform(platform)
        return await self._services(platform)

    async def _say(self, platform: Object, status: str, reason: str = "", message: str = "", **more: t.Any) -> Object:
        condition = {"type": "Succeed", "status": status, "lastUpdateTime": now()}
        condition |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
        result = await self._api.patch(platform, {"status": {"conditions": [condition], **more}}, "status")
        text = f"Updated platform condition to  Condition Succeed status is {status}."
        text = text[:-1] if not reason else f"{text} [Reason] {reason}"
        await self._op.emit(platform, "Normal", "Updated", text)
        return result

    async def _has_active_sibling(self, platform: Object) -> bool:
        siblings = await self._api.list(API, "SonataFlowPlatform", platform["metadata"]["namespace"])
        for other in siblings:
            state = condition_of(other, "Succeed")
            other_one = other["metadata"]["uid"] != platform["metadata"]["uid"]
            if other_one and state and state.get("reason") != "Duplicated":
                return True
        return False

    async def _create(self, platform: Object) -> Object:
        """Walk a new platform through its conditions; they say nothing about its services."""
        first = not condition_of(platform, "Succeed")
        base: Object = {"cluster": "openshift", "info": INFO}
        if first:
            platform = await self._say(platform, "Unknown", **base)
        else:
            platform = await self._api.patch(platform, {"status": base}, "status")
        observed = platform["metadata"]["generation"]
        spec = objects.defaulted(platform["spec"])
        if spec != platform["spec"]:
            platform = await self._api.replace({**platform, "spec": spec})
        if first and platform["metadata"]["uid"] not in self._young:
            self._young.add(platform["metadata"]["uid"])
            for read, write in self._op.setting("stale_spec_windows", WINDOWS):
                self._op.spawn(self._write_stale_spec(platform, float(read), float(write)))
        version = objects.SPEC_VERSION
        platform = await self._say(platform, "False", "Creating", observedGeneration=observed, version=version)
        generation = platform["metadata"]["generation"]
        return await self._say(platform, "True", observedGeneration=generation, version=version)

    async def _write_stale_spec(self, platform: Object, read: float, write: float) -> None:
        """Write back the spec of a moment ago over whatever came in between, without noticing the conflict."""
        meta = platform["metadata"]
        try:
            if read:
                await asyncio.sleep(read)
                platform = await self._api.get(API, "SonataFlowPlatform", meta["namespace"], meta["name"]) or platform
            await asyncio.sleep(write - read)
            fresh = await self._api.get(API, "SonataFlowPlatform", meta["namespace"], meta["name"])
            same = fresh and fresh["metadata"]["uid"] == meta["uid"] and not fresh["metadata"].get("deletionTimestamp")
            if fresh and same and fresh["spec"] != platform["spec"]:
                await self._api.replace({**fresh, "spec": platform["spec"]})
        except ApiError:
            return  # gone or changed at this very moment

    async def _link_cluster_platform(self, platform: Object) -> Object:
        link: Object | None = None
        for cluster in await self._api.list(API, "SonataFlowClusterPlatform"):
            if condition_of(cluster, "Succeed").get("status") != "True":
                continue
            reference = cluster["spec"]["platformRef"]
            link = {"name": cluster["metadata"]["name"], "platformRef": reference, "services": None}
            target = await self._api.get(API, "SonataFlowPlatform", reference["namespace"], reference["name"])
            if target and not platform["spec"].get("services"):
                names = ((DATA_INDEX, "dataIndexRef"), (JOBS, "jobServiceRef"))
                urls = {
                    ref: {"url": objects.service_url(target, service)}
                    for service, ref in names
                    if objects.has_service(target, service)
                }
                link["services"] = urls or None
        if link is None and "clusterPlatformRef" not in platform["status"]:
            return platform
        return await self._api.patch(platform, {"status": {"clusterPlatformRef": link}}, "status")

    async def _services(self, platform: Object) -> float | None:
        """Bring up the services of a platform. An error ends the pass, and only then the generation is not observed."""
        trouble = self._op.setting("services_fail", None)
        if trouble:
            await self._op.emit(platform, "Warning", "Failed", f"Failed to update SonataFlowPlaform: {trouble}")
            raise ReconcileError(trouble)
        status: Object = {}
        present = [service for service in (DATA_INDEX, JOBS) if objects.has_service(platform, service)]
        if any(objects.strategy_of(platform, service) == "job" for service in present):
            if not await self._migrated(platform):
                return self._poll()
            status["sonataFlowPlatformDBMigrationPhase"] = {
                "dbMigrationStatus": "Succeeded",
                "message": "The database migrations for the services are successful",
                "reason": "The database migration job completed as expected",
            }
        for service in present:
            await self._service(platform, service)
        status["observedGeneration"] = platform["metadata"]["generation"]
        await self._api.patch(platform, {"status": status}, "status")
        return None

    async def _migrated(self, platform: Object) -> bool:
        home, name = platform["metadata"]["namespace"], objects.migration_job_name(self._images.tag)
        job = await self._api.get("batch/v1", "Job", home, name)
        if job is None:
            for service in (DATA_INDEX, JOBS):
                await self._api.delete("apps/v1", "Deployment", home, objects.service_name(platform, service))
            await self._api.create(objects.migration_job(platform, self._images))
            return False
        if condition_of(job, "Failed").get("status") == "True":
            text = f"DB migration job failed. namespace={home} job={name}"
            await self._op.emit(platform, "Warning", "Failed", f"Failed to update SonataFlowPlaform: {text}")
            raise ReconcileError(text)
        return bool(condition_of(job, "Complete").get("status") == "True")

    async def _service(self, platform: Object, service: str) -> None:
        home, full, tag = platform["metadata"]["namespace"], objects.service_name(platform, service), self._images.tag
        broker = objects.broker_of(platform, service)
        sender = service == JOBS and broker is not None
        binding = None
        if sender and broker:
            binding = await self._api.get("sources.knative.dev/v1", "SinkBinding", home, f"{full}-sb")
        await self._ensure(objects.properties(platform, service, tag))
        wanted = objects.deployment(platform, service, self._images)
        present = await self._api.get("apps/v1", "Deployment", home, full)
        if present:
            old = present["spec"]["template"]["spec"]["containers"][0].get("env") or []
            env = wanted["spec"]["template"]["spec"]["containers"][0]["env"]
            env += [entry for entry in old if entry["name"] in objects.INJECTED]
        bound = is_bound(binding, present)
        if sender and not bound:
            wanted["spec"]["replicas"] = 0
        await self._ensure(wanted, present)
        await self._ensure(objects.service_object(platform, service, tag))
        if broker:
            await self._broker(platform, broker)
            await self._triggers(platform, service, broker)
        if sender and broker:
            labels = objects.labels_of(platform, full, service, tag)
            await self._ensure(objects.sink_binding(platform, f"{full}-sb", full, broker, labels), binding)
            if not bound:
                text = f"waiting for K_SINK injection for service {full} to complete"
                await self._op.emit(platform, "Warning", "WaitingKnativeEventing", text)
                raise ReconcileError(text)

    async def _broker(self, platform: Object, broker: Object) -> None:
        """Return when the broker is there and ready; its becoming so later wakes nobody."""
        try:
            found = await self._api.get(
                broker["apiVersion"], broker["kind"] or "Broker", broker["namespace"], broker["name"]
            )
            if found is None:
                raise ReconcileError(f'brokers.eventing.knative.dev "{broker["name"]}" not found')
            if condition_of(found, "Ready").get("status") != "True":
                raise ReconcileError(f"broker {broker['name']} in namespace {broker['namespace']} is not ready")
        except (ApiError, ReconcileError) as error:
            await self._op.emit(platform, "Warning", "Failed", f"Failed to update SonataFlowPlaform: {error}")
            raise

    async def _triggers(self, platform: Object, service: str, broker: Object) -> None:
        wanted = objects.triggers(platform, service, self._images.tag)
        if broker["namespace"] != platform["metadata"]["namespace"]:
            await self._api.add_finalizer(platform, TRIGGER_FINALIZER)
        for trigger in wanted:
            await self._ensure(trigger)
        known = platform["status"].get("triggers") or []
        names = [{"name": each["metadata"]["name"], "namespace": each["metadata"]["namespace"]} for each in wanted]
        merged = known + [each for each in names if each not in known]
        if merged != known:
            platform["status"]["triggers"] = merged
            await self._api.patch(platform, {"status": {"triggers": merged}}, "status")

    async def _forget_triggers(self, platform: Object) -> None:
        if TRIGGER_FINALIZER not in (platform["metadata"].get("finalizers") or []):
            return
        for reference in platform["status"].get("triggers") or []:
            await self._api.delete("eventing.knative.dev/v1", "Trigger", reference["namespace"], reference["name"])
        await self._api.drop_finalizer(platform, TRIGGER_FINALIZER)

    async def _ensure(self, wanted: Object, present: Object | None = None) -> None:
        """Create the object, or merge ours into it: lists are replaced, map entries that we do not know survive."""
        meta = wanted["metadata"]
        if present is None:
            present = await self._api.get(wanted["apiVersion"], wanted["kind"], meta["namespace"], meta["name"])
        if present is None:
            await self._api.create(wanted)
            return
        change: Object = {key: wanted[key] for key in ("spec", "data") if key in wanted}
        change["metadata"] = {key: meta[key] for key in ("labels", "annotations", "ownerReferences") if key in meta}
        if wanted["kind"] == "Deployment":
            # What was injected is taken over from what was read: not when it has changed since.
            change["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"]
            change["spec"] = {key: value for key, value in change["spec"].items() if key != "selector"}
        await self._api.patch(present, change)

    # ---- cluster platforms

    async def cluster_platform(self, key: Key) -> float | None:
        """One pass over a cluster platform. A duplicate is not promoted when the active one goes."""
        cluster = await self._api.get(API, "SonataFlowClusterPlatform", None, key[1])
        if cluster is None:
            await self._touch_platforms()
            return None
        if cluster["metadata"].get("deletionTimestamp"):
            return None
        everyone = await self._api.list(API, "SonataFlowClusterPlatform")
        for other in everyone:
            state = condition_of(other, "Succeed")
            if other["metadata"]["uid"] != cluster["metadata"]["uid"] and state and state.get("reason") != "Duplicated":
                duplicate = {"type": "Succeed", "status": "False", "reason": "Duplicated"}
                await self._cluster_status(cluster, duplicate, version=False)
                return None
        if not cluster["spec"].get("capabilities"):
            cluster = await self._api.patch(cluster, {"spec": {"capabilities": {"workflows": ["services"]}}})
        reference = cluster["spec"]["platformRef"]
        home, name = reference["namespace"], reference["name"]
        platform = await self._api.get(API, "SonataFlowPlatform", home, name)
        condition: Object = {"type": "Succeed", "status": "False"}
        if platform is None or platform["metadata"].get("deletionTimestamp"):
            condition["reason"] = "PlatformNotFound"
            condition["message"] = f"{name} platform does not exist in {home} namespace."
        elif condition_of(platform, "Succeed").get("status") == "True":
            condition["status"] = "True"
            condition["message"] = f"Referenced SonataFlowPlatform '{home}/{name}' is ready"
        else:
            condition["reason"] = "PlatformNotReady"
        changed = await self._cluster_status(cluster, condition)
        if changed:
            await self._touch_platforms()
        return None if condition["status"] == "True" else 2

    async def _cluster_status(self, cluster: Object, condition: Object, version: bool = True) -> bool:
        old = {key: value for key, value in condition_of(cluster, "Succeed").items() if key != "lastUpdateTime"}
        status: Object = {"observedGeneration": cluster["metadata"]["generation"]}
        if version:
            status["version"] = objects.SPEC_VERSION
        changed = old != condition
        if changed:
            status["conditions"] = [{**condition, "lastUpdateTime": now()}]
        await self._api.patch(cluster, {"status": status}, "status")
        return changed

    async def _touch_platforms(self) -> None:
        for platform in await self._api.list(API, "SonataFlowPlatform"):
            self.platforms.add((platform["metadata"]["namespace"], platform["metadata"]["name"]))

    # ---- workflows

    async def workflow(self, key: Key) -> float | None:
        """One pass over a workflow of the gitops profile; builds of the other profiles are not played."""
        workflow = await self._api.get(API, "SonataFlow", *key)
        if workflow is None:
            return None
        if workflow["metadata"].get("deletionTimestamp"):
            return await self._finish(workflow)
        profile = (workflow["metadata"].get("annotations") or {}).get("sonataflow.org/profile", "preview")
        if profile != "dev":
            workflow = await self._api.add_finalizer(workflow, WORKFLOW_FINALIZER)
        if ((workflow["spec"].get("podTemplate") or {}).get("replicas")) is None:
            workflow = await self._api.patch(workflow, {"spec": {"podTemplate": {"replicas": 1}}})
        selector = ",".join(f"{k}={v}" for k, v in sorted(objects.workflow_labels(workflow, self._images.tag).items()))
        if "status" not in workflow or workflow["status"].get("selector") != selector:
            workflow = await self._api.patch(workflow, {"status": {"address": {}, "selector": selector}}, "status")
        platform = await self._platform_of(key[0])
        if platform is None:
            platform = {
                "apiVersion": API,
                "kind": "SonataFlowPlatform",
                "metadata": {"name": "sonataflow-platform", "namespace": key[0]},
                "spec": objects.defaulted({}),
            }
            platform = await self._api.create(platform)
        urls = self._urls(platform)
        status: Object = {
            "flowCRC": objects.flow_checksum(workflow),
            "observedGeneration": workflow["metadata"]["generation"],
            "platform": {"name": platform["metadata"]["name"], "namespace": key[0]},
        }
        refs = {name: {"url": url} for name, url in zip(("dataIndexRef", "jobServiceRef"), urls, strict=True) if url}
        if refs:
            status["services"] = refs
        if not condition_of(workflow, "Running"):
            status["conditions"] = [
                {"type": "Built", "status": "False", "reason": "BuildSkipped", "lastUpdateTime": now()},
                {"type": "Running", "status": "Unknown", "lastUpdateTime": now()},
            ]
        workflow = await self._api.patch(workflow, {"status": status}, "status")
        return await self._deploy(workflow, platform, urls)

    def _urls(self, platform: Object) -> tuple[str | None, str | None]:
        linked = ((platform.get("status") or {}).get("clusterPlatformRef") or {}).get("services") or {}
        result = []
        for service, ref in ((DATA_INDEX, "dataIndexRef"), (JOBS, "jobServiceRef")):
            own = objects.service_url(platform, service) if objects.has_service(platform, service) else None
            result.append(own or (linked.get(ref) or {}).get("url"))
        return result[0], result[1]

    async def _platform_of(self, home: str) -> Object | None:
        found = await self._api.list(API, "SonataFlowPlatform", home)
        alive = [each for each in found if not each["metadata"].get("deletionTimestamp")]
        active = [each for each in alive if condition_of(each, "Succeed").get("reason") != "Duplicated"]
        return next(iter(active or alive), None)

    async def _deploy(self, workflow: Object, platform: Object, urls: tuple[str | None, str | None]) -> float | None:
        home, name = workflow["metadata"]["namespace"], workflow["metadata"]["name"]
        broker = objects.broker_of(platform)
        managed = objects.workflow_properties(workflow, urls, broker is not None)
        present = await self._api.get("apps/v1", "Deployment", home, name)
        try:
            for wanted in objects.workflow_objects(workflow, platform, managed, self._images.tag):
                if wanted["kind"] == "Deployment" and present:
                    env = wanted["spec"]["template"]["spec"]["containers"][0].setdefault("env", [])
                    old = present["spec"]["template"]["spec"]["containers"][0].get("env") or []
                    env += [entry for entry in old if entry["name"] in objects.INJECTED]
                await self._ensure(wanted, present if wanted["kind"] == "Deployment" else None)
        except ApiError as error:
            text = f"Unable to perform the deploy due to: {error}"
            await self._running(workflow, "False", "DeploymentIsUnavailable", text)
            raise
        if broker:
            labels = objects.workflow_labels(workflow, self._images.tag)
            labels["app.kubernetes.io/part-of"] = platform["metadata"]["name"]
            await self._ensure(objects.sink_binding(workflow, f"{name}-sb", name, broker, labels))
        if not present:  # the operator does not look at a Deployment in the pass that creates it
            await self._running(workflow, "False", "WaitingForDeployment")
            return 2.0
        deployment = await self._api.get("apps/v1", "Deployment", home, name)
        created = datetime.datetime.fromisoformat(workflow["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
        age = (datetime.datetime.now(datetime.UTC) - created).total_seconds()
        wait = float(self._op.setting("workflow_ready_seconds", 0)) - age
        if deployment and condition_of(deployment, "Available").get("status") == "True" and wait <= 0:
            replicas = {"replicas": (deployment.get("status") or {}).get("replicas", 0)}
            await self._running(workflow, "True", **replicas)
            return None
        text = await self._pod_trouble(home, name)
        if text:
            await self._running(workflow, "False", "DeploymentIsUnavailable", text)
        else:
            await self._running(workflow, "False", "WaitingForDeployment")
        return max(wait, 2.0)

    async def _running(self, workflow: Object, status: str, reason: str = "", message: str = "", **more: t.Any) -> None:
        old = condition_of(workflow, "Running")
        new = {"type": "Running", "status": status, "reason": reason, "message": message}
        if all(old.get(key, "") == value for key, value in new.items()) and not more.keys() - workflow["status"].keys():
            return
        built = condition_of(workflow, "Built")
        running = {key: value for key, value in new.items() if value} | {"lastUpdateTime": now()}
        await self._api.patch(workflow, {"status": {"conditions": [built, running], **more}}, "status")

    async def _pod_trouble(self, home: str, name: str) -> str:
        """Return what the first waiting container of the workflow complains about, or an empty text."""
        for pod in await self._api.list("v1", "Pod", home, f"sonataflow.org/workflow-app={name}"):
            for container in (pod.get("status") or {}).get("containerStatuses") or []:
                waiting = (container.get("state") or {}).get("waiting") or {}
                if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                    return f"ContainerNotReady: ({waiting['reason']}) {waiting.get('message', '')}".rstrip()
        return ""

    async def _finish(self, workflow: Object) -> float | None:
        """Tell the Data Index that the workflow is gone, three times 4 s apart, then let it go anyway."""
        if WORKFLOW_FINALIZER not in (workflow["metadata"].get("finalizers") or []):
            return None
        tries = int((workflow.get("status") or {}).get("finalizerAttempts", 0))
        url = (((workflow.get("status") or {}).get("services") or {}).get("dataIndexRef") or {}).get("url")
        if url and tries < 3 and not await _answers(url.removeprefix("http://")):
            stamps = {"finalizerAttempts": tries + 1, "lastTimeFinalizerAttempt": now()}
            workflow = await self._api.patch(workflow, {"status": stamps}, "status")
            if tries < 2:
                return 4
        await self._api.drop_finalizer(workflow, WORKFLOW_FINALIZER)
        return None


async def _answers(host: str) -> bool:
    """Whether something accepts connections behind a Service of the cluster."""
    if not os.environ.get("SANDBOX_DNS"):
        return False
    try:
        address, port = net.resolve(host, 80)
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port, family=socket.AF_INET), 1)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


async def main() -> None:
    """Run the stand-in until it is told to stop."""
    operator = Operator("logic")
    Logic(operator, images_from(os.environ.get("SANDBOX_ROOT", "/"))).watch()
    await operator.run()


if __name__ == "__main__":
    start(main)
