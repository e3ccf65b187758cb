# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster and its catalogs hold, as the decisions about operators need it. PRIVATE; reads only."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    Operator,
    find_subscription,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted, find_manifest


class Facts:
    """What the cluster and its catalogs hold; each list is read once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.subscriptions: list[Object] = []  # of the whole cluster, as the groups
        self.groups: list[Object] = []
        self._catalogs: list[Object] | None = None
        self._csvs: list[Object] | None = None
        self._manifests: dict[tuple[str, str, str], Object | None] = {}

    def read(self, operators: t.Iterable[Operator]) -> None:
        """Read Subscriptions and OperatorGroups, and give each operator its Subscription and installed CSV."""
        self.subscriptions = self.session.list(k.SUBSCRIPTION)
        self.groups = self.session.list(k.OPERATOR_GROUP)
        for operator in operators:
            wanted = operator.wanted
            operator.subscription = find_subscription(self.subscriptions, wanted.package, wanted.namespace)
            name = operator.status.get("installedCSV")
            if name:
                operator.csv = self.session.get(k.CSV, name, operator.namespace)

    def subscriptions_in(self, namespace: str) -> list[Object]:
        """Return the Subscriptions of a namespace."""
        return [item for item in self.subscriptions if item["metadata"]["namespace"] == namespace]

    def groups_in(self, namespace: str) -> list[Object]:
        """Return the OperatorGroups of a namespace."""
        return [group for group in self.groups if group["metadata"]["namespace"] == namespace]

    def group_name(self, namespace: str) -> str:
        """Return the name of a namespace's only OperatorGroup; empty when it has none or several."""
        groups = self.groups_in(namespace)
        return groups[0]["metadata"]["name"] if len(groups) == 1 else ""

    @property
    def catalogs(self) -> list[Object]:
        """All CatalogSources of the cluster."""
        if self._catalogs is None:
            self._catalogs = self.session.list(k.CATALOG_SOURCE)
        return self._catalogs

    def catalog(self, wanted: Wanted) -> Object | None:
        """Return the CatalogSource that an operator is to come from."""
        key = (wanted.catalog, wanted.catalog_namespace)
        return next((c for c in self.catalogs if (c["metadata"]["name"], c["metadata"]["namespace"]) == key), None)

    @property
    def csvs(self) -> list[Object]:
        """All own CSVs of the cluster; none where they may not be read: OLM reports a conflict then, only later."""
        if self._csvs is None:
            try:
                self._csvs = self.session.list(k.CSV, label_selector=OWN_CSVS)
            except ApiError as exc:
                if not exc.forbidden:
                    raise
                self._csvs = []
        return self._csvs

    def manifest(self, wanted: Wanted) -> Object | None:
        """Return the PackageManifest of an operator's package in its catalog."""
        key = (wanted.catalog_namespace, wanted.catalog, wanted.package)
        if key not in self._manifests:
            # A GET by name may answer for another catalog that has the same package.
            found = self.session.list(
                k.PACKAGE_MANIFEST,
                wanted.catalog_namespace,
                label_selector=f"catalog={wanted.catalog}",
                field_selector=f"metadata.name={wanted.package}",
            )
            self._manifests[key] = find_manifest(found, wanted)
        return self._manifests[key]

    def packages(self, wanted: Wanted) -> list[Object]:
        """Return all PackageManifests of an operator's catalog."""
        return self.session.list(
            k.PACKAGE_MANIFEST, wanted.catalog_namespace, label_selector=f"catalog={wanted.catalog}"
        )

    def deployments(self, namespace: str, csv: str) -> dict[str, Object]:
        """Return the Deployments that OLM made for a CSV, by name."""
        found = self.session.list(k.DEPLOYMENT, namespace, label_selector=f"olm.owner={csv}"[:73])
        return {item["metadata"]["name"]: item for item in found}

    def kubernetes(self) -> str:
        """Return the version of the cluster's Kubernetes."""
        return str(self.session.get_path("/version").get("gitVersion", ""))
