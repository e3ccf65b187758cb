# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a Developer Hub does not run. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import HUB_DEPLOYMENT
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader


def below_backstage(reader: Reader, backstage: Object) -> Cause | None:
    """Return why a Developer Hub is not ready: its workloads, its operator, its conditions."""
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
        found = reader.get(kind, name, names.namespace)
        missing = missing or (found is None and reader.known(kind))
        cause = reader.below(found) if found else None
        if cause:
            return cause
    if missing or deployed is None:
        return reader.operator_down((HUB_DEPLOYMENT,), "the Developer Hub operator")
    if verdict.state == READY:
        return None
    return Cause(f"{called(backstage)}: {short(verdict.message)}", verdict.remedy, get_command(backstage))
