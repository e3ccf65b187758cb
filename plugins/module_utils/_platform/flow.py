# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module sonataflow_platform does: read, refuse, write, wait, explain. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.refusals import read
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.remove import remove
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.watch import Watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.write import (
    ensure,
    ensure_cluster_platform,
    ensure_policies,
    predict,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call


def reconcile(call: Call) -> dict[str, t.Any]:
    """Do what the options say; return the result of the module."""
    wanted = Platform(call)
    facts = remove(wanted) if call.params["state"] == "absent" else present(wanted)
    return call.result(**{**wanted.summary(), **facts, "elapsed": call.elapsed})


def present(wanted: Platform) -> dict[str, t.Any]:
    """Create, complete or adopt the platform, and wait. Raises InputError before the first write."""
    prepare(wanted)
    if wanted.params["wait"] and not wanted.call.check_mode:
        ended = Watch(wanted).until_ready()
        return {**wanted.facts(ended.snapshot), "timeline": ended.timeline}
    if wanted.waits_for_hub:
        raise InputError(["The Developer Hub operator has not created the platform yet: nothing to set without wait."])
    return {"timeline": []}


def prepare(wanted: Platform) -> None:
    """Check the options against the cluster and write what differs."""
    live = read(wanted)
    ensure(wanted, live)
    for what in platform_parts.kept_in_deployment(wanted.before, wanted.after or wanted.before):
        wanted.call.warn(f"{what} stays in the service's Deployment until that is deleted once.")
    for name in platform_parts.kept_running(wanted.before, wanted.after or wanted.before):
        wanted.call.warn(f"{name} runs on until its Deployment and Service are deleted.")
    if wanted.cluster:
        ensure_cluster_platform(wanted)
    if wanted.params.get("network_policies"):
        ensure_policies(wanted)
    if wanted.call.check_mode and live is not None:
        predict(wanted, live)
