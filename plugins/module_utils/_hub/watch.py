# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait for a whole Developer Hub, and the operator's retries meanwhile. PRIVATE to the collection."""

from __future__ import annotations

import math
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.judge import old_volume
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import installer as installer_log
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import Facts, HubState, with_timing
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload

CHECK_PAUSE = 3.0  # seconds between checks whether the cause of a failure is gone


class Watcher:
    """Judges the whole Hub, reads the log of a failing plugin installation, makes an operator retry that backs off."""

    def __init__(self, call: Call, state: HubState) -> None:
        self._call, self._state = call, state
        self._platform = call.params["orchestrator"]["enabled"] and state.platform_expected
        self._workload_kind = hub_spec.workload_kind(state.spec)
        self._local = hub_spec.local_database(state.spec)
        self._token = hub_spec.token_of({"spec": state.spec})
        self._installer: Verdict | None = None
        self._installer_seen: tuple[str, int] | None = None
        self._touched: float | None = None
        self._checked = 0.0
        self.touches = 0

    def sources(self) -> list[Source]:
        """Return what to watch."""
        names, state = self._state.names, self._state
        sources = [
            Source(state.backstage_kind, names.namespace, names.name),
            Source(self._workload_kind, names.namespace, names.workload),
            Source(k.POD, names.namespace, label_selector=f"{hub_spec.APP_LABEL}={names.workload}"),
        ]
        if self._local:
            sources.append(Source(k.STATEFUL_SET, names.namespace, names.database))
            selector = f"{hub_spec.APP_LABEL}={names.database}"
            sources.append(Source(k.POD, names.namespace, label_selector=selector, optional=True))
        if self._platform:
            sources.append(Source(state.platform_kind, names.namespace, hub_spec.PLATFORM))
        return sources

    def judge(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Return the verdict of every part."""
        names, state = self._state.names, self._state
        backstage = snapshot.get(state.backstage_kind, names.name, names.namespace)
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
        if self._platform:
            platform = snapshot.get(state.platform_kind, hub_spec.PLATFORM, names.namespace)
            verdicts[f"SonataFlowPlatform {hub_spec.PLATFORM}"] = hub_judge.judge_platform(
                platform, backstage, names, self._local
            )
        return verdicts

    def act(self, snapshot: Snapshot) -> None:
        """Read the log of a failing plugin installation; with `state: present`, make the operator retry when due."""
        self._read_installer_log(snapshot)
        if self._call.params["state"] == "present":
            self._touch_when_due(snapshot)

    def _read_installer_log(self, snapshot: Snapshot) -> None:
        namespace, session = self._state.names.namespace, self._call.session
        failing = installer_log.failing_installer(snapshot.list(k.POD, namespace))
        if failing is None:
            self._installer = self._installer_seen = None
        elif failing != self._installer_seen:
            pod, _restarts = failing
            log = session.pod_log(namespace, pod, installer_log.INSTALLER)
            log = log or session.pod_log(namespace, pod, installer_log.INSTALLER, previous=True)
            verdict = installer_log.classify_installer_log(redact_text(log))
            self._installer, self._installer_seen = verdict, failing

    def _touch_when_due(self, snapshot: Snapshot) -> None:
        names, kind = self._state.names, self._state.backstage_kind
        deployed = condition(snapshot.get(kind, names.name, names.namespace), "Deployed")
        now = time.monotonic()
        if not deployed or deployed.get("reason") != "DeployFailed" or now - self._checked < CHECK_PAUSE:
            return
        self._checked = now
        failure = hub_judge.explain_failure(deployed.get("message") or "")
        gone = failure.missing is not None and self._exists(*failure.missing)
        since_touch = math.inf if self._touched is None else now - self._touched
        if hub_judge.touch_due(failure, gone, since_touch) and self._touch():
            self._touched = now
            self.touches += 1

    def _touch(self) -> bool:
        """Annotate the Backstage: any change of it makes the operator retry at once."""
        names, kind = self._state.names, self._state.backstage_kind
        what = f"make the Developer Hub operator retry Backstage {names.name} before its back-off is over"
        return self._call.touch(what, kind, names.name, names.namespace)

    def _exists(self, kind: str, name: str) -> bool:
        """Tell whether what the operator missed is there now: an object, or a kind in the version `name`."""
        session, namespace = self._call.session, self._state.names.namespace
        try:
            if kind == "ConfigMap":
                return session.get(k.CONFIG_MAP, name, namespace) is not None
            if kind == "Secret":
                return session.get(k.SECRET, name, namespace) is not None
            served = session.get_path(f"/apis/{name}").get("resources") or []
        except ApiError:
            return False
        return any(resource.get("kind") == kind for resource in served)


def until_ready(call: Call, state: HubState, facts: Facts) -> Facts:
    """Wait for the whole Hub; without a watch when nothing was written and all of it is ready. Return the facts."""
    watcher = Watcher(call, state)
    if not call.changed:
        verdicts = watcher.judge(read_once(call.session, watcher.sources()))
        if all(verdict.state == READY for verdict in verdicts.values()):
            return {"elapsed": 0.0, "timeline": [], **facts, "touches": 0}

    def found(ended: Result) -> Facts:
        return with_timing({**facts, "touches": watcher.touches}, ended)

    ended = call.wait(
        f"Developer Hub {state.names.name} in {state.names.namespace}",
        watcher.sources(),
        watcher.judge,
        causes=lambda ended: causes(call, state, ended),
        facts=lambda ended: call.result(**found(ended)),
        act=watcher.act,
    )
    return found(ended)


def read_once(session: Session, sources: t.Iterable[Source]) -> Snapshot:
    """Return a snapshot of the named sources by one GET each; those with a selector stay empty."""
    objects: dict[Source, dict[tuple[str, str], Object] | None] = {}
    for source in sources:
        obj = session.get(source.kind, source.name, source.namespace) if source.name else None
        objects[source] = {(source.namespace or "", source.name or ""): obj} if obj else {}
    return Snapshot(objects, set())


def causes(call: Call, state: HubState, ended: Result) -> list[str]:
    """Return the deepest known cause; where only the platform is not as wanted, that of the platform."""
    names = state.names
    platform = f"SonataFlowPlatform {hub_spec.PLATFORM}"
    unready = [target for target, _verdict in ended.worst()]
    if unready == [platform] and ended.verdicts[platform].reason != "NotCreated":
        return [call.cause(state.platform_kind, hub_spec.PLATFORM, names.namespace)]
    found = [call.cause(state.backstage_kind, names.name, names.namespace)]
    if hub_spec.local_database(state.spec) and "password authentication failed" in found[0]:
        claim = call.session.get(k.PVC, names.database_claim, names.namespace)
        found += old_volume(claim, call.session.get(k.SECRET, names.database_secret, names.namespace))
    return found
