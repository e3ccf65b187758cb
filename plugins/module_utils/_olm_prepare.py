# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster and its catalogs allow, decided for all operators before anything is written. PRIVATE."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_judge as judging
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_resolve as resolving
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    Object,
    Session,
    contains,
    gives_up_fields,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_operator import (
    Operator,
    Options,
    as_installed,
    find_subscription,
    is_ours,
    settled_target,
    subscription_body,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    Target,
    Wanted,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    condition,
)


class Preparation:
    """Reads what is there and works out what is to be written; writes nothing itself."""

    def __init__(self, session: Session, operators: t.Sequence[Operator], options: Options) -> None:
        self.session, self.operators, self.options = session, operators, options
        self._subscriptions: list[Object] = []
        self._groups: list[Object] = []
        self._manifests: dict[tuple[str, str, str], Object | None] = {}

    def read(self) -> None:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        self._groups = self.session.list(k.OPERATOR_GROUP)
        for operator in self.operators:
            wanted = operator.wanted
            operator.subscription = find_subscription(self._subscriptions, wanted.package, wanted.namespace)
            name = operator.status.get("installedCSV")
            if name:
                operator.csv = self.session.get(k.CSV, name, operator.namespace)

    def settled(self, operator: Operator) -> bool:
        """Tell whether an operator is as wanted already; costs one read of its Deployments."""
        managed = not operator.foreign or self.options.manage_adopted
        target = settled_target(operator)
        if not managed and operator.csv is not None:
            target = as_installed(operator.csv, (operator.subscription or {})["spec"].get("channel") or "")
        if target is None or operator.csv is None or operator.subscription is None:
            return False
        if managed:
            body = subscription_body(operator.wanted, target, operator.subscription)
            same = contains(operator.subscription["spec"], body["spec"])
            if not same or (
                is_ours(operator.subscription)
                and gives_up_fields(operator.subscription, body, self.session.field_manager)
            ):
                return False
        deployments = self.session.list(k.DEPLOYMENT, operator.namespace, label_selector=f"olm.owner={target.csv}"[:73])
        view = judging.View(
            operator.subscription,
            None,
            [operator.csv],
            {item["metadata"]["name"]: item for item in deployments},
            [],
            [],
        )
        if not judging.installed(view, target.csv):
            return False
        operator.target = target
        operator.group = resolving.GroupDecision("adopt", self._group_name(operator.namespace))
        operator.action = "adopted" if operator.foreign else "none"
        self._warn_about_foreign(operator)
        return True

    def _warn_about_foreign(self, operator: Operator) -> None:
        if not operator.foreign or operator.csv is None:
            return
        wanted, version = operator.wanted, operator.csv["spec"].get("version") or ""
        differs = (
            (wanted.csv and wanted.csv != operator.csv["metadata"]["name"])
            or (wanted.version and resolving.version_key(wanted.version) != resolving.version_key(version))
            or (wanted.version_range and not resolving.in_range(version, wanted.version_range))
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
            self._manifests[key] = resolving.find_manifest(found, wanted)
        return self._manifests[key]

    def refusals(self, operators: t.Sequence[Operator]) -> list[str]:
        """Resolve and check everything; returns all problems. Writes nothing."""
        problems: list[str] = []
        if not operators:
            return problems
        catalogs = self.session.list(k.CATALOG_SOURCE)
        kubernetes = self.session.get_path("/version").get("gitVersion", "")
        for operator in operators:
            problems += self._prepare_one(operator, catalogs, kubernetes)
        if not problems:
            problems = self._missing_rights(operators)
        return problems

    def _prepare_one(self, operator: Operator, catalogs: list[Object], kubernetes: str) -> list[str]:
        wanted = operator.wanted
        managed = not operator.foreign or self.options.manage_adopted
        if operator.subscription is not None and operator.namespace != wanted.namespace:
            # Adopted where it is: everything else below happens there.
            operator.wanted = wanted = dataclasses.replace(wanted, namespace=operator.namespace)
        if not managed and operator.csv is not None:
            spec = (operator.subscription or {})["spec"]
            operator.target, operator.action = as_installed(operator.csv, spec.get("channel") or ""), "adopted"
            self._warn_about_foreign(operator)
            return []
        if not managed:
            spec = (operator.subscription or {})["spec"]
            wanted = dataclasses.replace(
                wanted,
                channel=spec.get("channel"),
                csv=spec.get("startingCSV"),
                version=None,
                version_range=None,
                catalog=spec["source"],
                catalog_namespace=spec["sourceNamespace"],
            )
            operator.wanted, operator.action = wanted, "adopted"
        target, problems = self._resolve(operator, wanted, catalogs)
        operator.target = target
        if target is None or not managed:
            return problems
        operator.warnings += target.warnings
        problems += self._check_cluster(operator, target, kubernetes)
        problems += self._check_namespace(operator, target)
        operator.write = subscription_body(wanted, target, operator.subscription)
        problems += self._check_existing(operator, target)
        return problems

    def _resolve(self, operator: Operator, wanted: Wanted, catalogs: list[Object]) -> tuple[Target | None, list[str]]:
        where = f"operators[{wanted.package}]"
        if operator.csv is not None and not wanted.pinned and wanted.approval == "Manual":
            channel = (operator.subscription or {})["spec"].get("channel") or ""
            if wanted.channel in (None, channel):
                return as_installed(operator.csv, channel), []  # no version asked for: what runs stays
        source = next(
            (
                c
                for c in catalogs
                if (c["metadata"]["name"], c["metadata"]["namespace"]) == (wanted.catalog, wanted.catalog_namespace)
            ),
            None,
        )
        if source is None:
            names = [f"{c['metadata']['namespace']}/{c['metadata']['name']}" for c in catalogs]
            known = resolving.nearest(f"{wanted.catalog_namespace}/{wanted.catalog}", names)
            return None, [f"{where}: no CatalogSource {wanted.catalog_namespace}/{wanted.catalog}; there are: {known}."]
        manifest = self._manifest(wanted)
        if manifest is None:
            state = judging.catalog_state(source)
            if state != "READY":
                return None, [
                    f"{where}: catalog {wanted.catalog_namespace}/{wanted.catalog} is not READY but {state}, so it "
                    "cannot be told what it has. Look at it: oc get catalogsource,pods -n "
                    f"{wanted.catalog_namespace}."
                ]
            everything = self.session.list(
                k.PACKAGE_MANIFEST, wanted.catalog_namespace, label_selector=f"catalog={wanted.catalog}"
            )
            if resolving.find_manifest(everything, wanted):  # the selector was not understood, or it came just now
                self._manifests.clear()
                return resolving.resolve(t.cast(Object, resolving.find_manifest(everything, wanted)), wanted)
            known = resolving.nearest(wanted.package, [item["metadata"]["name"] for item in everything])
            return None, [f"{where}: no package {wanted.package!r} in catalog {wanted.catalog}; there are: {known}."]
        return resolving.resolve(manifest, wanted)

    def _check_cluster(self, operator: Operator, target: Target, kubernetes: str) -> list[str]:
        problems = []
        where = f"operators[{operator.wanted.package}]"
        minimum = target.min_kube_version
        try:
            too_old = minimum and resolving.version_key(kubernetes)[:3] < resolving.version_key(minimum)[:3]
        except ValueError:
            too_old = False  # a vendor's version text: OLM will judge
        if too_old and target.csv == target.head:
            problems.append(f"{where}: {target.csv} needs Kubernetes {minimum}, this cluster has {kubernetes}.")
        installed_name = operator.status.get("installedCSV")
        if operator.csv is not None and installed_name != target.csv:
            version = operator.csv["spec"].get("version") or ""
            if resolving.version_key(version) > resolving.version_key(target.version):
                problems.append(
                    f"{where}: {installed_name} is installed and newer than {target.csv}; OLM never goes back. Remove "
                    "the operator first (its custom resources stay), or ask for a newer version."
                )
        if operator.subscription is None:
            problems += self._api_conflicts(operator, target)
        return problems

    def _api_conflicts(self, operator: Operator, target: Target) -> list[str]:
        """Find operators of other packages that own one of the target's APIs already."""
        owners: dict[str, str] = {}
        labels = {
            resolving.component_label(s["spec"]["name"], s["metadata"]["namespace"]): s for s in self._subscriptions
        }
        for name in target.owned_crds:
            crd = self.session.get(k.CRD, name)
            for key in ((crd or {}).get("metadata") or {}).get("labels") or {}:
                if key in labels and labels[key]["spec"]["name"] != operator.wanted.package:
                    metadata = labels[key]["metadata"]
                    owners[name] = f"{labels[key]['spec']['name']} in {metadata['namespace']}"
        return [
            f"operators[{operator.wanted.package}]: {name} is provided by operator {owner} already; two operators "
            "must not serve one API. Remove that one first."
            for name, owner in owners.items()
        ]

    def _check_namespace(self, operator: Operator, target: Target) -> list[str]:
        wanted, where = operator.wanted, f"operators[{operator.wanted.package}]"
        groups = [g for g in self._groups if g["metadata"]["namespace"] == wanted.namespace]
        operator.group = resolving.decide_group(groups, wanted, target.install_modes)
        problems = [operator.group.problem] if operator.group.action == "refuse" else []
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
        if namespace is not None and operator.csv is None:
            problems += self._check_csvs(operator, target)
        return problems

    def _check_csvs(self, operator: Operator, target: Target) -> list[str]:
        """Look for CSVs of the package that keep OLM from installing: copied ones and orphans."""
        wanted, where = operator.wanted, f"operators[{operator.wanted.package}]"
        label = resolving.component_label(wanted.package, wanted.namespace)
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
            if not ours or not judging.is_orphan(name, own, subscriptions):
                continue
            if self.options.replace_orphan:
                operator.orphan = name
            else:
                problems.append(
                    f"{where}: {name} is left in {wanted.namespace} without a Subscription; OLM never adopts it. Set "
                    f"replace_orphan, or: oc delete csv {name} -n {wanted.namespace} (CRDs and objects stay)."
                )
        return problems

    def _check_existing(self, operator: Operator, target: Target) -> list[str]:
        """Decide what an existing Subscription needs: a change, a repair, nothing."""
        live, body = operator.subscription, operator.write
        if live is None or body is None:
            operator.action = "created"
            return []
        operator.stale = frozenset(c["message"] for c in operator.status.get("conditions") or [] if c.get("message"))
        ref = (operator.status.get("installPlanRef") or {}).get("name")
        plan = self.session.get(k.INSTALL_PLAN, ref, operator.namespace) if ref else None
        phase = ((plan or {}).get("status") or {}).get("phase")
        if phase == "Failed" and self.options.reset_failed_plan:
            operator.repair = "reset"
        current = operator.status.get("currentCSV")
        dead = phase == "Complete" or (plan is None and condition(live, "InstallPlanMissing") is not None)
        if (
            dead
            and operator.status.get("state") == "UpgradePending"
            and current
            and self.session.get(k.CSV, current, operator.namespace) is None
            and self.options.recreate_dead_subscription
        ):
            operator.repair = "recreate"
        # Forced where somebody else's Subscription is taken over: that is what manage_adopted asks for.
        if contains(live["spec"], body["spec"]) and not (
            is_ours(live) and gives_up_fields(live, body, self.session.field_manager)
        ):
            operator.write = None
            operator.action = "adopted" if operator.foreign else "none"
            return []
        operator.action = "updated"
        keys = ("channel", "startingCSV", "installPlanApproval", "source", "sourceNamespace")
        differs = any(live["spec"].get(key) != body["spec"].get(key) for key in keys)
        if differs and phase == "RequiresApproval" and not (plan or {})["spec"].get("approved"):
            operator.pending_plan = ref
        return []

    def would_approve(self, operator: Operator) -> bool:
        target = operator.target
        return bool(
            target
            and self.options.wait
            and operator.wanted.approval == "Manual"
            and not (operator.foreign and not self.options.manage_adopted)
            and operator.status.get("installedCSV") != target.csv
        )

    def _missing_rights(self, operators: t.Sequence[Operator]) -> list[str]:
        """Return one problem that names every right that is missing, with the smallest roles that grant them."""
        rules: dict[tuple[str, k.Kind, str | None], None] = {}
        for operator in operators:
            home = operator.wanted.namespace
            for change in operator.changes:
                cluster_wide = change["kind"] == k.NAMESPACE
                rules["create", change["kind"], None if cluster_wide else home] = None
                rules["patch", change["kind"], None if cluster_wide else home] = None
            if operator.write:
                rules["create", k.SUBSCRIPTION, home] = None
                rules["patch", k.SUBSCRIPTION, home] = None
            if self.would_approve(operator):
                rules["patch", k.INSTALL_PLAN, home] = None
            if operator.pending_plan:
                rules["delete", k.INSTALL_PLAN, home] = None
            if operator.orphan:
                rules["delete", k.CSV, home] = None
        missing = self.session.missing_rights(rules)
        if not missing:
            return []
        return [f"The credentials lack: {'; '.join(missing)}. Grant exactly these verbs by a Role (or ClusterRole)."]
