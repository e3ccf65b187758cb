# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the API server serves the CRDs of installed operators. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import owned_crds
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result, Verdict


def wait_until_served(call: Call, operators: t.Iterable[Operator], ended: Result | None) -> None:
    """Wait until every owned CRD of the installed operators is served; costs one read a group and version.

    `ended` is the wait for the operators, if there was one. Each target gets the CRDs that its CSV owns.
    """
    missing: list[str] = []
    for operator in operators:
        target = operator.target
        if target is None:
            continue
        csv = operator.csv
        if csv is None or csv["metadata"]["name"] != target.csv:
            csv = ended.snapshot.get(k.CSV, target.csv, operator.namespace) if ended else None
        owned = owned_crds((csv or {}).get("spec") or {})
        operator.target = dataclasses.replace(target, owned_crds=tuple(dict.fromkeys(c["name"] for c in owned)))
        missing += [name for name in unserved(call.session, owned) if name not in missing]
    if not missing:
        return

    def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
        verdicts = {}
        for name in missing:
            found = condition(snapshot.get(k.CRD, name), "Established")
            ready = found is not None and found.get("status") == "True"
            verdicts[name] = Verdict.ready() if ready else Verdict.pending("NotEstablished", "is not served yet")
        return verdicts

    sources = [Source(k.CRD, name=name) for name in missing]
    call.wait(f"the operators' CustomResourceDefinitions {', '.join(missing)}", sources, evaluate)


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
