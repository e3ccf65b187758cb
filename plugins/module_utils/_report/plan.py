# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an install would meet on a cluster: versions, what is adopted, what is created, what blocks. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import judge as database_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.inputs import input_problems
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import refusals as hub_refusals
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted, resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import leaving_problems
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.lookup import check_openshift
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import (
    EVENTING_NAMESPACE,
    LOGIC_PACKAGES,
    SERVING_NAMESPACE,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report.status import PLATFORM, openshift_version

DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"


def rights(release: Object, namespace: str, *, own_platform: bool = False) -> list[tuple[str, k.Kind, str | None]]:
    """Return what an install must be allowed to do, as (verb, kind, namespace or None for the whole cluster)."""
    needed: list[tuple[str, k.Kind, str | None]] = [
        ("list", k.SUBSCRIPTION, None),
        ("create", k.NAMESPACE, None),
        ("get", k.CRD, None),
        ("patch", k.KNATIVE_SERVING, SERVING_NAMESPACE),
        ("patch", k.KNATIVE_EVENTING, EVENTING_NAMESPACE),
        ("patch", k.BACKSTAGE, namespace),
        ("patch", k.SONATAFLOW_PLATFORM, namespace),
        ("get", k.SECRET, namespace),
        ("create", k.JOB, namespace),
    ]
    if own_platform:
        needed.append(("patch", k.NETWORK_POLICY, namespace))
    for home in sorted({part["namespace"] for part in release["operators"].values()}):
        needed += [("patch", k.SUBSCRIPTION, home), ("patch", k.OPERATOR_GROUP, home), ("patch", k.INSTALL_PLAN, home)]
        needed += [("list", k.CSV, home), ("list", k.DEPLOYMENT, home)]
    return needed


def collect(
    session: Session,
    release: Object,
    namespace: str,
    catalog: str,
    catalog_namespace: str,
    database: t.Mapping[str, t.Any] | None = None,
    *,
    leave_unfinished: bool = False,
) -> Object:
    """Read what `judge` needs. Reads that our credentials do not allow are reported there as missing rights.

    `database` is the description of an external database, if there is one.
    """
    unreadable: list[str] = []

    def read(kind: k.Kind, *args: t.Any, **kwargs: t.Any) -> list[Object]:
        try:
            return session.list(kind, *args, **kwargs)
        except ApiError as exc:
            if not exc.forbidden:
                raise
            unreadable.append(f"list {kind.plural}")
            return []

    # One package at a time: a whole catalog is many megabytes, and a GET by name may answer for another catalog.
    packages = [
        manifest
        for part in release["operators"].values()
        for manifest in read(
            k.PACKAGE_MANIFEST,
            catalog_namespace,
            label_selector=f"catalog={catalog}",
            field_selector=f"metadata.name={part['package']}",
        )
    ]
    platforms = read(k.SONATAFLOW_PLATFORM, namespace)
    return {
        "cluster_version": session.get(k.CLUSTER_VERSION, "version"),
        "subscription_versions": session.served_versions(k.SUBSCRIPTION),
        "catalog": session.get(k.CATALOG_SOURCE, catalog, catalog_namespace),
        "packages": [
            item
            for item in packages
            if item["status"].get("catalogSource") == catalog
            and item["status"].get("catalogSourceNamespace") == catalog_namespace
        ],
        "subscriptions": read(k.SUBSCRIPTION),
        "namespaces": read(k.NAMESPACE),
        "storage_classes": read(k.STORAGE_CLASS),
        "serving": read(k.KNATIVE_SERVING),
        "eventing": read(k.KNATIVE_EVENTING),
        "backstages": read(k.BACKSTAGE.at(release["backstage_api"]), namespace),
        "platforms": platforms,
        "database_problems": _database_problems(session, database, namespace, [] if leave_unfinished else platforms),
        "unreadable": unreadable,
        "missing_rights": session.missing_rights(rights(release, namespace, own_platform=bool(database))),
    }


def _database_problems(
    session: Session, given: t.Mapping[str, t.Any] | None, namespace: str, platforms: t.Sequence[Object]
) -> list[str]:
    """Return what is wrong with an external database: its description, Secret and CA, and what would be left behind."""
    if not given:
        return []
    wrong = database_options.problems(given, namespace)
    if wrong:
        return wrong
    described = database_options.describe(given, namespace)
    try:
        problems = input_problems(session, described)
    except ApiError as exc:
        if not exc.forbidden:
            raise
        problems = []  # the missing right is reported as such
    for platform in platforms:
        if platform["metadata"]["name"] == PLATFORM:
            problems += leaving_problems(session, platform, described)
    return problems


def judge(
    facts: Object,
    release: Object,
    namespace: str,
    name: str,
    catalog: str,
    *,
    allow_unvalidated: bool,
    database: t.Mapping[str, t.Any] | None = None,
) -> Object:
    """Decide what an install would do and what stands in its way. `blocks` is empty when it can begin."""
    blocks: list[str] = []
    warnings: list[str] = []
    adopted: list[str] = []
    created: list[str] = []
    unvalidated = warnings if allow_unvalidated else blocks

    version = openshift_version(facts["cluster_version"])
    if not facts["subscription_versions"]:
        blocks.append(
            "Operator Lifecycle Manager is not here: the API subscriptions.operators.coreos.com is not served. "
            "Use an OpenShift cluster whose OLM is enabled."
        )
    if version is None:
        unvalidated.append("No ClusterVersion was found, so this does not look like OpenShift.")
    elif problem := check_openshift(release["name"], version):
        unvalidated.append(problem)

    _judge_catalog(facts, catalog, blocks)
    for part in release["operators"].values():
        _judge_operator(facts, part, catalog, adopted, created, blocks, unvalidated)
    _judge_objects(facts, release, namespace, name, adopted, created, blocks)
    if database:
        wrong = facts["database_problems"] + _deleted_names(facts, release, name, database)
        blocks += [f"orchestrator_{text}" if text.startswith("database") else text for text in wrong]
        if not database_options.problems(database, namespace):
            _judge_own_platform(
                facts, namespace, name, database_options.describe(database, namespace), adopted, created, blocks
            )
    else:
        _judge_hub_platform(facts, namespace, name, adopted, blocks)

    if missing := sorted({*facts["missing_rights"], *facts["unreadable"]}):
        blocks.append("These rights are missing: " + "; ".join(missing) + ". Grant them, or use other credentials.")
    return {
        "release": release["name"],
        "openshift": version,
        "versions": {part["package"]: part["version"] for part in release["operators"].values()},
        "adopted": adopted,
        "created": created,
        "blocks": blocks,
        "warnings": warnings,
    }


def _judge_catalog(facts: Object, catalog: str, blocks: list[str]) -> None:
    source = facts["catalog"]
    if source is None:
        blocks.append(f"CatalogSource {catalog} does not exist. Name the one to use with orchestrator_catalog.")
        return
    state = ((source.get("status") or {}).get("connectionState") or {}).get("lastObservedState")
    if state != "READY":
        blocks.append(f"CatalogSource {catalog} is {state or 'not connected'}, it must be READY. Look at its pod.")


def _judge_operator(
    facts: Object,
    part: Object,
    catalog: str,
    adopted: list[str],
    created: list[str],
    blocks: list[str],
    unvalidated: list[str],
) -> None:
    package, wanted = part["package"], part["version"]
    for subscription in facts["subscriptions"]:
        name = subscription["spec"].get("name")
        place = f"Subscription {subscription['metadata']['namespace']}/{subscription['metadata']['name']}"
        if name in LOGIC_PACKAGES and package in LOGIC_PACKAGES and name != package:
            blocks.append(
                f"{place} is for {name}, which serves the same APIs as {package}. Upgrade or remove it first."
            )
        if name != package:
            continue
        installed = (subscription.get("status") or {}).get("installedCSV")
        adopted.append(f"{place} for {package}" + (f" ({installed})" if installed else ""))
        if installed and not installed.endswith(f".v{wanted}"):
            unvalidated.append(
                f"{place} has {installed} installed, the validated version is {wanted}. Set "
                "orchestrator_allow_unvalidated to go on with it, or upgrade it."
            )
        return
    created.append(f"Subscription for {package} {wanted} in {part['namespace']}")
    if not facts["packages"]:
        return  # the catalog's own problem is reported once
    manifest = next((item for item in facts["packages"] if item["metadata"]["name"] == package), None)
    if manifest is None:
        blocks.append(f"CatalogSource {catalog} has no package {package}.")
        return
    asked = Wanted(package, part["namespace"], part["channel"], version=wanted, catalog=catalog)
    blocks += resolve(manifest, asked)[1]


def _judge_objects(
    facts: Object,
    release: Object,
    namespace: str,
    name: str,
    adopted: list[str],
    created: list[str],
    blocks: list[str],
) -> None:
    homes = {part["namespace"] for part in release["operators"].values()}
    for found in facts["namespaces"]:
        used = found["metadata"]["name"] in {*homes, namespace, SERVING_NAMESPACE, EVENTING_NAMESPACE}
        if used and found["metadata"].get("deletionTimestamp"):
            blocks.append(f"Namespace {found['metadata']['name']} is being deleted. Wait until it is gone.")
    for kind, objects in (("KnativeServing", facts["serving"]), ("KnativeEventing", facts["eventing"])):
        for found in objects:
            adopted.append(f"{kind} {found['metadata']['namespace']}/{found['metadata']['name']}")
        if not objects:
            created.append(kind)
    names = [found["metadata"]["name"] for found in facts["backstages"]]
    if name in names:
        adopted.append(f"Backstage {namespace}/{name}")
    else:
        created.append(f"Backstage {namespace}/{name}")
        if not any(
            (item["metadata"].get("annotations") or {}).get(DEFAULT_STORAGE_CLASS) == "true"
            for item in facts["storage_classes"]
        ):
            blocks.append("No default StorageClass: the volume of Developer Hub's PostgreSQL would never be bound.")


def _deleted_names(facts: Object, release: Object, name: str, database: t.Mapping[str, t.Any]) -> list[str]:
    """Return which names of a description the operator deletes; it does so where the Hub has no PostgreSQL."""
    hub: Object = next((item for item in facts["backstages"] if item["metadata"]["name"] == name), {})
    if not release["behaviour"]["cleans_by_name"] or hub_spec.local_database(hub.get("spec") or {}):
        return []
    return database_judge.deleted_by_operator(database, name)


def _owners(platform: Object) -> list[str]:
    references = platform["metadata"].get("ownerReferences") or []
    return [owner["name"] for owner in references if owner["kind"] == "Backstage"]


def _judge_own_platform(
    facts: Object,
    namespace: str,
    name: str,
    database: database_options.Database,
    adopted: list[str],
    created: list[str],
    blocks: list[str],
) -> None:
    """Judge what a platform of our own, on an external database, would meet."""
    where = f"{database.address}/{database.name}"
    for platform in facts["platforms"]:
        place = f"SonataFlowPlatform {namespace}/{platform['metadata']['name']}"
        owners = _owners(platform)
        if platform["metadata"]["name"] != PLATFORM:
            blocks.append(f"{place} exists: a second one in a namespace stays Duplicated. Use another namespace.")
        elif owners and owners != [name]:
            blocks.append(
                f"{place} belongs to Backstage {owners[0]}: only one in a namespace can have the Orchestrator."
            )
        elif not database_move.leaves(platform, database):
            adopted.append(place)
        else:
            adopted.append(f"{place}, whose services move from {', '.join(database_move.places(platform))} to {where}")
    if not facts["platforms"]:
        created.append(f"SonataFlowPlatform {namespace}/{PLATFORM} on {where}")


def _judge_hub_platform(facts: Object, namespace: str, name: str, adopted: list[str], blocks: list[str]) -> None:
    """Judge what the platform that the Developer Hub operator makes would meet."""
    names = hub_spec.Names(name, namespace)
    for platform in facts["platforms"]:
        place = f"SonataFlowPlatform {namespace}/{platform['metadata']['name']}"
        owners = _owners(platform)
        ours = owners == [name] or hub_refusals.taken_back(platform, names)
        if platform["metadata"]["name"] == PLATFORM and ours:
            adopted.append(place)
        elif owners:
            blocks.append(
                f"{place} belongs to Backstage {owners[0]}: only one in a namespace can have the Orchestrator."
            )
        else:
            blocks.append(
                f"{place} exists and belongs to no Backstage: Developer Hub would take it over and delete it with "
                "itself. Describe its database in orchestrator_database, use another namespace, or remove it."
            )
