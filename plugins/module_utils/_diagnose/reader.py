# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an unready object down to the deepest cause that the cluster knows, with what to do. PRIVATE.

Reads only, and only after a wait has ended badly; a bounded number of bounded pages. What may not be read makes the
answer less detailed and is said.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from urllib.parse import urlencode

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    LOGIC_OPERATORS,
    claim_cause,
    conditions_cause,
    creation_cause,
    csv_cause,
    deletion_cause,
    event_cause,
    holder,
    job_cause,
    missing_remedy,
    namespace_cause,
    node_cause,
    pod_cause,
    references,
    storage_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import (
    component_label,
    deployments_of,
    is_orphan,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.judge import (
    crd_safety,
    dead,
    plan_message,
    plan_missing,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolution import (
    MOVING,
    RESOLUTION_STATES,
    catalog_state,
    resolution_class,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import LOG_LINES, short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import finding, missing_object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import (
    newest,
    newest_set,
    replica_failure,
    workload,
)

MAX_REQUESTS = 15  # of one diagnosis
PAGE = 100  # objects that are read of any list
MAX_REFERENCES = 4  # Secrets and ConfigMaps of a pod that are looked for
UNPACK_LABEL = "operatorframework.io/bundle-unpack-ref"
EVENTING = "knative-eventing"


def diagnose(session: Session, kind: k.Kind, name: str, namespace: str | None = None) -> Cause:
    """Return the deepest cause known for an object that is not ready, or not gone. Never raises for the API."""
    reader = _Reader(session)
    cause = reader.down(kind, name, namespace)
    if cause is None:
        where = f" -n {namespace}" if namespace else ""
        cause = Cause(
            f"nothing below {kind.kind} {name} tells why", "", f"oc get {_plural(kind)} {name}{where} -o yaml"
        )
    if reader.notes:
        cause = dataclasses.replace(cause, message=f"{cause.message} (less detail: {'; '.join(reader.notes)})")
    return cause


def _plural(kind: k.Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _down(deployment: Object | None) -> bool:
    return not ((deployment or {}).get("status") or {}).get("readyReplicas")


class _Reader:
    """Reads for one diagnosis, and goes from object to object."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._left = MAX_REQUESTS
        self._refused: list[str] = []
        self._trouble = ""
        self._steps: dict[str, t.Callable[[Object], Cause | None]] = {
            "Subscription": self._subscription,
            "InstallPlan": self._plan,
            "CatalogSource": self._catalog,
            "ClusterServiceVersion": self._csv,
            "Deployment": self._workload,
            "StatefulSet": self._workload,
            "ReplicaSet": self._workload,
            "DaemonSet": self._workload,
            "Job": self._job,
            "Pod": self._pod,
            "PersistentVolumeClaim": self._claim,
            "Backstage": self._backstage,
            "KnativeServing": self._knative,
            "KnativeEventing": self._knative,
            "KnativeKafka": self._knative,
            "Broker": self._broker,
            "Trigger": self._trigger,
            "SinkBinding": self._sink_binding,
            "SonataFlowPlatform": self._platform,
        }

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def notes(self) -> list[str]:
        """What was not read, and why."""
        notes = [f"not allowed to read {', '.join(sorted(set(self._refused)))}"] if self._refused else []
        if self._trouble:
            notes.append(f"the API server said: {self._trouble}")
        if not self._left:
            notes.append(f"no more than {MAX_REQUESTS} reads are spent on it")
        return notes

    def _ask(self, kind: k.Kind, read: t.Callable[[], t.Any]) -> t.Any:
        """Spend one request; None for what is not there, refused, or not to be had any more."""
        if not self._left or self._trouble or kind.plural in self._refused:
            return None
        self._left -= 1
        try:
            return read()
        except ApiError as exc:
            if exc.forbidden:
                self._refused.append(kind.plural)
            elif not exc.not_found:
                self._trouble = short(str(exc))
            return None

    def _get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        found = self._ask(kind, lambda: self._session.get(kind, name, namespace))
        return {"apiVersion": kind.api_version, "kind": kind.kind, **found} if found else None

    def _list(self, kind: k.Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Object]:
        """Return the first page, which is all there is of what a selector picks."""
        wanted = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields}
        query = urlencode({key: value for key, value in wanted.items() if value})
        page = self._ask(kind, lambda: self._session.get_path(f"{kind.path(namespace)}?{query}"))
        items = (page or {}).get("items") or []
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]

    def _known(self, *kinds: k.Kind) -> bool:
        """Tell whether the absence of something proves anything."""
        return not self._trouble and bool(self._left) and not any(kind.plural in self._refused for kind in kinds)

    def _events(self, obj: Object, anything: bool = False) -> Cause | None:
        metadata = obj["metadata"]
        selector = f"involvedObject.uid={metadata.get('uid')}"
        events = self._list(k.EVENT, metadata.get("namespace") or "default", fields=selector)
        return event_cause(events, called(obj), anything)

    # -- down ---------------------------------------------------------------------------------------------------

    def down(self, kind: k.Kind, name: str, namespace: str | None) -> Cause | None:
        """Return the cause below one object."""
        obj = self._get(kind, name, namespace)
        if obj is not None:
            return self.below(obj)
        if not self._known(kind):
            return None
        return self._gone(kind, name, namespace)

    def below(self, obj: Object) -> Cause | None:
        """Return the cause below an object that was read."""
        if obj["metadata"].get("deletionTimestamp"):
            return self._pod(obj) if obj["kind"] == "Pod" else self._deletion(obj)
        return self._steps.get(obj["kind"], self._other)(obj)

    def _deletion(self, obj: Object) -> Cause:
        """Return what holds an object that is being deleted, and whether who should let it go runs at all."""
        cause = namespace_cause(obj) if obj["kind"] == "Namespace" else deletion_cause(obj)
        owner = holder(obj)
        for names in owner.operators if owner else ():
            down = self._operator(names, "the operator that takes it off")
            if down:
                return down.below(cause.message)
        return cause

    def _gone(self, kind: k.Kind, name: str, namespace: str | None) -> Cause:
        where = f" in {namespace}" if namespace else ""
        if namespace and kind != k.NAMESPACE:
            home = self._get(k.NAMESPACE, namespace)
            if home is not None and home["metadata"].get("deletionTimestamp"):
                return self._deletion(home)
            if home is None and self._known(k.NAMESPACE):
                return Cause(f"Namespace {namespace} does not exist", "Create it.", f"oc get namespace {namespace}")
        # Events outlive their object, for an hour: those of a failed Job that its time to live has removed, say.
        fields = f"involvedObject.kind={kind.kind},involvedObject.name={name}"
        events = self._list(k.EVENT, namespace or "default", fields=fields)
        command = f"oc get events -n {namespace or 'default'} --field-selector involvedObject.name={name}"
        told = event_cause(events, f"{kind.kind} {name} is not there any more, its events say", anything=True)
        if told and kind == k.JOB:
            remedy = terminal("job/BackoffLimitExceeded").remedy.partition(";")[0]
            return dataclasses.replace(told, remedy=told.remedy or f"{remedy}.", command=command)
        return told or Cause(f"{kind.kind} {name} does not exist{where}", "", command)

    def _other(self, obj: Object) -> Cause | None:
        """Diagnose a custom resource: the Deployments that it owns, its conditions, its events."""
        said = conditions_cause(obj)
        uid, namespace = obj["metadata"].get("uid"), obj["metadata"].get("namespace")
        if (said or "conditions" in (obj.get("status") or {})) and uid and namespace:
            for found in self._list(k.DEPLOYMENT, namespace):
                owners = [owner.get("uid") for owner in found["metadata"].get("ownerReferences") or []]
                cause = self._workload(found) if uid in owners else None
                if cause:
                    return cause.below(called(obj))
        return said or self._events(obj, anything=True)

    # -- OLM ----------------------------------------------------------------------------------------------------

    def _subscription(self, subscription: Object) -> Cause | None:
        status, spec = subscription.get("status") or {}, subscription["spec"]
        namespace = subscription["metadata"]["namespace"]
        ref = (status.get("installPlanRef") or {}).get("name")
        plan = self._get(k.INSTALL_PLAN, ref, namespace) if ref else None
        cause = self._plan_trouble(plan) if plan else None
        if cause:
            return cause
        wanted, phase = status.get("currentCSV"), ((plan or {}).get("status") or {}).get("phase")
        csv = self._get(k.CSV, wanted, namespace) if wanted else None
        if ref and csv is None and self._known(k.CSV, k.INSTALL_PLAN) and dead(subscription, plan, csv):
            what = f"InstallPlan {ref} is {'Complete' if plan else 'gone'} but {wanted} is not installed"
            remedy = terminal("subscription/DeadSubscription").remedy.format(package=spec["name"], namespace=namespace)
            return Cause(f"{what}; OLM will not go on", remedy, get_command(subscription, "get") + " -o yaml")
        installed = status.get("installedCSV")
        if csv is None and installed and installed != wanted:
            csv = self._get(k.CSV, installed, namespace)
        cause = self.below(csv) if csv else None
        if cause and plan_missing(subscription):
            more = "Its InstallPlan is gone: if that had failed, delete Subscription and CSV, and install again."
            return dataclasses.replace(cause, remedy=f"{cause.remedy} {more}".strip())
        if cause:
            return cause
        if plan is not None and phase == "RequiresApproval" and not plan["spec"].get("approved"):
            return self._unapproved(plan)
        if csv is not None and (csv.get("status") or {}).get("phase") == "Succeeded":
            return None  # what the conditions still say is old
        unpack = [condition(subscription, kind) for kind in ("BundleUnpackFailed", "BundleUnpacking")]
        telling = [
            c for c in unpack if c and c.get("status") == "True" and c.get("reason") != "EnsureInstallPlanFailed"
        ]
        if telling and ref is None:
            return self._unpack(telling[0], spec.get("sourceNamespace") or "")
        resolution = condition(subscription, "ResolutionFailed")
        if resolution and resolution.get("status") == "True":
            return self._resolution(resolution.get("message") or "", subscription)
        return None if status.get("state") else self._silence(subscription)

    def _silence(self, subscription: Object) -> Cause | None:
        """Return why OLM says nothing at all about a Subscription."""
        namespace, spec = subscription["metadata"]["namespace"], subscription["spec"]
        groups = self._list(k.OPERATOR_GROUP, namespace)
        if len(groups) != 1 and self._known(k.OPERATOR_GROUP):
            names = ", ".join(group["metadata"]["name"] for group in groups) or "none"
            text = f"namespace {namespace} needs exactly one OperatorGroup for OLM to act, it has: {names}"
            remedy = terminal("subscription/OperatorGroups").remedy
            return Cause(text, remedy, f"oc get operatorgroups -n {namespace}")
        cause = self._catalogs(namespace, spec.get("sourceNamespace") or "")
        if cause:
            return cause
        label = component_label(spec["name"], namespace)
        csvs = self._list(k.CSV, namespace, "!olm.copiedFrom")
        for csv in csvs:
            name, labels = csv["metadata"]["name"], csv["metadata"].get("labels") or {}
            if not (label in labels or name.startswith(f"{spec['name']}.")):
                continue
            if is_orphan(name, csvs, self._list(k.SUBSCRIPTION, namespace)) and self._known(k.SUBSCRIPTION):
                return self._orphan(name, namespace, "OLM never adopts it")
        return None

    def _orphan(self, name: str, namespace: str, why: str) -> Cause:
        remedy = terminal("resolution/OrphanCSV").remedy.format(csv=name, namespace=namespace)
        text = f"ClusterServiceVersion {name} is there and belongs to no Subscription: {why}"
        return Cause(text, remedy, f"oc get clusterserviceversions,subscriptions.operators.coreos.com -n {namespace}")

    def _plan(self, plan: Object) -> Cause | None:
        waits = (plan.get("status") or {}).get("phase") == "RequiresApproval" and not plan["spec"].get("approved")
        return self._unapproved(plan) if waits else self._plan_trouble(plan)

    def _unapproved(self, plan: Object) -> Cause:
        csvs = ", ".join(plan["spec"].get("clusterServiceVersionNames") or [])
        text = f"InstallPlan {plan['metadata']['name']} for {csvs} waits for approval"
        return Cause(text, "Approve it, once it holds what is wanted.", get_command(plan))

    def _plan_trouble(self, plan: Object) -> Cause | None:
        phase, message = (plan.get("status") or {}).get("phase"), plan_message(plan)
        if not message or phase not in ("Failed", "Installing"):
            return None
        state = terminal("plan/InstallPlanFailed" if phase == "Failed" else "plan/InstallPlanRetrying")
        text = f"InstallPlan {plan['metadata']['name']} ({phase}): {short(crd_safety(message) or message)}"
        return Cause(text, state.remedy, get_command(plan, "get") + " -o yaml")

    def _unpack(self, told: Object, home: str) -> Cause:
        """Return why a bundle is not unpacked: the Job's name is a hash, so that the failing or newest one it is."""
        message = short(told.get("message") or "OLM unpacks the operator's bundle")
        remedy = terminal("subscription/BundleUnpackFailed").remedy.format(catalog_namespace=home)
        command = f"oc get jobs,pods -n {home} -l {UNPACK_LABEL}"
        jobs = self._list(k.JOB, home, labels=UNPACK_LABEL)
        undone = [job for job in jobs if (condition(job, "Complete") or {}).get("status") != "True"]
        undone.sort(key=lambda job: job["metadata"].get("creationTimestamp") or "", reverse=True)
        undone.sort(key=lambda job: job_cause(job) is None)
        cause = self._job(undone[0]) if undone else None
        if cause:
            return dataclasses.replace(cause.below("bundle unpacking"), remedy=cause.remedy or remedy)
        return Cause(f"bundle unpacking: {message}", remedy, command)

    def _resolution(self, message: str, subscription: Object) -> Cause:
        kind, name = resolution_class(message)
        namespace = subscription["metadata"]["namespace"]
        if kind == "catalog_unhealthy" and "/" in name:
            home, _slash, catalog = name.partition("/")
            cause = self.down(k.CATALOG_SOURCE, catalog, home)
            if cause:
                return cause
        told = f"OLM finds no way to install it: {short(message)}"
        if kind in ("orphan_csv", "api_conflict", "other"):
            # So OLM calls the old half of a running upgrade as well, for as long as the upgrade takes.
            csvs = self._list(k.CSV, namespace, "!olm.copiedFrom")
            moving = [csv for csv in csvs if (csv.get("status") or {}).get("phase") in MOVING]
            moving.sort(key=lambda csv: csv["status"]["phase"] == "Replacing")
            if moving or not self._known(k.CSV):
                cause = self.below(moving[0]) if moving else None
                return cause or Cause(told, "Wait for the upgrade that is running.", get_command(subscription))
            if kind == "orphan_csv":
                if is_orphan(name, csvs, self._list(k.SUBSCRIPTION, namespace)) and self._known(k.SUBSCRIPTION):
                    return self._orphan(name, namespace, short(message))
                kind = "other"
        remedy = terminal(RESOLUTION_STATES[kind]).remedy.format(catalog=name, csv=name, namespace=namespace)
        return Cause(told, remedy, get_command(subscription))

    def _catalogs(self, *namespaces: str) -> Cause | None:
        """Return what is wrong with the catalogs that a Subscription depends on: one that is away blocks all."""
        for namespace in dict.fromkeys(filter(None, namespaces)):
            for catalog in self._list(k.CATALOG_SOURCE, namespace):
                if catalog_state(catalog) != "READY":
                    return self._catalog(catalog)
        return None

    def _catalog(self, catalog: Object) -> Cause | None:
        state, status = catalog_state(catalog), catalog.get("status") or {}
        name, namespace = catalog["metadata"]["name"], catalog["metadata"]["namespace"]
        if state == "READY":
            return None
        text = f"CatalogSource {namespace}/{name} is {state}"
        remedy = terminal("subscription/CatalogNotReady").remedy
        command = f"oc get pods -n {namespace} -l olm.catalogSource={name}"
        pods = self._list(k.POD, namespace, labels=f"olm.catalogSource={name}")
        causes = [cause for pod in pods if (cause := self._pod(pod))]
        if causes:
            return causes[0].below(text)
        address = (status.get("connectionState") or {}).get("address") or (catalog.get("spec") or {}).get("address")
        where = f", address {address}" if address else ""
        why = f": {short(status['message'])}" if status.get("message") else ""
        return Cause(f"{text}{where}{why}", remedy, command)

    def _csv(self, csv: Object) -> Cause | None:
        found = csv_cause(csv)
        if found:
            return found
        name, namespace, status = csv["metadata"]["name"], csv["metadata"]["namespace"], csv.get("status") or {}
        for each in deployments_of(csv):
            deployment = self._get(k.DEPLOYMENT, each, namespace)
            cause = self._workload(deployment) if deployment else None
            if cause:
                return cause
            if deployment is None and status.get("phase") == "Succeeded" and self._known(k.DEPLOYMENT):
                text = f"Deployment {each} of {name} does not exist"
                return Cause(text, "OLM makes it again; see whether OLM runs.", get_command(csv))
        if status.get("phase") in (None, "Succeeded", "Replacing"):
            return None
        text = f"{name} is {status['phase']} ({status.get('reason')}): {short(status.get('message') or '')}"
        row = find("csv", status.get("reason") or "")
        return Cause(text, row.remedy if row else "", get_command(csv))

    # -- workloads ----------------------------------------------------------------------------------------------

    def _workload(self, obj: Object) -> Cause | None:
        kind, namespace = obj["kind"], obj["metadata"]["namespace"]
        verdict = workload(obj) if kind != "ReplicaSet" else None
        if verdict is not None and verdict.state == READY:
            return None
        selector = (obj.get("spec") or {}).get("selector") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))
        sets = self._list(k.REPLICA_SET, namespace, labels) if kind == "Deployment" and labels else []
        latest = newest_set(obj, sets)
        template = ((latest or {"metadata": {}})["metadata"].get("labels") or {}).get("pod-template-hash")
        narrow = f"{labels},pod-template-hash={template}" if template else labels
        pods = self._list(k.POD, namespace, narrow) if labels else []
        wanted = newest(obj, pods, sets) if kind != "ReplicaSet" else pods
        found = [(each, pod) for pod in wanted if (each := finding(pod)) is not None]
        found.sort(key=lambda item: not terminal(item[0].key).ends)
        cause = self._pod(found[0][1]) if found else None
        if cause:
            return cause.below(called(obj))
        refusal = replica_failure(latest) or replica_failure(obj)
        if refusal:
            return creation_cause(refusal, called(obj), namespace)
        for each in (latest, obj):
            cause = self._events(each) if each else None
            if cause:
                return cause
        if pods and all(pod["metadata"].get("deletionTimestamp") for pod in pods):
            cause = self._pod(pods[0])
        if cause:
            return cause.below(called(obj))
        if verdict is None:
            return None
        return Cause(f"{called(obj)}: {short(verdict.message)}", verdict.remedy, get_command(obj))

    def _job(self, job: Object) -> Cause | None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        failed = job_cause(job)
        pods = self._list(k.POD, namespace, f"{JOB_LABEL}={name}")
        pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
        for pod in pods:
            cause = self._pod(pod)
            if cause:
                return cause.below(failed.message if failed else called(job))
        if (job.get("spec") or {}).get("suspend") and not failed:
            remedy = terminal("job/Suspended").remedy.format(name=name, namespace=namespace)
            return Cause(f"{called(job)} is suspended", remedy, get_command(job))
        return failed or self._events(job)

    def _pod(self, pod: Object) -> Cause | None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]

        def log(container: str, previous: bool) -> str:
            if not self._left or self._trouble:
                return ""
            self._left -= 1
            return self._session.pod_log(namespace, name, container, previous=previous, lines=LOG_LINES)

        found, cause = finding(pod), pod_cause(pod, log)
        if found is None or cause is None:
            return None
        deeper = None
        if found.key == "pod/Unschedulable":
            deeper = self._claims(pod)
        elif found.key in ("pod/ContainerCreating", "pod/Initializing") and not found.log:
            deeper = self._events(pod) or self._claims(pod) or self._references(pod)
        elif found.key == "pod/CreateContainerConfigError" and missing_object(found.message) is None:
            deeper = self._references(pod)
        if deeper is None and found.key in ("pod/ContainerCreating", "pod/Terminating", "pod/NodeLost", "pod/NotReady"):
            deeper = self._node(pod)
        return deeper.below(f"pod {name}") if deeper else cause

    def _node(self, pod: Object) -> Cause | None:
        name = (pod.get("spec") or {}).get("nodeName")
        node = self._get(k.NODE, name) if name else None
        return node_cause(node, name) if name and (node or self._known(k.NODE)) else None

    def _references(self, pod: Object) -> Cause | None:
        """Return the first Secret or ConfigMap of a pod that is not there: events get lost."""
        namespace = pod["metadata"]["namespace"]
        for missing in references(pod)[:MAX_REFERENCES]:
            kind = k.SECRET if missing.kind == "Secret" else k.CONFIG_MAP
            if self._get(kind, missing.name, namespace) is None and self._known(kind):
                text = f"{missing.kind} {missing.name}, which it needs, does not exist in {namespace}"
                return Cause(text, *missing_remedy(missing, namespace))
        return None

    def _claims(self, pod: Object) -> Cause | None:
        namespace = pod["metadata"]["namespace"]
        for volume in (pod.get("spec") or {}).get("volumes") or []:
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if not name:
                continue
            found = self._get(k.PVC, name, namespace)
            if found is None and self._known(k.PVC):
                text = f"PersistentVolumeClaim {name} does not exist in {namespace}"
                return Cause(text, "Create it.", f"oc get pvc -n {namespace}")
            cause = self._claim(found) if found else None
            if cause:
                return cause
        return None

    def _claim(self, claim: Object) -> Cause | None:
        cause = claim_cause(claim)
        if cause is None:
            return None
        classes = self._list(k.STORAGE_CLASS)
        storage = storage_cause(claim, classes) if self._known(k.STORAGE_CLASS) else None
        return storage or self._events(claim) or cause

    def _operator(self, names: t.Sequence[str], what: str) -> Cause | None:
        """Return why an operator's Deployment (of one of the names) does not run, wherever it is; None if it does."""
        found: list[Object] = []
        for name in names:
            found = found or self._list(k.DEPLOYMENT, fields=f"metadata.name={name}")
        if not found:
            if not self._known(k.DEPLOYMENT):
                return None
            text = f"{what} is not installed: no Deployment {' or '.join(names)} exists"
            return Cause(text, "Install it.", "oc get csv -A")
        if not all(map(_down, found)):
            return None
        cause = self._workload(found[0])
        text = f"{what} does not run"
        if cause is None:
            return Cause(text, "Scale it up.", get_command(found[0]))
        return dataclasses.replace(cause.below(text), remedy=cause.remedy or "Repair that Deployment.")

    # -- Developer Hub ------------------------------------------------------------------------------------------

    def _backstage(self, backstage: Object) -> Cause | None:
        verdict = hub_judge.judge_backstage(backstage)
        names = hub_spec.Names(backstage["metadata"]["name"], backstage["metadata"]["namespace"])
        deployed = condition(backstage, "Deployed")
        if deployed and deployed.get("reason") == "DeployFailed" and deployed.get("status") != "True":
            text = f"{called(backstage)}: {short(verdict.message)}"
            return Cause(text, verdict.remedy, get_command(backstage))
        spec = backstage.get("spec") or {}
        parts = [(hub_spec.workload_kind(spec), names.workload)]
        if hub_spec.local_database(spec):
            parts.insert(0, (k.STATEFUL_SET, names.database))  # without it the Hub cannot start
        missing = False
        for kind, name in parts:
            found = self._get(kind, name, names.namespace)
            missing = missing or (found is None and self._known(kind))
            cause = self.below(found) if found else None
            if cause:
                return cause
        if missing or deployed is None:
            return self._operator(("rhdh-operator",), "the Developer Hub operator")
        if verdict.state == READY:
            return None
        return Cause(f"{called(backstage)}: {short(verdict.message)}", verdict.remedy, get_command(backstage))

    # -- Knative ------------------------------------------------------------------------------------------------

    def _knative(self, obj: Object) -> Cause | None:
        home = obj["metadata"]["namespace"]
        message = " ".join(knative_judge.told(each) for each in (obj.get("status") or {}).get("conditions") or [])
        if "must be installed into the namespace" in message:
            text = f"{called(obj)} is in namespace {home}, where the product does not install it"
            remedy = (
                "Delete it. If that hangs, scale Deployment knative-openshift to 0, wait until it is gone, and scale "
                "it back to 1."
            )
            return Cause(text, remedy, get_command(obj))
        ready = (condition(obj, "Ready") or {}).get("status") == "True"
        if ready and current(obj):
            return None
        if ready or not (obj.get("status") or {}).get("conditions"):
            operator = knative_judge.OPERATOR_DEPLOYMENTS[1 if obj["kind"] == "KnativeKafka" else 0]
            cause = self._operator((operator,), "the OpenShift Serverless operator")
            if cause:
                return cause
            text = f"{called(obj)} has no status yet: the operator applies its objects for up to half a minute"
            return None if ready else Cause(text, "", get_command(obj))
        cause = self._waiting_on(message, home) or conditions_cause(obj)
        remedy = terminal("knative/Error" if "Error" in message else "knative/NotReady").remedy
        return dataclasses.replace(cause, remedy=cause.remedy or remedy) if cause else None

    def _waiting_on(self, message: str, home: str) -> Cause | None:
        """Return why the workloads do not run that a component of Knative waits for."""
        found = re.search(r"Waiting on (deployments|StatefulSets)(?:: ([\w, .-]+))?", message)
        if not found:
            return None
        kind = k.STATEFUL_SET if found.group(1) == "StatefulSets" else k.DEPLOYMENT
        names = re.findall(r"[\w.-]+", found.group(2) or "")
        if names:
            homes = [home] if home == EVENTING else [home, f"{home}-ingress"]  # Kourier has a namespace of its own
            objects = [obj for name in names[:3] for each in homes if (obj := self._get(kind, name, each))]
        else:
            # Those with 0 replicas are meant to be so.
            objects = [obj for obj in self._list(kind, home) if (obj.get("spec") or {}).get("replicas")]
        return next((cause for obj in objects if (cause := self._workload(obj))), None)

    def _broker(self, broker: Object) -> Cause | None:
        verdict = knative_judge.judge_broker(broker)
        if verdict.state == READY:
            return None
        metadata = broker["metadata"]
        text = f"Broker {metadata['namespace']}/{metadata['name']}: {short(verdict.message)}"
        own = (metadata.get("annotations") or {}).get("eventing.knative.dev/broker.class")
        if verdict.reason == "NoStatus" and own and own.lower() == "kafka" and own != "Kafka":
            text = f"{text}; nobody works on class {own!r}, which must be spelt Kafka, and cannot be changed"
            return Cause(text, "Delete the Broker and create it again with class Kafka.", get_command(broker))
        cause = None
        if verdict.reason in ("NoStatus", "BrokerNotReady"):
            for name in ("kafka-controller", "kafka-broker-receiver"):
                deployment = self._get(k.DEPLOYMENT, name, EVENTING)
                cause = cause or (self._workload(deployment) if deployment else None)
        return cause.below(text) if cause else Cause(text, verdict.remedy, get_command(broker))

    def _trigger(self, trigger: Object) -> Cause | None:
        spec, namespace = trigger.get("spec") or {}, trigger["metadata"]["namespace"]
        broker = (condition(trigger, "BrokerReady") or condition(trigger, "Broker") or {}).get("status")
        if spec.get("broker") and broker != "True":
            cause = self.down(k.BROKER, spec["broker"], namespace)
            if cause:
                return cause.below(called(trigger))
        return conditions_cause(trigger) or self._events(trigger, anything=True)

    def _sink_binding(self, binding: Object) -> Cause | None:
        if knative_judge.ready(binding):
            return None
        webhook = self._get(k.DEPLOYMENT, knative_judge.EVENTING_WEBHOOK, EVENTING)
        if webhook is None and self._known(k.DEPLOYMENT):
            webhook_name = knative_judge.EVENTING_WEBHOOK
            text = f"{called(binding)} is not bound: Deployment {webhook_name}, which does it, does not exist"
            return Cause(text, "Install KnativeEventing.", f"oc get knativeeventing,deployments -n {EVENTING}")
        cause = self._workload(webhook) if webhook else None
        if cause:
            return cause.below(f"{called(binding)} is not bound")
        return conditions_cause(binding) or Cause(
            f"{called(binding)} is not bound yet", terminal("platform/SinkNotBound").remedy, get_command(binding)
        )

    # -- SonataFlowPlatform -------------------------------------------------------------------------------------

    def _platform(self, platform: Object) -> Cause | None:
        """Look in the order in which the operator works: Job, Broker, SinkBinding, generation, pods."""
        name, namespace = platform["metadata"]["name"], platform["metadata"]["namespace"]
        command = get_command(platform)
        verdict = platform_judge.judge_platform(platform, [platform], name)
        if (condition(platform, "Succeed") or {}).get("status") != "True":
            operator = None
            if verdict.reason == "Creating":
                operator = self._operator(LOGIC_OPERATORS, "the Serverless Logic operator")
            return operator or Cause(f"{called(platform)}: {short(verdict.message)}", verdict.remedy, command)
        cause = self._migration(platform) if platform_parts.migrates_by_job(platform) else None
        if cause:
            return cause
        names = ",".join(platform_spec.service_name(name, service) for service in platform_spec.SERVICES)
        labels = f"{platform_parts.SERVICE_LABEL} in ({names})"
        found = {item["metadata"]["name"]: item for item in self._list(k.DEPLOYMENT, namespace, labels)}
        wanted = platform_parts.wanted_services(platform)
        broker = platform_parts.broker_of(platform)
        jobs_service = found.get(platform_spec.service_name(name, "job_service"))
        if broker and "job_service" in wanted and self._known(k.DEPLOYMENT):
            if jobs_service is None or verdict.reason == "GenerationLag":
                cause = self.down(k.BROKER, *broker)
                if cause:
                    remedy = cause.remedy or terminal("platform/BrokerMissing").remedy
                    return dataclasses.replace(cause.below("the Job Service is not made"), remedy=remedy)
            elif not (jobs_service.get("spec") or {}).get("replicas"):
                cause = self.down(k.SINK_BINDING, f"{name}-jobs-service-sb", namespace)
                if cause:
                    return cause.below("the Job Service stays at 0 replicas")
        if verdict.reason == "GenerationLag":
            cause = self._operator(LOGIC_OPERATORS, "the Serverless Logic operator")
            if cause:
                return cause
            cause = self._events(platform, anything=True)
            text = f"{called(platform)}: {verdict.message}"
            return (
                cause.below(f"the operator meets an error ({verdict.message})")
                if cause
                else Cause(text, verdict.remedy, command)
            )
        for service in wanted:
            deployment = found.get(platform_spec.service_name(name, service))
            if deployment is None and self._known(k.DEPLOYMENT):
                text = f"{called(platform)}: Deployment {platform_spec.service_name(name, service)} is not made"
                return (
                    self._operator(LOGIC_OPERATORS, "the Serverless Logic operator")
                    or self._events(platform, anything=True)
                    or Cause(text, "", command)
                )
            off = (
                (platform["spec"]["services"][platform_spec.SERVICES[service][0]] or {}).get("podTemplate") or {}
            ).get("replicas")
            cause = self.below(deployment) if deployment and off != 0 else None
            if cause:
                return cause
        return None

    def _migration(self, platform: Object) -> Cause | None:
        """Return why the database is not migrated: nothing else is made before."""
        jobs = [
            job
            for job in self._list(k.JOB, platform["metadata"]["namespace"])
            if "db-migrator-job" in job["metadata"]["name"]
        ]
        judged = platform_judge.judge_migration(jobs, platform)
        if judged.state == READY or not self._known(k.JOB):
            return None
        cause = self._job(jobs[0]) if jobs else None
        if cause:
            return dataclasses.replace(cause, remedy=judged.remedy or cause.remedy)
        return Cause(f"{called(platform)}: {judged.message}", judged.remedy, get_command(platform))
