# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring several operators about side by side: read, resolve all, refuse all, write, one wait over all. PRIVATE."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_judge as judging
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_resolve as resolving
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    CREATED_LABEL,
    ApiError,
    Object,
    Session,
    contains,
    gives_up_fields,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    diagnose,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    Target,
    Wanted,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Result,
    Snapshot,
    Source,
    Verdict,
    condition,
    wait,
)

OWN_CSVS = "!olm.copiedFrom"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the module may do beyond the ordinary, each by name."""

    wait: bool = True
    wait_timeout: float = 1800.0  # seconds
    manage_adopted: bool = False
    replace_orphan: bool = False
    reset_failed_plan: bool = False
    recreate_dead_subscription: bool = False


@dataclasses.dataclass
class Operator:
    """One operator on its way: what is wanted, what is there, what is done."""

    wanted: Wanted
    subscription: Object | None = None
    csv: Object | None = None  # the installed one
    target: Target | None = None
    action: str = "none"
    group: resolving.GroupDecision | None = None
    write: Object | None = None  # the Subscription to apply
    orphan: str | None = None
    repair: str | None = None  # "reset" or "recreate"
    pending_plan: str | None = None  # a plan that a change of the Subscription makes obsolete
    stale: frozenset[str] = frozenset()
    approved: list[str] = dataclasses.field(default_factory=list)
    included: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    changes: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Where the operator is, or goes."""
        return self.subscription["metadata"]["namespace"] if self.subscription else self.wanted.namespace

    @property
    def status(self) -> Object:
        """The Subscription's status."""
        return (self.subscription or {}).get("status") or {}

    @property
    def foreign(self) -> bool:
        """Whether somebody else installed it."""
        return self.subscription is not None and not is_ours(self.subscription)

    def result(self, crds: t.Sequence[str] = ()) -> dict[str, t.Any]:
        """Return what the module reports of it."""
        target = self.target
        return {
            "name": self.wanted.package,
            "namespace": self.namespace,
            "channel": target.channel if target else None,
            "csv": target.csv if target else None,
            "version": target.version if target else None,
            "subscription": self.subscription["metadata"]["name"] if self.subscription else self.wanted.package,
            "operator_group": self.group.name if self.group else None,
            "action": self.action,
            "steps": resolving.predict_steps(target, self.status.get("installedCSV")) if target else [],
            "plans_approved": self.approved,
            "upgrades_included": sorted(set(self.included)),
            "crds": list(crds),
            "warnings": self.warnings,
        }


def is_ours(obj: Object) -> bool:
    """Tell whether this collection created an object."""
    return (obj["metadata"].get("labels") or {}).get(CREATED_LABEL) == "true"


def find_subscription(subscriptions: t.Iterable[Object], package: str, namespace: str) -> Object | None:
    """Return the Subscription of a package wherever it is, by package and not by name.

    Of several, the one in the wanted namespace, else one that is installed.
    """
    found = [item for item in subscriptions if item["spec"].get("name") == package]
    found.sort(
        key=lambda item: (
            item["metadata"]["namespace"] != namespace,
            not (item.get("status") or {}).get("installedCSV"),
        )
    )
    return found[0] if found else None


def subscription_body(wanted: Wanted, target: Target, live: Object | None) -> Object:
    """Return the Subscription to apply. What was installed once keeps its startingCSV: OLM reads it only at first."""
    spec: Object = {
        "name": wanted.package,
        "source": wanted.catalog,
        "sourceNamespace": wanted.catalog_namespace,
        "channel": target.channel,
        "installPlanApproval": wanted.approval,
    }
    if live is not None and (live.get("status") or {}).get("installedCSV"):
        if live["spec"].get("startingCSV"):
            spec["startingCSV"] = live["spec"]["startingCSV"]
    elif wanted.pinned:
        spec["startingCSV"] = target.csv
    if wanted.config:
        spec["config"] = wanted.config
    metadata: Object = {"name": wanted.package, "namespace": wanted.namespace}
    if live is not None:
        metadata = {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"]}
        if CREATED_LABEL in (live["metadata"].get("labels") or {}):
            metadata["labels"] = {CREATED_LABEL: live["metadata"]["labels"][CREATED_LABEL]}
    return {"metadata": metadata, "spec": spec}


def settled_target(operator: Operator) -> Target | None:
    """Return the target when what is installed already is what is wanted, so that no catalog needs to be read."""
    csv, wanted = operator.csv, operator.wanted
    if csv is None or operator.subscription is None or operator.status.get("installedCSV") != csv["metadata"]["name"]:
        return None
    name, version = csv["metadata"]["name"], csv["spec"].get("version") or ""
    channel = operator.subscription["spec"].get("channel") or ""
    if wanted.version_range or (wanted.csv and wanted.csv != name):
        return None
    if wanted.version and resolving.version_key(wanted.version) != resolving.version_key(version):
        return None
    if wanted.approval == "Automatic" and operator.status.get("currentCSV") != name:
        return None
    if wanted.channel and wanted.channel != channel:
        return None
    return _as_installed(csv, channel)


def _as_installed(csv: Object, channel: str) -> Target:
    name, version = csv["metadata"]["name"], csv["spec"].get("version") or ""
    owned = tuple(crd["name"] for crd in (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or [])
    modes = tuple(m["type"] for m in csv["spec"].get("installModes") or [] if m.get("supported"))
    return Target(channel, name, version, ((name, version),), name, None, modes, None, owned)


class Run:
    """One call of the module for `state: present`."""

    def __init__(self, session: Session, wanted: t.Sequence[Wanted], options: Options) -> None:
        self.session, self.options = session, options
        self.operators = [Operator(item) for item in wanted]
        self._manifests: dict[tuple[str, str, str], Object | None] = {}
        self._started = time.monotonic()

    def present(self) -> dict[str, t.Any]:
        """Bring all operators about. Raises InputError before the first write, WaitFailed after it."""
        problems = resolving.check_input([operator.wanted for operator in self.operators])
        if problems:
            raise InputError(problems)
        self._read()
        views = {id(o): self._settled(o) for o in self.operators}
        open_operators = [o for o in self.operators if not views[id(o)]]
        problems = self._prepare(open_operators)
        if problems:
            raise InputError(problems)
        self._write(open_operators)
        changed = any(o.changes for o in self.operators)
        ended = None
        waiting = [o for o in open_operators if o.changes or not views[id(o)]]
        if self.session.check_mode:
            # What is not installed yet is approved and installed by the real run, even where nothing else differs.
            for operator in filter(self._would_approve, open_operators):
                changed = True
                operator.action = "updated" if operator.action == "none" else operator.action
        elif self.options.wait and waiting:
            ended = self._wait(waiting)
            for operator in self.operators:
                changed = changed or bool(operator.approved)
                if operator.approved and operator.action == "none":
                    operator.action = "updated"
        if not self.session.check_mode and self.options.wait:
            self._crds(ended)
        return self._result(changed, ended)

    def _result(self, changed: bool, ended: Result | None) -> dict[str, t.Any]:
        changes = [change for operator in self.operators for change in operator.changes]
        return {
            "changed": changed,
            "operators": [o.result(o.target.owned_crds if o.target else ()) for o in self.operators],
            "timeline": ended.timeline if ended else [],
            "elapsed": round(time.monotonic() - self._started, 2),
            "warnings": [f"{o.wanted.package}: {text}" for o in self.operators for text in o.warnings],
            "diff": {
                "before": {change["object"]: change["before"] for change in changes},
                "after": {change["object"]: change["after"] for change in changes},
            },
        }

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        self._groups = self.session.list(k.OPERATOR_GROUP)
        for operator in self.operators:
            wanted = operator.wanted
            operator.subscription = find_subscription(self._subscriptions, wanted.package, wanted.namespace)
            name = operator.status.get("installedCSV")
            if name:
                operator.csv = self.session.get(k.CSV, name, operator.namespace)

    def _settled(self, operator: Operator) -> bool:
        """Tell whether an operator is as wanted already; costs one read of its Deployments."""
        managed = not operator.foreign or self.options.manage_adopted
        target = settled_target(operator)
        if not managed and operator.csv is not None:
            target = _as_installed(operator.csv, (operator.subscription or {})["spec"].get("channel") or "")
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

    # -- deciding ---------------------------------------------------------------------------------------------------

    def _prepare(self, operators: t.Sequence[Operator]) -> list[str]:
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
            operator.target, operator.action = _as_installed(operator.csv, spec.get("channel") or ""), "adopted"
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
                return _as_installed(operator.csv, channel), []  # no version asked for: what runs stays
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

    def _would_approve(self, operator: Operator) -> bool:
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
            if self._would_approve(operator):
                rules["patch", k.INSTALL_PLAN, home] = None
            if operator.pending_plan:
                rules["delete", k.INSTALL_PLAN, home] = None
            if operator.orphan:
                rules["delete", k.CSV, home] = None
        missing = self.session.missing_rights(rules)
        if not missing:
            return []
        return [f"The credentials lack: {'; '.join(missing)}. Grant exactly these verbs by a Role (or ClusterRole)."]

    # -- writing ----------------------------------------------------------------------------------------------------

    def _write(self, operators: t.Sequence[Operator]) -> None:
        done: set[tuple[str, str, str]] = set()
        for operator in operators:
            planned, operator.changes = operator.changes, []
            for change in planned:
                self._ensure(operator, change["kind"], change["body"], done)
            if operator.orphan:
                self.session.delete(k.CSV, operator.orphan, operator.namespace)
                operator.changes.append(_change(k.CSV, operator.namespace, operator.orphan, {"present": True}, {}))
            if operator.repair and operator.subscription is not None:
                self._repair(operator)
            if operator.write is not None:
                self._ensure(operator, k.SUBSCRIPTION, operator.write, done)
            if operator.pending_plan and operator.changes and not self.session.check_mode:
                # OLM does not resolve again while a plan is pending, so the change would be ignored.
                self.session.delete(k.INSTALL_PLAN, operator.pending_plan, operator.namespace)

    def _ensure(self, operator: Operator, kind: k.Kind, body: Object, done: set[tuple[str, str, str]]) -> None:
        metadata = body["metadata"]
        key = (kind.kind, metadata.get("namespace", ""), metadata["name"])
        if key in done:
            return
        done.add(key)
        change = self.session.ensure(kind, body, force=operator.foreign)
        if change.changed:
            before = {"spec": change.before.get("spec")} if change.before else {}
            after = {"spec": change.after.get("spec")}
            operator.changes.append(_change(kind, metadata.get("namespace"), metadata["name"], before, after))

    def _repair(self, operator: Operator) -> None:
        subscription = t.cast(Object, operator.subscription)
        metadata = subscription["metadata"]
        if operator.repair == "reset":
            plan = operator.status["installPlanRef"]["name"]
            patch = {"status": {"phase": "Installing", "startTime": None, "message": None, "conditions": []}}
            if not self.session.check_mode:
                self.session.patch(k.INSTALL_PLAN, plan, operator.namespace, patch, subresource="status")
            before, after = {"phase": "Failed"}, {"phase": "Installing"}
            operator.changes.append(_change(k.INSTALL_PLAN, operator.namespace, plan, before, after))
            return
        self.session.delete(k.SUBSCRIPTION, metadata["name"], operator.namespace, uid=metadata["uid"])
        operator.subscription, operator.action = None, "created"
        operator.write = subscription_body(operator.wanted, t.cast(Target, operator.target), None)

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _wait(self, operators: t.Sequence[Operator]) -> Result:
        def view(snapshot: Snapshot, operator: Operator) -> judging.View:
            home = operator.namespace
            name = (operator.subscription or {"metadata": {"name": operator.wanted.package}})["metadata"]["name"]
            subscription = snapshot.get(k.SUBSCRIPTION, name, home)
            ref = (((subscription or {}).get("status") or {}).get("installPlanRef") or {}).get("name")
            return judging.View(
                subscription,
                snapshot.get(k.INSTALL_PLAN, ref, home) if ref else None,
                snapshot.list(k.CSV, home),
                {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT, home)},
                snapshot.list(k.OPERATOR_GROUP, home),
                [
                    c
                    for c in snapshot.list(k.CATALOG_SOURCE)
                    if c["metadata"]["namespace"] in (home, operator.wanted.catalog_namespace)
                ],
                snapshot.list(k.SUBSCRIPTION, home),
                operator.stale,
            )

        def approval(operator: Operator, seen: judging.View) -> judging.Approval | None:
            target = t.cast(Target, operator.target)
            if seen.subscription is None or judging.find_csv(seen.csvs, target.csv):
                return None
            asked = {o.target.csv for o in operators if o.target and o.namespace == operator.namespace}
            asked |= {
                (s.get("status") or {}).get("currentCSV")
                for o in operators
                for s in seen.subscriptions
                if o.target
                and s["spec"].get("name") == o.wanted.package
                and judging.on_the_way(
                    o.target,
                    (s.get("status") or {}).get("currentCSV"),
                    (s.get("status") or {}).get("installedCSV"),
                )
            }
            decision = judging.decide_approval(
                operator.wanted, target, seen.subscription, seen.plan, seen.subscriptions, asked
            )
            if decision.action == "approve" and operator.foreign and not self.options.manage_adopted:
                return judging.Approval(
                    "refuse",
                    "ApprovalNeeded",
                    f"plan {(seen.plan or {})['metadata']['name']} of somebody else's Subscription waits for approval",
                    "Approve it, or set manage_adopted.",
                )
            return decision

        def act(snapshot: Snapshot) -> None:
            for operator in operators:
                seen = view(snapshot, operator)
                decision = approval(operator, seen)
                if decision and decision.action == "approve":
                    self._approve(operator, t.cast(Object, seen.plan), decision)

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for operator in operators:
                seen = view(snapshot, operator)
                operator.subscription = seen.subscription or operator.subscription
                target = self._follow_automatic(operator, seen)
                verdicts[operator.wanted.package] = judging.judge(
                    operator.wanted, target, seen, approval(operator, seen)
                )
            return verdicts

        homes = list(dict.fromkeys(operator.namespace for operator in operators))
        sources = [Source(k.SUBSCRIPTION), Source(k.OPERATOR_GROUP), Source(k.CATALOG_SOURCE)]
        for home in homes:
            sources += [
                Source(k.INSTALL_PLAN, home),
                Source(k.CSV, home, label_selector=OWN_CSVS),
                Source(k.DEPLOYMENT, home),
            ]
        ended = wait(self.session, sources, evaluate, timeout=self.options.wait_timeout, act=act)
        if ended.phase != READY:
            raise self._failed(operators, ended)
        return ended

    def _approve(self, operator: Operator, plan: Object, decision: judging.Approval) -> None:
        metadata = plan["metadata"]
        if metadata["name"] in operator.approved:
            return
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"approved": True}}
        try:
            self.session.patch(k.INSTALL_PLAN, metadata["name"], metadata["namespace"], patch)
        except ApiError as exc:
            if exc.conflict or exc.not_found:
                return  # it has changed meanwhile: looked at again when the change arrives
            raise
        operator.approved.append(metadata["name"])
        own = {name for name, _version in t.cast(Target, operator.target).entries}
        operator.included += [n for n in plan["spec"].get("clusterServiceVersionNames") or [] if n not in own]

    @staticmethod
    def _follow_automatic(operator: Operator, seen: judging.View) -> Target:
        """With Automatic approval OLM may end at a newer head than the one read: follow it."""
        target = t.cast(Target, operator.target)
        status = (seen.subscription or {}).get("status") or {}
        name = status.get("installedCSV")
        if operator.wanted.approval != "Automatic" or not name or name in (target.csv, None):
            return target
        csv = judging.find_csv(seen.csvs, name)
        version = ((csv or {}).get("spec") or {}).get("version")
        if version and resolving.version_key(version) > resolving.version_key(target.version):
            operator.target = target = _as_installed(t.cast(Object, csv), target.channel)
        return target

    def _failed(self, operators: t.Sequence[Operator], ended: Result) -> WaitFailed:
        causes = []
        for operator in operators:
            verdict = ended.verdicts.get(operator.wanted.package)
            if verdict is not None and verdict.state == READY:
                continue
            target, home = t.cast(Target, operator.target), operator.namespace
            csv = ended.snapshot.get(k.CSV, target.csv, home)
            kind, name = (k.CSV, target.csv) if csv else (k.SUBSCRIPTION, operator.wanted.package)
            if operator.subscription is not None and not csv:
                name = operator.subscription["metadata"]["name"]
            cause = diagnose(self.session, kind, name, home)
            if cause is not None:
                causes.append(cause.text(f"{operator.wanted.package}: "))
        names = ", ".join(o.wanted.package for o in operators)
        results = [o.result() for o in self.operators]
        changed = any(o.changes or o.approved for o in self.operators)
        return WaitFailed(ended, f"operators {names}", causes, operators=results, changed=changed)

    def _crds(self, ended: Result | None) -> None:
        """Wait until every owned CRD of the installed operators is served; costs one read a group and version."""
        missing = []
        for operator in self.operators:
            target = operator.target
            if target is None:
                continue
            csv = operator.csv
            if csv is None or csv["metadata"]["name"] != target.csv:
                csv = ended.snapshot.get(k.CSV, target.csv, operator.namespace) if ended else None
            owned = ((csv or {}).get("spec") or {}).get("customresourcedefinitions", {}).get("owned") or []
            operator.target = dataclasses.replace(target, owned_crds=tuple(dict.fromkeys(c["name"] for c in owned)))
            missing += [name for name in unserved(self.session, owned) if name not in missing]
        if not missing:
            return

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for name in missing:
                found = condition(snapshot.get(k.CRD, name), "Established")
                ready = found is not None and found.get("status") == "True"
                verdicts[name] = Verdict.ready() if ready else Verdict.pending("NotEstablished", "is not served yet")
            return verdicts

        left = max(10.0, self.options.wait_timeout - (time.monotonic() - self._started))
        result = wait(self.session, [Source(k.CRD, name=name) for name in missing], evaluate, timeout=left)
        if result.phase != READY:
            raise WaitFailed(result, f"the operators' CustomResourceDefinitions {', '.join(missing)}")


def unserved(session: Session, owned: t.Iterable[Object]) -> list[str]:
    """Return those of a CSV's owned CRDs that the API server does not serve in the version that the CSV names."""
    by_version: dict[str, set[str]] = {}
    for crd in owned:
        plural, _dot, group = crd["name"].partition(".")
        by_version.setdefault(f"{group}/{crd['version']}", set()).add(plural)
    missing = []
    for api_version, plurals in by_version.items():
        try:
            served = {item["name"] for item in session.get_path(f"/apis/{api_version}").get("resources") or []}
        except ApiError as exc:
            if not exc.not_found:
                raise
            served = set()
        group = api_version.split("/")[0]
        missing += [f"{plural}.{group}" for plural in sorted(plurals - served)]
    return missing


def _change(kind: k.Kind, namespace: str | None, name: str, before: Object, after: Object) -> dict[str, t.Any]:
    place = f"{namespace}/{name}" if namespace else name
    return {"object": f"{kind.kind} {place}", "before": before, "after": after}
