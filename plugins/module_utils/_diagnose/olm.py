# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why OLM does not install: Subscriptions, InstallPlans, CatalogSources and CSVs. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    csv_cause,
    job_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.workload import (
    below_job,
    below_pod,
    below_workload,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
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
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, terminal

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader

UNPACK_LABEL = "operatorframework.io/bundle-unpack-ref"


def below_subscription(reader: Reader, subscription: Object) -> Cause | None:
    """Return why a Subscription's operator is not installed: its plan, its CSV, then what OLM says of it."""
    status, namespace = subscription.get("status") or {}, subscription["metadata"]["namespace"]
    ref = (status.get("installPlanRef") or {}).get("name")
    plan = reader.get(k.INSTALL_PLAN, ref, namespace) if ref else None
    cause = _plan_trouble(plan) if plan else None
    if cause:
        return cause
    wanted, installed = status.get("currentCSV"), status.get("installedCSV")
    csv = reader.get(k.CSV, wanted, namespace) if wanted else None
    if ref and csv is None and reader.known(k.CSV, k.INSTALL_PLAN) and dead(subscription, plan, csv):
        return _dead(subscription, plan)
    if csv is None and installed and installed != wanted:
        csv = reader.get(k.CSV, installed, namespace)
    cause = reader.below(csv) if csv else None
    if cause and plan_missing(subscription):
        more = "Its InstallPlan is gone: if that had failed, delete Subscription and CSV, and install again."
        return dataclasses.replace(cause, remedy=f"{cause.remedy} {more}".strip())
    if cause:
        return cause
    if plan is not None and _waits(plan):
        return _unapproved(plan)
    if csv is not None and (csv.get("status") or {}).get("phase") == "Succeeded":
        return None  # what the conditions still say is old
    return _conditions(reader, subscription)


def _dead(subscription: Object, plan: Object | None) -> Cause:
    """Return the cause of a Subscription whose CSV is missing, and for which OLM makes no further plan."""
    status, namespace = subscription["status"], subscription["metadata"]["namespace"]
    ref = status["installPlanRef"]["name"]
    what = f"InstallPlan {ref} is {'Complete' if plan else 'gone'} but {status.get('currentCSV')} is not installed"
    remedy = terminal("subscription/DeadSubscription").remedy.format(
        package=subscription["spec"]["name"], namespace=namespace
    )
    return Cause(f"{what}; OLM will not go on", remedy, get_command(subscription, "get") + " -o yaml")


def _conditions(reader: Reader, subscription: Object) -> Cause | None:
    """Return what a Subscription's conditions say of unpacking or resolution, or why it has none."""
    status = subscription.get("status") or {}
    unpack = [condition(subscription, kind) for kind in ("BundleUnpackFailed", "BundleUnpacking")]
    failing = [c for c in unpack if c and c.get("status") == "True" and c.get("reason") != "EnsureInstallPlanFailed"]
    if failing and not (status.get("installPlanRef") or {}).get("name"):
        return _unpack(reader, failing[0], subscription["spec"].get("sourceNamespace") or "")
    resolution = condition(subscription, "ResolutionFailed")
    if resolution and resolution.get("status") == "True":
        return _resolution(reader, resolution.get("message") or "", subscription)
    return None if status.get("state") else _silence(reader, subscription)


def _silence(reader: Reader, subscription: Object) -> Cause | None:
    """Return why OLM says nothing at all about a Subscription."""
    namespace, spec = subscription["metadata"]["namespace"], subscription["spec"]
    groups = reader.list(k.OPERATOR_GROUP, namespace)
    if len(groups) != 1 and reader.known(k.OPERATOR_GROUP):
        names = ", ".join(group["metadata"]["name"] for group in groups) or "none"
        text = f"namespace {namespace} needs exactly one OperatorGroup for OLM to act, it has: {names}"
        remedy = terminal("subscription/OperatorGroups").remedy
        return Cause(text, remedy, f"oc get operatorgroups -n {namespace}")
    cause = _catalogs(reader, namespace, spec.get("sourceNamespace") or "")
    if cause:
        return cause
    label = component_label(spec["name"], namespace)
    csvs = reader.list(k.CSV, namespace, "!olm.copiedFrom")
    for csv in csvs:
        name, labels = csv["metadata"]["name"], csv["metadata"].get("labels") or {}
        if not (label in labels or name.startswith(f"{spec['name']}.")):
            continue
        if is_orphan(name, csvs, reader.list(k.SUBSCRIPTION, namespace)) and reader.known(k.SUBSCRIPTION):
            return _orphan(name, namespace, "OLM never adopts it")
    return None


def _orphan(name: str, namespace: str, why: str) -> Cause:
    """Return the cause of a CSV without Subscription."""
    remedy = terminal("resolution/OrphanCSV").remedy.format(csv=name, namespace=namespace)
    text = f"ClusterServiceVersion {name} is there and belongs to no Subscription: {why}"
    return Cause(text, remedy, f"oc get clusterserviceversions,subscriptions.operators.coreos.com -n {namespace}")


def _waits(plan: Object) -> bool:
    """Tell whether a plan waits for approval."""
    phase = (plan.get("status") or {}).get("phase")
    return bool(phase == "RequiresApproval" and not plan["spec"].get("approved"))


def below_plan(reader: Reader, plan: Object) -> Cause | None:
    """Return why an InstallPlan is not complete."""
    return _unapproved(plan) if _waits(plan) else _plan_trouble(plan)


def _unapproved(plan: Object) -> Cause:
    """Return the cause of a plan that waits for approval."""
    csvs = ", ".join(plan["spec"].get("clusterServiceVersionNames") or [])
    text = f"InstallPlan {plan['metadata']['name']} for {csvs} waits for approval"
    return Cause(text, "Approve it, once it holds what is wanted.", get_command(plan))


def _plan_trouble(plan: Object) -> Cause | None:
    """Return why a plan failed or is being retried."""
    phase, message = (plan.get("status") or {}).get("phase"), plan_message(plan)
    if not message or phase not in ("Failed", "Installing"):
        return None
    state = terminal("plan/InstallPlanFailed" if phase == "Failed" else "plan/InstallPlanRetrying")
    text = f"InstallPlan {plan['metadata']['name']} ({phase}): {short(crd_safety(message) or message)}"
    return Cause(text, state.remedy, get_command(plan, "get") + " -o yaml")


def _unpack(reader: Reader, unpacking: Object, home: str) -> Cause:
    """Return why a bundle is not unpacked. The Job's name is a hash: the failing one is taken, else the newest."""
    message = short(unpacking.get("message") or "OLM unpacks the operator's bundle")
    remedy = terminal("subscription/BundleUnpackFailed").remedy.format(catalog_namespace=home)
    command = f"oc get jobs,pods -n {home} -l {UNPACK_LABEL}"
    jobs = reader.list(k.JOB, home, labels=UNPACK_LABEL)
    undone = [job for job in jobs if (condition(job, "Complete") or {}).get("status") != "True"]
    undone.sort(key=lambda job: job["metadata"].get("creationTimestamp") or "", reverse=True)
    undone.sort(key=lambda job: job_cause(job) is None)
    cause = below_job(reader, undone[0]) if undone else None
    if cause:
        return dataclasses.replace(cause.below("bundle unpacking"), remedy=cause.remedy or remedy)
    return Cause(f"bundle unpacking: {message}", remedy, command)


def _resolution(reader: Reader, message: str, subscription: Object) -> Cause:
    """Return why OLM's resolver finds nothing to install, by the class of its message."""
    kind, name = resolution_class(message)
    namespace = subscription["metadata"]["namespace"]
    if kind == "catalog_unhealthy" and "/" in name:
        home, _slash, catalog = name.partition("/")
        cause = reader.down(k.CATALOG_SOURCE, catalog, home)
        if cause:
            return cause
    text = f"OLM finds no way to install it: {short(message)}"
    if kind in ("orphan_csv", "api_conflict", "other"):
        # OLM says the same of the old CSV of a running upgrade, for as long as the upgrade takes.
        csvs = reader.list(k.CSV, namespace, "!olm.copiedFrom")
        moving = [csv for csv in csvs if (csv.get("status") or {}).get("phase") in MOVING]
        moving.sort(key=lambda csv: csv["status"]["phase"] == "Replacing")
        if moving or not reader.known(k.CSV):
            cause = reader.below(moving[0]) if moving else None
            return cause or Cause(text, "Wait for the upgrade that is running.", get_command(subscription))
        if kind == "orphan_csv":
            if is_orphan(name, csvs, reader.list(k.SUBSCRIPTION, namespace)) and reader.known(k.SUBSCRIPTION):
                return _orphan(name, namespace, short(message))
            kind = "other"
    remedy = terminal(RESOLUTION_STATES[kind]).remedy.format(catalog=name, csv=name, namespace=namespace)
    return Cause(text, remedy, get_command(subscription))


def _catalogs(reader: Reader, *namespaces: str) -> Cause | None:
    """Return what is wrong with the catalogs that a Subscription depends on: OLM needs all of them."""
    for namespace in dict.fromkeys(filter(None, namespaces)):
        for catalog in reader.list(k.CATALOG_SOURCE, namespace):
            if catalog_state(catalog) != "READY":
                return below_catalog(reader, catalog)
    return None


def below_catalog(reader: Reader, catalog: Object) -> Cause | None:
    """Return why a catalog is not READY: its pods, else its address and message."""
    state, status = catalog_state(catalog), catalog.get("status") or {}
    name, namespace = catalog["metadata"]["name"], catalog["metadata"]["namespace"]
    if state == "READY":
        return None
    text = f"CatalogSource {namespace}/{name} is {state}"
    remedy = terminal("subscription/CatalogNotReady").remedy
    command = f"oc get pods -n {namespace} -l olm.catalogSource={name}"
    pods = reader.list(k.POD, namespace, labels=f"olm.catalogSource={name}")
    causes = [cause for pod in pods if (cause := below_pod(reader, pod))]
    if causes:
        return causes[0].below(text)
    address = (status.get("connectionState") or {}).get("address") or (catalog.get("spec") or {}).get("address")
    where = f", address {address}" if address else ""
    why = f": {short(status['message'])}" if status.get("message") else ""
    return Cause(f"{text}{where}{why}", remedy, command)


def below_csv(reader: Reader, csv: Object) -> Cause | None:
    """Return why a CSV has not Succeeded: what it says, its Deployments, its phase."""
    found = csv_cause(csv)
    if found:
        return found
    name, namespace, status = csv["metadata"]["name"], csv["metadata"]["namespace"], csv.get("status") or {}
    for each in deployments_of(csv):
        deployment = reader.get(k.DEPLOYMENT, each, namespace)
        cause = below_workload(reader, deployment) if deployment else None
        if cause:
            return cause
        if deployment is None and status.get("phase") == "Succeeded" and reader.known(k.DEPLOYMENT):
            text = f"Deployment {each} of {name} does not exist"
            return Cause(text, "OLM makes it again; see whether OLM runs.", get_command(csv))
    if status.get("phase") in (None, "Succeeded", "Replacing"):
        return None
    text = f"{name} is {status['phase']} ({status.get('reason')}): {short(status.get('message') or '')}"
    row = find("csv", status.get("reason") or "")
    return Cause(text, row.remedy if row else "", get_command(csv))
