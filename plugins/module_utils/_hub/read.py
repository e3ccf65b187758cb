# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there before a Developer Hub is written, and every problem with it. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import plugins as hub_plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import refusals as hub_refusals
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import HubState
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call


def read(call: Call, state: HubState) -> None:
    """Read what `state: present` depends on; raise InputError with every problem."""
    user = call.params["spec"] or {}
    problems = hub_refusals.spec_problems(state.release, user)
    if problems:
        raise InputError(problems)
    problems += read_backstages(call, state)
    state.spec = hub_spec.merged((state.backstage or {}).get("spec") or {}, user)
    if call.params["orchestrator"]["enabled"]:
        problems += read_dependencies(call, state)
        problems += read_plugins(call.session, state)
        if state.platform_expected:
            problems += platform_problems(call.session, state)
    problems += missing_references(call.session, state, user)
    if problems:
        raise InputError(problems)


def read_backstages(call: Call, state: HubState) -> list[str]:
    """Read the Backstages of the namespace; return what forbids the work on ours, or its creation."""
    names = state.names
    for obj in call.session.list(state.backstage_kind, names.namespace):
        if obj["metadata"]["name"] == names.name:
            state.backstage = obj
        else:
            state.other_backstages.append(obj)
    if state.backstage is None:
        return read_prerequisites(call, state)
    if not state.backstage["metadata"].get("deletionTimestamp"):
        return []
    return [
        f"Backstage {names.name} in {names.namespace} is being deleted; run again when it is gone, or let this "
        "module remove it with state: absent, which also ends a deletion that hangs."
    ]


def read_prerequisites(call: Call, state: HubState) -> list[str]:
    """Return what is missing for the creation of a Backstage: its kind in the right version, a usable namespace."""
    problems = []
    served = call.session.served_versions(state.backstage_kind)
    if served or not call.check_mode:
        problem = hub_refusals.served_problem(state.release, served)
        if problem:
            problems.append(problem)
    namespace = call.session.get(k.NAMESPACE, state.names.namespace)
    state.namespace_missing = namespace is None
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        problems.append(f"Namespace {state.names.namespace} is being deleted; run again when it is gone.")
    return problems


def read_dependencies(call: Call, state: HubState) -> list[str]:
    """Read what the operator creates for the orchestrator, or would take over; return what keeps it from doing so."""
    if not state.release["behaviour"]["provides_platform"] or state.namespace_missing:
        return []
    problems, namespace = [], state.names.namespace
    platform = call.session.get(state.platform_kind, hub_spec.PLATFORM, namespace)
    if platform is not None:
        state.dependencies.append(platform)
    elif not call.check_mode and not call.session.served_versions(state.platform_kind):
        logic = state.release["operators"]["logic"]
        problems.append(
            f"SonataFlowPlatform is not served: install OpenShift Serverless Logic first (package {logic['package']}, "
            f"channel {logic['channel']}). Without it the Developer Hub operator creates nothing."
        )
    for policy in call.session.list(k.NETWORK_POLICY, namespace):
        if policy["metadata"]["name"] in hub_refusals.POLICIES:
            state.dependencies.append(policy)
    return problems


def read_plugins(session: Session, state: HubState) -> list[str]:
    """Read the plugin ConfigMap, when there is one or the release needs one, and edit its text.

    Return what forbids the edit; `state.plugins` is None where none is needed or possible.
    """
    release, namespace = state.release, state.names.namespace
    named = hub_spec.plugins_config_map(state.spec)
    clears = state.platform_option == "self" and release["behaviour"]["provides_platform"]
    needed = clears or release["plugins"]["form"] != "flavour"
    name = state.config_map_name = named or (state.names.plugins if needed else None)
    if name is None:
        return []
    if not state.namespace_missing:
        state.config_map = session.get(k.CONFIG_MAP, name, namespace)
    if state.config_map is None and named and not needed:
        return [f"ConfigMap {named}, which spec refers to, does not exist in {namespace}."]
    problems, data = [], (state.config_map or {}).get("data") or {}
    if set(data) - {hub_plugins.KEY}:
        problems.append(f"ConfigMap {name} must have the key {hub_plugins.KEY} and no other.")
    try:
        state.plugins = hub_plugins.edit(data.get(hub_plugins.KEY, ""), release, state.platform_option)
    except PluginsError as exc:
        return [*problems, f"ConfigMap {name}, {hub_plugins.KEY}, {exc}."]
    return problems + integrity_problems(state, state.plugins.text)


def integrity_problems(state: HubState, text: str) -> list[str]:
    """Return that plugins would be added whose integrity the release table does not have."""
    packages = state.release["plugins"]["packages"]
    incomplete = [entry["package"] for entry in packages if entry.get("integrity", "") is None]
    if not any(f"package: '{package}'" in text for package in incomplete):
        return []
    return [
        f"The integrity of {incomplete[0]} is not known for Developer Hub {state.release['name']}: put the entries "
        f"with their integrity under {hub_plugins.KEY} in ConfigMap {state.config_map_name} first."
    ]


def platform_problems(session: Session, state: HubState) -> list[str]:
    """Return what forbids the operator's own platform in this namespace."""
    problems, names = [], state.names
    for other in state.other_backstages:
        config_map = hub_spec.plugins_config_map(other.get("spec") or {})
        found = session.get(k.CONFIG_MAP, config_map, names.namespace) if config_map else None
        text = ((found or {}).get("data") or {}).get(hub_plugins.KEY, "")
        asks = hub_plugins.asks_for_platform(text, other.get("spec") or {})
        if hub_refusals.has_orchestrator(other, state.dependencies, asks):
            problems.append(hub_refusals.second_problem(other["metadata"]["name"], names.namespace))
    owners = {(hub_spec.owner_of(obj) or ("", "", ""))[1] for obj in state.dependencies}
    if not any(other["metadata"]["name"] in owners for other in state.other_backstages):
        problems += hub_refusals.dependency_problems(state.backstage, state.dependencies, names)
    if not hub_spec.local_database(state.spec):
        secret = None
        if not state.namespace_missing and not state.release["behaviour"]["cleans_by_name"]:
            secret = session.get(k.SECRET, names.database_secret, names.namespace)
        problem = hub_refusals.external_database_problem(state.release, names, secret is not None)
        if problem:
            problems.append(problem)
    return problems


def missing_references(session: Session, state: HubState, user: Object) -> list[str]:
    """Return the ConfigMaps and Secrets that the spec of the options refers to and that do not exist."""
    namespace = state.names.namespace
    if state.namespace_missing:
        return []
    return [
        f"{kind.kind} {name}, which spec refers to, does not exist in {namespace}."
        for kind, name in hub_spec.references(user)
        if session.get(kind, name, namespace) is None
    ]
