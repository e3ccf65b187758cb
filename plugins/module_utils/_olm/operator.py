# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One operator on its way: what is wanted, what is there, what is done about it. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    CREATED_LABEL,
    Object,
    created_by_us,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted

RECREATE_PAUSE = 10.0  # seconds that a new Subscription must be dead: less than the grace of DeadSubscription
MOST_RECREATED = 2
OWN_CSVS = "!olm.copiedFrom"  # label selector: copies of other namespaces' ClusterServiceVersions install nothing


@dataclasses.dataclass(frozen=True)
class Options:
    """What the module may do beyond the ordinary, each by name."""

    wait: bool = True
    manage_adopted: bool = False
    replace_orphan: bool = False
    reset_failed_plan: bool = False
    recreate_dead_subscription: bool = False


@dataclasses.dataclass
class Recreation:
    """How often a Subscription that we have created again had to be created once more.

    While OLM's cache still holds what was deleted, it may refer the new Subscription to a plan that goes with the old
    one, or create the CSV for the old one and not take it for the new one's: that one then is as dead as the old one.
    """

    times: int = 0
    dead_since: float | None = None  # monotonic

    def due(self, dead: bool, now: float) -> bool:
        """Tell whether to create it once more; `dead` is what is seen `now`."""
        if not dead or self.times >= MOST_RECREATED:
            self.dead_since = None
            return False
        if self.dead_since is None:
            self.dead_since = now
        if now - self.dead_since < RECREATE_PAUSE:
            return False
        self.times, self.dead_since = self.times + 1, None
        return True


@dataclasses.dataclass
class Operator:
    """One operator on its way: what is wanted, what is there, what is done."""

    wanted: Wanted
    subscription: Object | None = None
    csv: Object | None = None  # the installed one
    target: Target | None = None
    action: str = "none"
    group: olm_group.GroupDecision | None = None
    write: Object | None = None  # the Subscription to apply
    orphan: str | None = None
    repair: str | None = None  # "reset" or "recreate"
    recreation: Recreation = dataclasses.field(default_factory=Recreation)
    csvs_to_delete: list[str] = dataclasses.field(default_factory=list)  # names, for the repair
    plan: Object | None = None  # the one that the Subscription referred to at first
    redirected: bool = False  # the Subscription gets another channel, version, approval or catalog
    reconfigured: bool = False  # the Subscription of what is installed gets another config
    generations: dict[str, int] = dataclasses.field(default_factory=dict)  # of its Deployments, before OLM acts on it
    # Of what is to be deleted, by name: what was looked at is deleted, and nothing that has come in its place.
    uids: dict[str, str | None] = dataclasses.field(default_factory=dict)
    pending_plan: str | None = None  # a plan that this change makes obsolete
    replaced: list[str] = dataclasses.field(default_factory=list)  # plans that came for what was wanted before it
    stale: frozenset[str] = frozenset()
    touched_at: float = 0.0  # when OLM was last made to look again, or was first seen to need it (time.monotonic)
    approved: list[str] = dataclasses.field(default_factory=list)
    included: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    changes: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)  # kind and body of what is to be ensured

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
        """Whether others installed it."""
        return self.subscription is not None and not created_by_us(self.subscription)

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
            "steps": olm_resolve.predict_steps(target, self.status.get("installedCSV")) if target else [],
            "plans_approved": self.approved,
            "upgrades_included": sorted(set(self.included)),
            "crds": list(crds),
            "warnings": self.warnings,
        }


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
    if wanted.version and semver.version_key(wanted.version) != semver.version_key(version):
        return None
    if wanted.approval == "Automatic" and operator.status.get("currentCSV") != name:
        return None
    if wanted.channel and wanted.channel != channel:
        return None
    return as_installed(csv, channel)


def as_planned(wanted: Wanted, subscription: Object | None) -> Target | None:
    """Return the target where OLM has planned already what is wanted: to approve that, no catalog is needed."""
    status, spec = (subscription or {}).get("status") or {}, (subscription or {}).get("spec") or {}
    name, channel = status.get("currentCSV") or "", spec.get("channel") or ""
    if (
        status.get("state") != "UpgradePending"
        or wanted.channel not in (None, channel)
        or wanted.csv not in (None, name)
    ):
        return None
    version = name.partition(".v")[2]
    try:
        if wanted.version and semver.version_key(wanted.version) != semver.version_key(version):
            return None
        if wanted.version_range and not semver.in_range(version, wanted.version_range):
            return None
    except ValueError:
        return None  # its name does not tell the version
    return Target(channel, name, version, ((name, version),), name, None, (), None, ())


def as_installed(csv: Object, channel: str) -> Target:
    name, version = csv["metadata"]["name"], csv["spec"].get("version") or ""
    owned = tuple(crd["name"] for crd in olm_csv.owned_crds(csv["spec"]))
    modes = tuple(m["type"] for m in csv["spec"].get("installModes") or [] if m.get("supported"))
    return Target(channel, name, version, ((name, version),), name, None, modes, None, owned)
