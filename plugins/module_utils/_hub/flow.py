# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module developer_hub does, in order: look, refuse, write, wait, explain. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import time
import typing as t
import uuid

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.judge import old_volume
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import installer as installer_log
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import plugins as hub_plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import refusals as hub_refusals
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import (
    contains,
    gives_up_fields,
    without_bookkeeping,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    CREATED_LABEL,
    Object,
    condition,
    created_by_us,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError, WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text, redacted_diff
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload

KEPT_LABEL = "rhdh.orchestrator/kept"  # on the database Secret that outlives its Backstage, as its data does


@dataclasses.dataclass
class Scene:
    """What was found in the namespace, and what the options make of it."""

    row: Object
    names: hub_spec.Names
    kind: k.Kind
    platform_kind: k.Kind
    backstage: Object | None = None
    others: list[Object] = dataclasses.field(default_factory=list)
    dependencies: list[Object] = dataclasses.field(default_factory=list)
    spec: Object = dataclasses.field(default_factory=dict)  # what the Backstage will have, as far as known
    config_map: str | None = None
    config_map_found: Object | None = None
    plugins: hub_plugins.Edit | None = None
    platform: str | None = None  # who is to make the platform: "hub", "self", or as the plugin file says
    namespace_missing: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def platform_expected(self) -> bool:
        """Whether the operator will make the platform."""
        return bool(self.row["behaviour"]["provides_platform"] and (self.plugins is None or self.plugins.dependency))


def bring_about(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Do what the options say."""
    params = module.params
    try:
        row = release_lookup.release(params["release"])
    except release_lookup.UnknownRelease as exc:
        raise InputError([str(exc)]) from exc
    scene = Scene(
        row=row,
        names=hub_spec.Names(params["name"], params["namespace"]),
        kind=k.BACKSTAGE.at(row["backstage_api"]),
        platform_kind=k.SONATAFLOW_PLATFORM.at(row["sonataflow_api"]),
        platform=params["orchestrator"]["platform"],
    )
    result = {"absent": absent, "present": present, "ready": ready}[params["state"]](module, session, scene)
    if not module._diff:
        result.pop("diff", None)
    return result


# -- looking --------------------------------------------------------------------------------------------------------


def look(module: t.Any, session: Session, scene: Scene) -> None:
    """Read what is there and collect every problem."""
    params, names, problems = module.params, scene.names, scene.problems
    user = params["spec"] or {}
    problems += hub_refusals.spec_problems(scene.row, user)
    if problems:
        raise InputError(problems)
    for obj in session.list(scene.kind, names.namespace):
        if obj["metadata"]["name"] == names.name:
            scene.backstage = obj
        else:
            scene.others.append(obj)
    live = scene.backstage
    if live and live["metadata"].get("deletionTimestamp"):
        problems.append(
            f"Backstage {names.name} in {names.namespace} is being deleted; run again when it is gone, or let this "
            "module remove it with state: absent, which also ends a deletion that hangs."
        )
    if live is None:
        look_around(module, session, scene)
    scene.spec = hub_spec.merged((live or {}).get("spec") or {}, user)
    if params["orchestrator"]["enabled"]:
        look_at_dependencies(module, session, scene)
        look_at_plugins(session, scene)
        if scene.platform_expected:
            refuse_dependencies(session, scene)
    for kind, name in hub_spec.references(user):
        if not scene.namespace_missing and session.get(kind, name, names.namespace) is None:
            problems.append(f"{kind.kind} {name}, which spec refers to, does not exist in {names.namespace}.")
    if problems:
        raise InputError(problems)


def look_around(module: t.Any, session: Session, scene: Scene) -> None:
    """Check what a first creation needs: the kind in the right version, and the namespace."""
    if not (module.check_mode and not session.served_versions(scene.kind)):
        problem = hub_refusals.served_problem(scene.row, session.served_versions(scene.kind))
        if problem:
            scene.problems.append(problem)
    namespace = session.get(k.NAMESPACE, scene.names.namespace)
    scene.namespace_missing = namespace is None
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        scene.problems.append(f"Namespace {scene.names.namespace} is being deleted; run again when it is gone.")


def look_at_dependencies(module: t.Any, session: Session, scene: Scene) -> None:
    """Read what the operator makes for the orchestrator, or would take over."""
    if not scene.row["behaviour"]["provides_platform"] or scene.namespace_missing:
        return
    names = scene.names
    platform = session.get(scene.platform_kind, hub_spec.PLATFORM, names.namespace)
    if platform is not None:
        scene.dependencies.append(platform)
    elif not module.check_mode and not session.served_versions(scene.platform_kind):
        logic = scene.row["operators"]["logic"]
        scene.problems.append(
            f"SonataFlowPlatform is not served: install OpenShift Serverless Logic first (package {logic['package']}, "
            f"channel {logic['channel']}). Without it the Developer Hub operator creates nothing."
        )
    for policy in session.list(k.NETWORK_POLICY, names.namespace):
        if policy["metadata"]["name"] in hub_refusals.POLICIES:
            scene.dependencies.append(policy)


def look_at_plugins(session: Session, scene: Scene) -> None:
    """Read the plugin ConfigMap, when there is one or the release needs one, and put the orchestrator into it."""
    named = hub_spec.plugins_config_map(scene.spec)
    clears = scene.platform == "self" and scene.row["behaviour"]["provides_platform"]
    needed = clears or scene.row["plugins"]["form"] != "flavour"
    scene.config_map = named or (scene.names.plugins if needed else None)
    if scene.config_map is None:
        return
    incomplete = [entry["package"] for entry in scene.row["plugins"]["packages"] if entry.get("integrity", "") is None]
    if not scene.namespace_missing:
        scene.config_map_found = session.get(k.CONFIG_MAP, scene.config_map, scene.names.namespace)
    data = (scene.config_map_found or {}).get("data") or {}
    if scene.config_map_found is None and named and not needed:
        scene.problems.append(f"ConfigMap {named}, which spec refers to, does not exist in {scene.names.namespace}.")
        return
    if scene.config_map_found is not None and set(data) - {hub_plugins.KEY}:
        scene.problems.append(f"ConfigMap {scene.config_map} must have the key {hub_plugins.KEY} and no other.")
    try:
        scene.plugins = hub_plugins.edit(data.get(hub_plugins.KEY, ""), scene.row, scene.platform)
    except PluginsError as exc:
        scene.problems.append(f"ConfigMap {scene.config_map}, {hub_plugins.KEY}, {exc}.")
        return
    if incomplete and any(f"package: '{package}'" in scene.plugins.text for package in incomplete):
        scene.problems.append(
            f"The integrity of {incomplete[0]} is not known for Developer Hub {scene.row['name']}: put the entries "
            f"with their integrity under {hub_plugins.KEY} in ConfigMap {scene.config_map} first."
        )


def refuse_dependencies(session: Session, scene: Scene) -> None:
    """Collect what forbids the operator's own platform in this namespace."""
    names = scene.names
    for other in scene.others:
        config_map = hub_spec.plugins_config_map(other.get("spec") or {})
        found = session.get(k.CONFIG_MAP, config_map, names.namespace) if config_map else None
        text = ((found or {}).get("data") or {}).get(hub_plugins.KEY, "")
        asks = hub_plugins.asks_for_platform(text, other.get("spec") or {})
        if hub_refusals.has_orchestrator(other, scene.dependencies, asks):
            scene.problems.append(hub_refusals.second_problem(other["metadata"]["name"], names.namespace))
    owned_by_others = {(hub_spec.owner_of(obj) or ("", "", ""))[1] for obj in scene.dependencies}
    if not any(other["metadata"]["name"] in owned_by_others for other in scene.others):
        scene.problems += hub_refusals.dependency_problems(scene.backstage, scene.dependencies, names)
    if not hub_spec.local_database(scene.spec):
        secret = None
        if not scene.namespace_missing and not scene.row["behaviour"]["cleans_by_name"]:
            secret = session.get(k.SECRET, names.database_secret, names.namespace)
        problem = hub_refusals.external_database_problem(scene.row, names, secret is not None)
        if problem:
            scene.problems.append(problem)


# -- writing --------------------------------------------------------------------------------------------------------


def present(module: t.Any, session: Session, scene: Scene) -> dict[str, t.Any]:
    """Create or complete the Backstage and its plugin ConfigMap, and wait."""
    params, names = module.params, scene.names
    look(module, session, scene)
    result: dict[str, t.Any] = {
        "changed": scene.namespace_missing,
        "namespace_created": scene.namespace_missing,
        "release": scene.row["name"],
        "diff": [],
    }
    if scene.namespace_missing:
        session.ensure(k.NAMESPACE, {"metadata": {"name": names.namespace}})
    plugins_changed = write_plugins(module, session, scene, result)
    write_backstage(module, session, scene, plugins_changed, result)
    let_go(module, session, scene, result)
    result["leftovers"] = leftovers(session, scene) if not params["orchestrator"]["enabled"] else []
    for left in result["leftovers"]:
        module.warn(f"{left} stays: the operator removes nothing when the orchestrator is disabled.")
    if params["wait"] and not module.check_mode:
        result.update(until_ready(module, session, scene, result))
    return result


def ready(module: t.Any, session: Session, scene: Scene) -> dict[str, t.Any]:
    """Wait for what exists and write nothing. In check mode nothing may exist yet, and nothing is waited for."""
    result: dict[str, t.Any] = {"changed": False, "release": scene.row["name"], "diff": []}
    if module.check_mode:
        return result
    names = scene.names
    scene.backstage = session.get(scene.kind, names.name, names.namespace)
    if scene.backstage is None:
        raise InputError(
            [f"Backstage {names.name} does not exist in {names.namespace}: create it with state: present first."]
        )
    scene.spec = scene.backstage.get("spec") or {}
    look_at_plugins(session, scene)
    result.update(until_ready(module, session, scene, result))
    return result


def write_plugins(module: t.Any, session: Session, scene: Scene, result: dict[str, t.Any]) -> bool:
    """Bring the plugin ConfigMap to its wanted text; True when it was, or would be, written.

    One that exists is merge-patched with its resourceVersion: the operator keeps a label and an annotation on it that
    a replacement would lose, and with them its attention.
    """
    plugins = scene.plugins
    warned = [*(plugins.warnings if plugins else ()), *inline_warnings(module, scene)]
    for warning in warned:
        module.warn(warning)
    if plugins is None or scene.config_map is None:
        return False
    namespace, found = scene.names.namespace, scene.config_map_found
    outcome = {"name": scene.config_map, "action": "none", "replaced": plugins.replaced}
    result["plugins_config_map"] = outcome
    before = ((found or {}).get("data") or {}).get(hub_plugins.KEY)
    if before == plugins.text:
        return False
    outcome["action"] = "patched" if found else "created"
    result["changed"] = True
    result["diff"].append(
        redacted_diff({hub_plugins.KEY: before} if before is not None else {}, {hub_plugins.KEY: plugins.text})
    )
    if module.check_mode:
        return True
    if found is None:
        metadata = {"name": scene.config_map, "namespace": namespace}
        session.ensure(k.CONFIG_MAP, {"metadata": metadata, "data": {hub_plugins.KEY: plugins.text}})
        return True

    def edited(now: Object) -> Object:
        if now is found:
            return {"data": {hub_plugins.KEY: plugins.text}}
        try:  # it was written in between: edit what is there now
            text = (now.get("data") or {}).get(hub_plugins.KEY, "")
            scene.plugins = hub_plugins.edit(text, scene.row, scene.platform)
        except PluginsError as problem:
            raise InputError([f"ConfigMap {scene.config_map}, {hub_plugins.KEY}, {problem}."]) from problem
        return {"data": {hub_plugins.KEY: scene.plugins.text}}

    session.revise(k.CONFIG_MAP, found, edited)
    outcome["replaced"] = scene.plugins.replaced if scene.plugins else []
    for warning in scene.plugins.warnings if scene.plugins else ():
        if warning not in warned:
            module.warn(warning)
    return True


def inline_warnings(module: t.Any, scene: Scene) -> list[str]:
    """Return what to warn of in the plugins that the spec of the Backstage has itself."""
    return hub_plugins.inline_warnings(scene.spec, scene.row) if module.params["orchestrator"]["enabled"] else []


def write_backstage(
    module: t.Any, session: Session, scene: Scene, plugins_changed: bool, result: dict[str, t.Any]
) -> None:
    """Apply the Backstage when something of ours differs; a new handshake token goes with every change."""
    params, names, live = module.params, scene.names, scene.backstage

    def body(token: str | None) -> Object:
        spec = hub_spec.desired_spec(
            scene.row,
            live,
            user=params["spec"] or {},
            orchestrator=params["orchestrator"]["enabled"],
            lightspeed=params["lightspeed"],
            replicas=params["replicas"],
            plugins_config_map=scene.config_map,
            token=token,
        )
        return {"metadata": {"name": names.name, "namespace": names.namespace}, "spec": spec}

    outcome = {"name": names.name, "namespace": names.namespace, "api_version": scene.kind.api_version}
    result["backstage"] = {**outcome, "action": "none"}
    try:
        if live is not None and not plugins_changed and not differs(session, scene, body(hub_spec.token_of(live))):
            scene.spec = live.get("spec") or {}
            return
        wanted = body(uuid.uuid4().hex[:12])
        scene.spec = hub_spec.merged((live or {}).get("spec") or {}, wanted["spec"])
        result["changed"] = True
        if module.check_mode:
            # Namespace or kind may be missing as well: the prediction is ours, the server is asked where it can tell.
            result["backstage"]["action"] = "patched" if live else "created"
            after = hub_spec.merged(without_bookkeeping(live), wanted) if live else wanted
        else:
            change = session.ensure(scene.kind, wanted, force=params["force_conflicts"])
            result["backstage"]["action"] = change.action
            scene.backstage, after = change.after, without_bookkeeping(change.after)
        result["diff"].append(redacted_diff(without_bookkeeping(live) if live else {}, after))
    except ApiError as exc:
        if exc.undeclared_field:
            raise InputError([f"spec does not fit {scene.kind.api_version}: {exc.message}"], **result) from exc
        if not exc.conflict:
            raise
        message = (
            f"Backstage {names.name}: somebody else owns fields that would change: {exc.message} Agree on one owner, "
            "or take them over with force_conflicts: true."
        )
        raise InputError([message], **result) from exc


def differs(session: Session, scene: Scene, wanted: Object) -> bool:
    """Tell whether applying `wanted` would change the Backstage. Owning equal fields as well is no change."""
    live = scene.backstage
    if live is None:
        return True
    full = {"apiVersion": scene.kind.api_version, "kind": scene.kind.kind, **wanted}
    labels = live["metadata"].get("labels") or {}
    if CREATED_LABEL in labels:
        full = hub_spec.merged(full, {"metadata": {"labels": {CREATED_LABEL: labels[CREATED_LABEL]}}})
    if contains(live, full) and not gives_up_fields(live, full, session.field_manager):
        return False
    after = session.apply(scene.kind, full, dry_run=True, force=True)
    return without_bookkeeping(after) != without_bookkeeping(live)


def let_go(module: t.Any, session: Session, scene: Scene, result: dict[str, t.Any]) -> None:
    """Take the platform out of the Backstage's ownership where its operator is to make none any more.

    First the operator must have acted on that: until then it would take the platform back, by force.
    """
    result["released"] = []
    live = next((obj for obj in scene.dependencies if obj["metadata"]["name"] == hub_spec.PLATFORM), None)
    if scene.platform != "self" or scene.platform_expected or live is None or scene.backstage is None:
        return
    uid = scene.backstage["metadata"].get("uid")
    if (hub_spec.owner_of(live) or ("", "", ""))[2] != uid:
        return
    result["released"], result["changed"] = [f"SonataFlowPlatform {hub_spec.PLATFORM}"], True
    if module.check_mode:
        return
    until_seen(module, session, scene, result)
    session.revise(scene.platform_kind, live, lambda now: hub_refusals.release(now, uid))


def until_seen(module: t.Any, session: Session, scene: Scene, result: dict[str, t.Any]) -> None:
    """Wait until the operator has acted on what the Backstage and its plugin file say now."""
    names, kind = scene.names, hub_spec.workload_kind(scene.spec)
    token = hub_spec.token_of({"spec": scene.spec})
    targets = f"Backstage {names.name}", f"{kind.kind} {names.workload}"

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        workload_verdict = hub_judge.judge_seen(snapshot.get(kind, names.workload, names.namespace), token)
        if workload_verdict.state == READY:
            return {targets[1]: workload_verdict}
        backstage = hub_judge.judge_backstage(snapshot.get(scene.kind, names.name, names.namespace))
        return {targets[0]: backstage, targets[1]: workload_verdict}

    sources = [Source(scene.kind, names.namespace, names.name), Source(kind, names.namespace, names.workload)]
    ended = wait(session, sources, judge, timeout=module.params["wait_timeout"])
    if ended.phase != READY:
        what = f"the Developer Hub operator to let go of SonataFlowPlatform {hub_spec.PLATFORM}"
        cause = diagnose(session, scene.kind, names.name, names.namespace).text()
        raise WaitFailed(ended, what, [cause], **{**result, "released": []})


def leftovers(session: Session, scene: Scene) -> list[str]:
    """Return what an earlier orchestrator of this Backstage left in the namespace."""
    if scene.backstage is None or not scene.row["behaviour"]["provides_platform"]:
        return []
    found = [session.get(scene.platform_kind, hub_spec.PLATFORM, scene.names.namespace)]
    found += session.list(k.NETWORK_POLICY, scene.names.namespace)
    uid = scene.backstage["metadata"].get("uid")
    return [
        f"{obj['kind']} {obj['metadata']['name']}"
        for obj in found
        if obj is not None and (hub_spec.owner_of(obj) or ("", "", ""))[2] == uid
    ]


# -- waiting --------------------------------------------------------------------------------------------------------


class Watcher:
    """Judges the whole Hub, fetches the log of a failing plugin installation, wakes an operator that backs off."""

    def __init__(self, session: Session, scene: Scene, orchestrator: bool) -> None:
        self._session, self._scene = session, scene
        self._orchestrator = orchestrator and scene.platform_expected
        self._workload_kind = hub_spec.workload_kind(scene.spec)
        self._local = hub_spec.local_database(scene.spec)
        self._token = hub_spec.token_of({"spec": scene.spec})
        self._installer: Verdict | None = None
        self._installer_seen: tuple[str, int] | None = None
        self._touched = time.monotonic()
        self._checked = 0.0
        self.touches = 0

    def sources(self) -> list[Source]:
        """Return what to watch."""
        names, scene = self._scene.names, self._scene
        sources = [
            Source(scene.kind, names.namespace, names.name),
            Source(self._workload_kind, names.namespace, names.workload),
            Source(k.POD, names.namespace, label_selector=f"{hub_spec.APP_LABEL}={names.workload}"),
        ]
        if self._local:
            sources.append(Source(k.STATEFUL_SET, names.namespace, names.database))
            selector = f"{hub_spec.APP_LABEL}={names.database}"
            sources.append(Source(k.POD, names.namespace, label_selector=selector, optional=True))
        if self._orchestrator:
            sources.append(Source(scene.platform_kind, names.namespace, hub_spec.PLATFORM))
        return sources

    def judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Return the verdict of every part."""
        names, scene = self._scene.names, self._scene
        backstage = snapshot.get(scene.kind, names.name, names.namespace)
        hub = snapshot.get(self._workload_kind, names.workload, names.namespace)
        pods = snapshot.list(k.POD, names.namespace)
        verdicts = {f"Backstage {names.name}": hub_judge.judge_backstage(backstage)}
        database = Verdict.ready()
        if self._local:
            found = snapshot.get(k.STATEFUL_SET, names.database, names.namespace)
            database = workload(found, selected(pods, {hub_spec.APP_LABEL: names.database}))
            verdicts[f"StatefulSet {names.database}"] = database
        # Without its database the Hub crashes, and that is no failure of its own.
        own = selected(pods, {hub_spec.APP_LABEL: names.workload}) if database.state == READY else []
        verdicts[f"{self._workload_kind.kind} {names.workload}"] = hub_judge.judge_workload(
            hub, self._token, self._installer, own
        )
        if self._orchestrator:
            platform = snapshot.get(scene.platform_kind, hub_spec.PLATFORM, names.namespace)
            verdicts[f"SonataFlowPlatform {hub_spec.PLATFORM}"] = hub_judge.judge_platform(
                platform, backstage, names, self._local
            )
        return verdicts

    def act(self, snapshot: Snapshot) -> None:
        """Read a log that tells why, and touch a Backstage whose trouble is over."""
        names = self._scene.names
        failing = installer_log.failing_installer(snapshot.list(k.POD, names.namespace))
        if failing is None:
            self._installer = self._installer_seen = None
        elif failing != self._installer_seen:
            pod, _restarts = failing
            log = self._session.pod_log(names.namespace, pod, installer_log.INSTALLER)
            log = log or self._session.pod_log(names.namespace, pod, installer_log.INSTALLER, previous=True)
            verdict = installer_log.classify_installer_log(redact_text(log))
            self._installer, self._installer_seen = verdict, failing
        self._touch_when_due(snapshot)

    def _touch_when_due(self, snapshot: Snapshot) -> None:
        names, kind = self._scene.names, self._scene.kind
        backstage = snapshot.get(kind, names.name, names.namespace)
        deployed = condition(backstage, "Deployed")
        now = time.monotonic()
        if not deployed or deployed.get("reason") != "DeployFailed" or now - self._checked < 3.0:
            return
        self._checked = now
        failure = hub_judge.explain_failure(deployed.get("message") or "")
        gone = failure.missing is not None and self._exists(*failure.missing)
        if hub_judge.touch_due(failure, gone, now - self._touched if self.touches else 60.0):
            self._touched = now
            self.touches += 1
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            patch = {"metadata": {"annotations": {hub_judge.TOUCHED: stamp}}}
            self._session.patch(kind, names.name, names.namespace, patch)

    def _exists(self, kind: str, name: str) -> bool:
        """Tell whether what the operator missed is there now: an object, or a kind in the version `name`."""
        try:
            if kind == "ConfigMap":
                return self._session.get(k.CONFIG_MAP, name, self._scene.names.namespace) is not None
            if kind == "Secret":
                return self._session.get(k.SECRET, name, self._scene.names.namespace) is not None
            served = self._session.get_path(f"/apis/{name}").get("resources") or []
        except ApiError:
            return False
        return any(resource.get("kind") == kind for resource in served)


def until_ready(module: t.Any, session: Session, scene: Scene, result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Wait for the whole Hub; without a watch when nothing was written and all of it is ready."""
    watcher = Watcher(session, scene, module.params["orchestrator"]["enabled"])
    if not result["changed"] and all(
        verdict.state == READY for verdict in watcher.judge(read_once(session, watcher.sources())).values()
    ):
        return {"elapsed": 0.0, "timeline": [], "touches": 0}
    ended = wait(session, watcher.sources(), watcher.judge, timeout=module.params["wait_timeout"], act=watcher.act)
    names = scene.names
    if ended.phase != READY:
        raise WaitFailed(
            ended,
            f"Developer Hub {names.name} in {names.namespace}",
            causes(session, scene, ended),
            **{**result, "touches": watcher.touches},
        )
    return {"elapsed": round(ended.elapsed, 2), "timeline": ended.timeline, "touches": watcher.touches}


def read_once(session: Session, sources: t.Iterable[Source]) -> Snapshot:
    """Return a snapshot of the named sources by one GET each; those with a selector stay empty."""
    objects: dict[Source, dict[tuple[str, str], Object] | None] = {}
    for source in sources:
        obj = session.get(source.kind, source.name, source.namespace) if source.name else None
        objects[source] = {(source.namespace or "", source.name or ""): obj} if obj else {}
    return Snapshot(objects, set())


def causes(session: Session, scene: Scene, ended: Result) -> list[str]:
    """Return the deepest known cause; where only the platform is not as wanted, that of the platform."""
    names = scene.names
    platform = f"SonataFlowPlatform {hub_spec.PLATFORM}"
    unready = [target for target, _verdict in ended.worst()]
    if unready == [platform] and ended.verdicts[platform].reason != "NotCreated":
        return [diagnose(session, scene.platform_kind, hub_spec.PLATFORM, names.namespace).text()]
    found = [diagnose(session, scene.kind, names.name, names.namespace).text()]
    if hub_spec.local_database(scene.spec) and "password authentication failed" in found[0]:
        claim = session.get(k.PVC, names.database_claim, names.namespace)
        found += old_volume(claim, session.get(k.SECRET, names.database_secret, names.namespace))
    return found


# -- removing -------------------------------------------------------------------------------------------------------


def absent(module: t.Any, session: Session, scene: Scene) -> dict[str, t.Any]:
    """Remove the Backstage with what its operator made, in the background; data only when asked."""
    params, names = module.params, scene.names
    live = scene.backstage = session.get(scene.kind, names.name, names.namespace)
    outcome = {"name": names.name, "namespace": names.namespace, "api_version": scene.kind.api_version}
    result: dict[str, t.Any] = {"changed": False, "release": scene.row["name"], "kept": [], "deleted": [], "diff": []}
    result["backstage"] = {**outcome, "action": "none"}
    if live and not created_by_us(live) and not params["delete_adopted"]:
        result["backstage"]["action"] = "kept"
        result["kept"].append(f"Backstage {names.name}: this collection did not create it")
        return result
    claim = session.get(k.PVC, names.database_claim, names.namespace)
    secret = session.get(k.SECRET, names.database_secret, names.namespace) if claim or params["delete_data"] else None
    if live is not None:
        result["changed"] = True
        result["backstage"]["action"] = "deleted"
        result["diff"].append(redacted_diff(without_bookkeeping(live), {}))
        if claim and secret and not params["delete_data"]:
            keep_password(module, session, secret)
        session.delete(scene.kind, names.name, names.namespace, uid=live["metadata"]["uid"])
        if not module.check_mode and (params["wait"] or params["delete_data"]):
            ended = until_gone(module, session, scene)
            result.update(elapsed=round(ended.elapsed, 2), timeline=ended.timeline)
    remove_rest(module, session, scene, result, claim, secret)
    return result


def keep_password(module: t.Any, session: Session, secret: Object) -> None:
    """Take the Secret of the kept database out of the Backstage's ownership: without it the data cannot be opened."""
    if module.check_mode or KEPT_LABEL in (secret["metadata"].get("labels") or {}):
        return
    metadata = secret["metadata"]
    patch = {"metadata": {"ownerReferences": None, "labels": {KEPT_LABEL: "true"}}}
    session.patch(k.SECRET, metadata["name"], metadata["namespace"], patch)


def remove_rest(
    module: t.Any,
    session: Session,
    scene: Scene,
    result: dict[str, t.Any],
    claim: Object | None,
    secret: Object | None,
) -> None:
    """Remove our own plugin ConfigMap, and the data where asked; say what stays."""
    names, delete_data = scene.names, module.params["delete_data"]
    doomed: list[tuple[k.Kind, Object]] = []
    plugins = session.get(k.CONFIG_MAP, names.plugins, names.namespace)
    if plugins and created_by_us(plugins):
        doomed.append((k.CONFIG_MAP, plugins))
    if delete_data and claim:
        doomed.append((k.PVC, claim))
    if delete_data and secret and KEPT_LABEL in (secret["metadata"].get("labels") or {}):
        doomed.append((k.SECRET, secret))
    for kind, obj in doomed:
        name = obj["metadata"]["name"]
        session.delete(kind, name, names.namespace, uid=obj["metadata"]["uid"])
        result["deleted"].append(f"{kind.kind} {name}")
        result["changed"] = True
    if claim and not delete_data:
        result["kept"].append(f"PersistentVolumeClaim {names.database_claim}")
        if secret:
            result["kept"].append(f"Secret {names.database_secret}")
    if delete_data and claim and not module.check_mode and module.params["wait"]:
        source = Source(k.PVC, names.namespace, names.database_claim)
        target = f"PersistentVolumeClaim {names.database_claim}"

        def judge(snapshot: Snapshot) -> dict[str, Verdict]:
            return {target: hub_judge.judge_gone(snapshot.get(k.PVC, names.database_claim, names.namespace))}

        ended = wait(session, [source], judge, timeout=module.params["wait_timeout"])
        if ended.phase != READY:
            cause = diagnose(session, k.PVC, names.database_claim, names.namespace)
            raise WaitFailed(ended, f"{target} to be gone", [cause.text()], **result)


def until_gone(module: t.Any, session: Session, scene: Scene) -> Result:
    """Wait until the Backstage and what depends on it are gone; repeat the deletion where it runs in the foreground."""
    names, kind = scene.names, scene.kind
    uid = (scene.backstage or {"metadata": {}})["metadata"].get("uid", "")
    watched = [
        (kind, names.name),
        (k.DEPLOYMENT, names.workload),
        (k.STATEFUL_SET, names.workload),
        (k.STATEFUL_SET, names.database),
        (scene.platform_kind, hub_spec.PLATFORM),
    ]
    repeated = 0.0

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        verdicts = {}
        for each, name in watched:
            obj = snapshot.get(each, name, names.namespace)
            owner = hub_spec.owner_of(obj)
            if each != kind and (owner is None or owner[2] != uid):
                obj = None  # somebody else's
            verdicts[f"{each.kind} {name}"] = hub_judge.judge_gone(obj)
        return verdicts

    def act(snapshot: Snapshot) -> None:
        nonlocal repeated
        backstage = snapshot.get(kind, names.name, names.namespace)
        if backstage and hub_judge.stuck_in_foreground(backstage) and time.monotonic() - repeated > 5.0:
            repeated = time.monotonic()
            session.delete(kind, names.name, names.namespace, uid=backstage["metadata"]["uid"])

    sources = [Source(each, names.namespace, name) for each, name in watched]
    ended = wait(session, sources, judge, timeout=module.params["wait_timeout"], act=act)
    if ended.phase != READY:
        left = next((each, name) for each, name in watched if ended.verdicts[f"{each.kind} {name}"].state != READY)
        cause = diagnose(session, *left, names.namespace)
        raise WaitFailed(ended, f"Developer Hub {names.name} to be gone", [cause.text()], changed=True)
    return ended
