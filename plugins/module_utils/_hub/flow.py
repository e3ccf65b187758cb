# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module developer_hub does, in order: read, refuse, write, wait, explain. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.read import read, read_plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.remove import absent
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import Facts, HubState
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.watch import until_ready
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.write import (
    leftovers,
    release_platform,
    write_backstage,
    write_namespace,
    write_plugins,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call


def present(call: Call, state: HubState) -> Facts:
    """Create or complete the Backstage and its plugin ConfigMap, and wait; return the facts of the result."""
    read(call, state)
    facts: Facts = {"release": state.release["name"], "namespace_created": state.namespace_missing}
    write_namespace(call, state)
    plugins_changed = write_plugins(call, state, facts)
    write_backstage(call, state, plugins_changed, facts)
    facts = release_platform(call, state, facts)
    facts["leftovers"] = [] if call.params["orchestrator"]["enabled"] else leftovers(call, state)
    if call.params["wait"] and not call.check_mode:
        return until_ready(call, state, facts)
    return facts


def ready(call: Call, state: HubState) -> Facts:
    """Wait for what exists and write nothing. In check mode nothing may exist yet, and nothing is waited for."""
    facts: Facts = {"release": state.release["name"]}
    if call.check_mode:
        return facts
    names = state.names
    state.backstage = call.session.get(state.backstage_kind, names.name, names.namespace)
    if state.backstage is None:
        raise InputError(
            [f"Backstage {names.name} does not exist in {names.namespace}: create it with state: present first."]
        )
    state.spec = state.backstage.get("spec") or {}
    read_plugins(call.session, state)
    return until_ready(call, state, facts)


def reconcile(call: Call) -> dict[str, t.Any]:
    """Do what the options say; return the result of the module."""
    state = HubState.of(call.params)
    act = {"absent": absent, "present": present, "ready": ready}[call.params["state"]]
    return call.result(**act(call, state))
