# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster and its catalogs allow, decided for all operators before anything is written. PRIVATE."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import contains, gives_up_fields
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import approval as olm_approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import judge as olm_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolution as olm_resolution
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import rights, semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import view as olm_view
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.crds import Foresight
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    Operator,
    Options,
    as_installed,
    as_planned,
    find_subscription,
    settled_target,
    subscription_body,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal


class Preparation:
    """Reads what is there and works out what is to be written; writes nothing itself."""

    def __init__(self, session: Session, operators: t.Sequence[Operator], options: Options) -> None:
        self.session, self.operators, self.options = session, operators, options
        self.foresight = Foresight(session)
        self.roles: list[Object] = []  # that would grant what is missing
        self._subscriptions: list[Object] = []
        self._groups: list[Object] = []
        self._known_catalogs: list[Object] | None = None
        self._known_csvs: list[Object] | None = None
        self._manifests: dict[tuple[str, str, str], Object | None] = {}

    def decide(self) -> tuple[list[Operator], list[str]]:
        """Return the operators that are not as wanted yet, and all problems. What may not be read is one of these."""
        try:
            return self._decide()
        except ApiError as exc:
            if not exc.forbidden:
                raise
            problems = self._missing_rights(self.operators)
            if not problems:
                raise
            return [], problems

    def _decide(self) -> tuple[list[Operator], list[str]]:
        self._read()
        waiting = [operator for operator in self.operators if not self._settled(operator)]
        problems = self._refusals(waiting)
        if not problems:
            waiting = [operator for operator in waiting if not self._nothing_to_do(operator)]
        return waiting, problems

    def _read(self) -> None:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        self._groups = self.session.list(k.OPERATOR_GROUP)
        for operator in self.operators:
            wanted = operator.wanted
            operator.subscription = find_subscription(self._subscriptions, wanted.package, wanted.namespace)
            name = operator.status.get("installedCSV")
            if name:
                operator.csv = self.session.get(k.CSV, name, operator.namespace)

    def managed(self, operator: Operator) -> bool:
        """Tell whether this call may change an operator."""
        return not operator.foreign or self.options.manage_adopted

    def _settled(self, operator: Operator) -> bool:
        """Tell whether an operator is as wanted already, as far as its own objects tell; no catalog is read."""
        if self._check_watched(operator):
            return False
        target = settled_target(operator)
        if not self.managed(operator) and operator.csv is not None:
            target = as_installed(operator.csv, (operator.subscription or {})["spec"].get("channel") or "")
        if target is None or operator.subscription is None or not self._runs(operator, target):
            return False
        if self.managed(operator) and self._differs(
            operator, subscription_body(operator.wanted, target, operator.subscription)
        ):
            return False
        operator.target = target
        operator.group = olm_group.GroupDecision("adopt", self._group_name(operator.namespace))
        operator.action = "adopted" if operator.foreign else "none"
        self._warn_about_foreign(operator)
        return True

    def _check_watched(self, operator: Operator) -> list[str]:
        """Compare the namespaces that an installed operator watches with those that are asked for."""
        if operator.subscription is None or operator.csv is None:
            return []
        groups = [g for g in self._groups if g["metadata"]["namespace"] == operator.namespace]
        watched = olm_group.watched_by(operator.csv, groups[0] if len(groups) == 1 else None)
        modes = as_installed(operator.csv, "").install_modes
        lacking = olm_group.unwatched(operator.wanted, watched, modes, operator.namespace)
        if not lacking:
            return []
        group = f"{operator.namespace}/{self._group_name(operator.namespace) or '(there are several)'}"
        return [
            f"operators[{operator.wanted.package}]: {operator.csv['metadata']['name']} is installed in "
            f"{operator.namespace} and watches {', '.join(watched or ())} only; it must watch {lacking}. Change the "
            f"targetNamespaces of OperatorGroup {group}, which may serve others, or remove that operator first."
        ]

    def _nothing_to_do(self, operator: Operator) -> bool:
        """Tell whether an operator turned out to be as wanted, now that the catalog has said what is wanted."""
        target = operator.target
        return (
            target is not None
            and not (operator.changes or operator.write or operator.orphan or operator.repair)
            and self._runs(operator, target)
        )

    def _runs(self, operator: Operator, target: Target) -> bool:
        """Tell whether a CSV is installed and runs; costs one read of its Deployments."""
        if operator.csv is None or operator.csv["metadata"]["name"] != target.csv:
            return False
        deployments = self.session.list(k.DEPLOYMENT, operator.namespace, label_selector=f"olm.owner={target.csv}"[:73])
        by_name = {item["metadata"]["name"]: item for item in deployments}
        operator.generations = {name: item["metadata"].get("generation", 0) for name, item in by_name.items()}
        return olm_judge.installed(
            olm_view.View(operator.subscription, None, [operator.csv], by_name, [], []), target.csv
        )

    def _differs(self, operator: Operator, body: Object) -> bool:
        """Tell whether a live Subscription needs to be written."""
        live = t.cast(Object, operator.subscription)
        # Somebody else's that is taken over (manage_adopted) is not marked as ours: its other fields stay theirs.
        return not contains(live["spec"], body["spec"]) or (
            created_by_us(live) and gives_up_fields(live, body, self.session.field_manager)
        )

    def _warn_about_foreign(self, operator: Operator) -> None:
        if not operator.foreign or operator.csv is None:
            return
        wanted, version = operator.wanted, operator.csv["spec"].get("version") or ""
        differs = (
            (wanted.csv and wanted.csv != operator.csv["metadata"]["name"])
            or (wanted.version and semver.version_key(wanted.version) != semver.version_key(version))
            or (wanted.version_range and not semver.in_range(version, wanted.version_range))
        )
        if differs and not self.options.manage_adopted:
            operator.warnings.append(
                f"somebody else installed {operator.csv['metadata']['name']} in {operator.namespace}; it is used as it "
                f"is, though {wanted.csv or wanted.version or wanted.version_range} was asked for (manage_adopted "
                "changes it)"
            )

    def _group_name(self, namespace: str) -> str:
        names = [g["metadata"]["name"] for g in self._groups if g["metadata"]["namespace"] == namespace]
        return names[0] if len(names) == 1 else ""

    # -- resolving --------------------------------------------------------------------------------------------------

    def _refusals(self, operators: t.Sequence[Operator]) -> list[str]:
        """Resolve and check everything; returns all problems. Writes nothing."""
        problems: list[str] = []
        for operator in operators:
            problems += self._check_watched(operator)  # as asked for: what follows looks where it is
            problems += self._resolve_one(operator)
        for operator in operators:
            if operator.target is not None and self.managed(operator):
                problems += self._check_one(operator, operator.target)
                problems += self._check_pending_plan(operator, operator.target)
        if not problems and any(self._acts(operator) for operator in operators):
            problems = self._missing_rights(operators)
        return problems

    def _acts(self, operator: Operator) -> bool:
        return bool(operator.changes or operator.write or operator.orphan or operator.repair) or self.would_approve(
            operator
        )

    def _resolve_one(self, operator: Operator) -> list[str]:
        wanted = operator.wanted
        if operator.subscription is not None and operator.namespace != wanted.namespace:
            # Adopted where it is: everything else below happens there.
            operator.wanted = wanted = dataclasses.replace(wanted, namespace=operator.namespace)
        if not self.managed(operator):
            spec = (operator.subscription or {})["spec"]
            operator.action = "adopted"
            if operator.csv is not None:
                operator.target = as_installed(operator.csv, spec.get("channel") or "")
                self._warn_about_foreign(operator)
                return []
            operator.wanted = wanted = dataclasses.replace(
                wanted,
                channel=spec.get("channel"),
                csv=spec.get("startingCSV"),
                version=None,
                version_range=None,
                catalog=spec["source"],
                catalog_namespace=spec["sourceNamespace"],
            )
        operator.target, problems = self._resolve(operator, wanted)
        if operator.target is not None and self.managed(operator):
            operator.warnings += operator.target.warnings
        return problems

    @property
    def _catalogs(self) -> list[Object]:
        if self._known_catalogs is None:
            self._known_catalogs = self.session.list(k.CATALOG_SOURCE)
        return self._known_catalogs

    def _manifest(self, wanted: Wanted) -> Object | None:
        key = (wanted.catalog_namespace, wanted.catalog, wanted.package)
        if key not in self._manifests:
            # A GET by name may answer for another catalog that has the same package.
            found = self.session.list(
                k.PACKAGE_MANIFEST,
                wanted.catalog_namespace,
                label_selector=f"catalog={wanted.catalog}",
                field_selector=f"metadata.name={wanted.package}",
            )
            self._manifests[key] = olm_resolve.find_manifest(found, wanted)
        return self._manifests[key]

    def _resolve(self, operator: Operator, wanted: Wanted) -> tuple[Target | None, list[str]]:
        where = f"operators[{wanted.package}]"
        channel = (operator.subscription or {}).get("spec", {}).get("channel") or ""
        if (
            operator.csv is not None
            and not wanted.pinned
            and wanted.approval == "Manual"
            and wanted.channel in (None, channel)
        ):
            return as_installed(operator.csv, channel), []  # no version asked for: what runs stays
        manifest = self._manifest(wanted)
        if manifest is not None:
            return olm_resolve.resolve(manifest, wanted)
        source = self._catalog(wanted)
        if source is None:
            names = [f"{c['metadata']['namespace']}/{c['metadata']['name']}" for c in self._catalogs]
            known = olm_resolve.nearest(f"{wanted.catalog_namespace}/{wanted.catalog}", names)
            return None, [f"{where}: no CatalogSource {wanted.catalog_namespace}/{wanted.catalog}; there are: {known}."]
        state = olm_resolution.catalog_state(source)
        if state != "READY":
            if operator.csv is not None and wanted.version_range and wanted.channel in (None, channel):
                version = operator.csv["spec"].get("version") or ""
                if semver.in_range(version, wanted.version_range):
                    operator.warnings.append(
                        f"catalog {wanted.catalog} is not READY but {state}, so it cannot be told whether there is "
                        f"something newer than {version}"
                    )
                    return as_installed(operator.csv, channel), []
            planned = as_planned(wanted, operator.subscription)
            return planned, [] if planned else [self._not_ready(wanted, state)]
        everything = self.session.list(
            k.PACKAGE_MANIFEST, wanted.catalog_namespace, label_selector=f"catalog={wanted.catalog}"
        )
        manifest = olm_resolve.find_manifest(everything, wanted)
        if manifest is not None:  # the selector was not understood, or it came just now
            return olm_resolve.resolve(manifest, wanted)
        known = olm_resolve.nearest(wanted.package, [item["metadata"]["name"] for item in everything])
        return None, [f"{where}: no package {wanted.package!r} in catalog {wanted.catalog}; there are: {known}."]

    def _catalog(self, wanted: Wanted) -> Object | None:
        key = (wanted.catalog, wanted.catalog_namespace)
        return next((c for c in self._catalogs if (c["metadata"]["name"], c["metadata"]["namespace"]) == key), None)

    @staticmethod
    def _not_ready(wanted: Wanted, state: str) -> str:
        return (
            f"operators[{wanted.package}]: catalog {wanted.catalog_namespace}/{wanted.catalog} is not READY but "
            f"{state}, so that nothing can be resolved. Look at it: oc get catalogsource,pods -n "
            f"{wanted.catalog_namespace}."
        )

    # -- checking ---------------------------------------------------------------------------------------------------

    def _check_one(self, operator: Operator, target: Target) -> list[str]:
        operator.write = subscription_body(operator.wanted, target, operator.subscription)
        return [
            *self._check_cluster(operator, target),
            *self._check_namespace(operator, target),
            *self._check_existing(operator, target),
            *self._check_catalog(operator),
        ]

    def _check_catalog(self, operator: Operator) -> list[str]:
        """OLM resolves nothing while the catalog is down; PackageManifests stay for a while after it went."""
        if operator.write is None or operator.target is None:
            return []
        source = self._catalog(operator.wanted)
        state = "missing" if source is None else olm_resolution.catalog_state(source)
        # IDLE and CONNECTING pass by themselves: a connection that nobody used, a catalog that was just replaced.
        return (
            [self._not_ready(operator.wanted, state)] if state in ("missing", "TRANSIENT_FAILURE", "SHUTDOWN") else []
        )

    def _check_cluster(self, operator: Operator, target: Target) -> list[str]:
        problems = []
        where = f"operators[{operator.wanted.package}]"
        installed_name = operator.status.get("installedCSV")
        if installed_name == target.csv:
            return []
        if target.min_kube_version and target.csv == target.head:
            kubernetes = self.session.get_path("/version").get("gitVersion", "")
            try:
                too_old = semver.version_key(kubernetes)[:3] < semver.version_key(target.min_kube_version)[:3]
            except ValueError:
                too_old = False  # a vendor's version text: OLM will judge
            if too_old:
                problems.append(
                    f"{where}: {target.csv} needs Kubernetes {target.min_kube_version}, this cluster has {kubernetes}. "
                    "Choose another version."
                )
        if operator.csv is not None:
            problems += olm_resolve.no_way(target, installed_name, operator.csv["spec"].get("version") or "", where)
        else:
            problems += self._api_conflicts(operator, target)
        return problems

    @property
    def _csvs(self) -> list[Object]:
        """All own CSVs of the cluster; none where they may not be read: OLM will tell of a conflict, only later."""
        if self._known_csvs is None:
            try:
                self._known_csvs = self.session.list(k.CSV, label_selector=OWN_CSVS)
            except ApiError as exc:
                if not exc.forbidden:
                    raise
                self._known_csvs = []
        return self._known_csvs

    def _api_conflicts(self, operator: Operator, target: Target) -> list[str]:
        """Find operators of other packages, or left over from elsewhere, that own one of the target's APIs already."""
        known = {name for name, _version in target.entries}
        problems = []
        for csv in self._csvs:
            name, home = csv["metadata"]["name"], csv["metadata"]["namespace"]
            owned = olm_csv.owned_crds(csv["spec"])
            shared = sorted({crd["name"] for crd in owned} & set(target.owned_crds))
            if shared and not (name in known and home == operator.wanted.namespace):
                problems.append(
                    f"operators[{operator.wanted.package}]: {shared[0]} is provided by {name} in {home} already; two "
                    "operators must not serve one API. Remove that one first, its Subscription and then the CSV (CRDs "
                    "and objects stay)."
                )
        for other in self.operators[: self.operators.index(operator)]:  # told once for each pair
            both = sorted(set(target.owned_crds) & set(other.target.owned_crds if other.target else ()))
            if both and other.csv is None:
                problems.append(
                    f"operators[{operator.wanted.package}]: {both[0]} is provided by {other.wanted.package} as well; "
                    "two operators must not serve one API. Name only one of them."
                )
        return problems

    def _check_namespace(self, operator: Operator, target: Target) -> list[str]:
        wanted, where = operator.wanted, f"operators[{operator.wanted.package}]"
        groups = [g for g in self._groups if g["metadata"]["namespace"] == wanted.namespace]
        planned = [
            change["body"]
            for other in self.operators
            for change in other.changes
            if change["kind"] == k.OPERATOR_GROUP and change["body"]["metadata"]["namespace"] == wanted.namespace
        ]
        modes = target.install_modes if groups else self._common_modes(wanted.namespace, target)
        operator.group = olm_group.decide_group([*groups, *planned], wanted, modes)
        problems = [operator.group.problem] if operator.group.action == "refuse" else []
        if operator.csv is not None:
            return problems  # the namespace is there, and OLM has worked in it
        namespace = self.session.get(k.NAMESPACE, wanted.namespace)
        if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
            problems.append(
                f"{where}: namespace {wanted.namespace} is being deleted. Wait until it is gone: oc get namespace "
                f"{wanted.namespace} -o yaml (status.conditions say what holds it)."
            )
        if namespace is None:
            body = {"metadata": {"name": wanted.namespace}}
            operator.changes.append({"kind": k.NAMESPACE, "body": body})
        if operator.group.action == "create":
            operator.changes.append({"kind": k.OPERATOR_GROUP, "body": operator.group.body})
        if namespace is not None:
            problems += self._check_csvs(operator, target)
        return problems

    def _common_modes(self, namespace: str, target: Target) -> tuple[str, ...]:
        """Return the install modes that all operators of this call support that go to one new OperatorGroup.

        With none in common the group is made for the first one, and the others are refused against it.
        """
        every = [o.target.install_modes for o in self.operators if o.target and o.wanted.namespace == namespace]
        return tuple(mode for mode in target.install_modes if all(mode in modes for modes in every if modes)) or (
            target.install_modes
        )

    def _check_csvs(self, operator: Operator, target: Target) -> list[str]:
        """Look for CSVs of the package that keep OLM from installing: copied ones and orphans."""
        wanted, where = operator.wanted, f"operators[{operator.wanted.package}]"
        label = olm_csv.component_label(wanted.package, wanted.namespace)
        known = {name for name, _version in target.entries}
        problems, own = [], []
        csvs = self.session.list(k.CSV, wanted.namespace)
        for csv in csvs:
            labels = csv["metadata"].get("labels") or {}
            if "olm.copiedFrom" not in labels:
                own.append(csv)
            elif csv["metadata"]["name"] in known:
                problems.append(
                    f"{where}: namespace {wanted.namespace} holds a copy of {csv['metadata']['name']} from namespace "
                    f"{labels['olm.copiedFrom']}: OLM would call it installed and install nothing. Use that "
                    "installation, or remove it first."
                )
        subscriptions = [s for s in self._subscriptions if s["metadata"]["namespace"] == wanted.namespace]
        for csv in own:
            name = csv["metadata"]["name"]
            ours = name in known or label in (csv["metadata"].get("labels") or {})
            if not ours or not olm_csv.is_orphan(name, own, subscriptions):
                continue
            if self.options.replace_orphan:
                operator.orphan = name
                operator.uids[name] = csv["metadata"].get("uid")
            else:
                problems.append(
                    f"{where}: {name} is left in {wanted.namespace} without a Subscription; OLM never adopts it. Set "
                    f"replace_orphan, or: oc delete csv {name} -n {wanted.namespace} (CRDs and objects stay)."
                )
        return problems

    def _check_existing(self, operator: Operator, target: Target) -> list[str]:
        """Decide what an existing Subscription needs: a change, a repair, nothing."""
        live, body = operator.subscription, t.cast(Object, operator.write)
        if live is None:
            operator.action = "created"
            return []
        differs = self._differs(operator, body)
        if not differs:
            operator.write = None
        phase = ((operator.csv or {}).get("status") or {}).get("phase")
        if not differs and operator.status.get("installedCSV") == target.csv and phase == "Succeeded":
            operator.action = "adopted" if operator.foreign else "none"
            return []
        operator.stale = frozenset(c["message"] for c in operator.status.get("conditions") or [] if c.get("message"))
        ref = (operator.status.get("installPlanRef") or {}).get("name")
        operator.plan = self.session.get(k.INSTALL_PLAN, ref, operator.namespace) if ref else None
        self._decide_repair(operator, live)
        if not differs:
            operator.action = "adopted" if operator.foreign else "none"
            return []
        operator.action = "updated"
        keys = ("channel", "startingCSV", "installPlanApproval", "source", "sourceNamespace")
        stays = operator.status.get("installedCSV") == target.csv
        operator.reconfigured = stays and live["spec"].get("config") != body["spec"].get("config")
        operator.redirected = any(live["spec"].get(key) != body["spec"].get(key) for key in keys)
        if operator.redirected and olm_approval.may_be_deleted(live, operator.plan):
            operator.pending_plan = ref
            operator.uids[str(ref)] = t.cast(Object, operator.plan)["metadata"].get("uid")
        return []

    def _check_pending_plan(self, operator: Operator, target: Target) -> list[str]:
        """Look into a plan that is there already and would be approved: OLM would stop it half-way."""
        plan, current = operator.plan, operator.status.get("currentCSV")
        if operator.pending_plan or not self.would_approve(operator) or not olm_approval.awaits_approval(plan):
            return []
        if not olm_approval.on_the_way(target, current, operator.status.get("installedCSV")):
            return []
        beside = [s for s in self._subscriptions if s["metadata"]["namespace"] == operator.namespace]
        danger = self.foresight.danger(t.cast(Object, plan), beside)
        remedy = terminal("plan/StoredVersionDropped").remedy
        return [f"operators[{operator.wanted.package}]: {danger}. {remedy}"] if danger else []

    def _decide_repair(self, operator: Operator, live: Object) -> None:
        """Choose the way out of a dead end, where it was asked for."""
        phase = ((operator.plan or {}).get("status") or {}).get("phase")
        if phase == "Failed" and self.options.reset_failed_plan:
            operator.repair = "reset"
        if not self.options.recreate_dead_subscription:
            return
        if olm_judge.passed_over(live, t.cast(Target, operator.target), operator.csv):
            operator.repair = "recreate"
            return
        lost = operator.plan is None and condition(live, "InstallPlanMissing") is not None
        current = operator.status.get("currentCSV")
        if not (lost or phase == "Complete") or not current:
            return
        csv = self.session.get(k.CSV, current, operator.namespace)
        if csv is None and operator.status.get("state") == "UpgradePending":
            operator.repair = "recreate"
        elif lost and csv is not None and (csv.get("status") or {}).get("phase") != "Succeeded":
            # Its plan had failed and was deleted: OLM makes another one only once both halves of the upgrade are gone.
            operator.repair = "recreate"
            own = self.session.list(k.CSV, operator.namespace, label_selector=OWN_CSVS)
            names = {current, csv["spec"].get("replaces")}
            halves = [item["metadata"] for item in own if item["metadata"]["name"] in names]
            operator.halves = [half["name"] for half in halves]
            operator.uids.update({half["name"]: half.get("uid") for half in halves})

    def would_approve(self, operator: Operator) -> bool:
        """Tell whether a plan will have to be approved before the operator is as wanted."""
        target = operator.target
        if (
            target is None
            or not self.options.wait
            or operator.wanted.approval != "Manual"
            or not self.managed(operator)
            or operator.status.get("installedCSV") == target.csv
        ):
            return False
        if operator.plan is None or operator.pending_plan or operator.repair:
            return True
        on_its_way = target.csv in (operator.plan["spec"].get("clusterServiceVersionNames") or [])
        return not (on_its_way and operator.plan["spec"].get("approved"))

    def _missing_rights(self, operators: t.Sequence[Operator]) -> list[str]:
        """Return one problem that names every right that is missing; `roles` then would grant them."""
        homes = list(dict.fromkeys(operator.wanted.namespace for operator in operators))
        catalogs = list(dict.fromkeys(operator.wanted.catalog_namespace for operator in operators))
        needed = rights.to_read(homes, catalogs)
        for operator in operators:
            needed += self._rights_to_write(operator)
        lacking = rights.missing(self.session, needed)
        self.roles = rights.roles(lacking)
        return [rights.in_words(lacking)] if lacking else []

    def _rights_to_write(self, operator: Operator) -> list[rights.Right]:
        home = operator.wanted.namespace
        needed: list[rights.Right] = []
        for change in operator.changes:
            place = None if change["kind"] == k.NAMESPACE else home
            needed += [(verb, change["kind"], place) for verb in ("create", "get", "patch")]
        resolved = operator.target is not None
        if operator.write or not resolved:
            needed += [(verb, k.SUBSCRIPTION, home) for verb in ("create", "get", "patch")]
        if not resolved:  # nothing could be read: what a fresh install needs
            needed += [(verb, k.OPERATOR_GROUP, home) for verb in ("create", "get", "patch")]
            needed += [(verb, k.NAMESPACE, None) for verb in ("create", "patch")]
        if not resolved or self.would_approve(operator):
            needed.append(("patch", k.INSTALL_PLAN, home))
        if operator.pending_plan or operator.redirected:
            needed.append(("delete", k.INSTALL_PLAN, home))
        if operator.orphan or operator.halves:
            needed.append(("delete", k.CSV, home))
        if operator.repair == "reset":
            needed.append(("patch", rights.PLAN_STATUS, home))
        if operator.repair == "recreate":
            needed += [(verb, k.SUBSCRIPTION, home) for verb in ("create", "get", "patch", "delete")]
        return needed
