# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait of `k8s_wait`: find the kinds, watch the targets, diagnose what is not reached. PRIVATE."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import deployments_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import nearest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.judge import NOTHING, Around, judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.target import Target, check_input, find_kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict

# Kinds that every cluster serves: no need to ask.
BUILT_IN = {
    (kind.api_version, kind.kind): kind
    for kind in vars(k).values()
    if isinstance(kind, k.Kind) and ("." not in kind.group or kind.group.endswith(".k8s.io"))
}
DIAGNOSED = 3  # targets: more causes than that are not read
FOLLOWED = 10  # objects of a target whose pods are watched: each costs a connection


def wait_for(call: Call, targets: t.Sequence[Target], fail_fast: bool = True) -> Object:
    """Wait until all targets hold; in check mode look once.

    Without `fail_fast` a failure that looks final does not end the wait. Raises InputError for targets that cannot be
    waited for, WaitFailed when one is not reached.
    """
    session = call.session
    problems = check_input(targets, call.params["wait_timeout"])
    kinds, unknown = _resolve(session, targets)
    if problems or unknown:
        raise InputError(sorted([*problems, *unknown], key=_place))
    watched = _Watched(targets, kinds, fail_fast, session.now)
    if session.check_mode:
        return _look_once(session, watched)
    ended = call.wait(
        watched.targets[0].label if len(targets) == 1 else f"{len(targets)} targets",
        watched.sources,
        watched.evaluate,
        causes=lambda ended: _causes(call, watched, ended.verdicts),
        follow=watched.follow,
        needs=watched.needs,
    )
    answer = ended.to_dict()
    return {
        "changed": False,
        "ready": True,
        "targets": answer["targets"],
        "objects": watched.objects(ended.snapshot),
        "elapsed": answer["elapsed"],
        "timeline": answer["timeline"],
    }


def _place(problem: str) -> int:
    """Sort problems by target, those of the whole call first."""
    found = re.match(r"targets\[(\d+)\]", problem)
    return int(found.group(1)) if found else -1


class _Watched:
    """The targets with the objects that they are judged on."""

    def __init__(
        self,
        targets: t.Sequence[Target],
        kinds: t.Mapping[tuple[str, str], k.Kind],
        fail_fast: bool,
        now: t.Callable[[], float],
    ) -> None:
        self.targets, self._fail_fast, self._now = targets, fail_fast, now
        self.source: dict[Target, Source] = {}
        for target in targets:
            kind = kinds[target.api_version, target.kind]
            namespace = target.namespace if kind.namespaced else None
            self.source[target] = Source(kind, namespace, target.name, target.label_selector)

    @property
    def sources(self) -> list[Source]:
        """What is watched from the beginning."""
        return [source for target in self.targets for source in self._sources_of(target)]

    def _sources_of(self, target: Target) -> list[Source]:
        # The Deployments of a CSV decide as well whether its operator runs.
        workloads = [Source(k.DEPLOYMENT, target.namespace)] if target.check == "csv" else []
        return [self.source[target], *workloads]

    def needs(self, label: str) -> list[Source]:
        """Return what the target of a label is judged on."""
        return [source for target in self.targets if target.label == label for source in self._sources_of(target)]

    def follow(self, snapshot: Snapshot) -> t.Iterator[Source]:
        """Name the pods (and ReplicaSets) of what is not ready yet: they tell why, often minutes before it does."""
        for target, source in self.source.items():
            if not self._fail_fast or target.check not in ("rollout", "job", "csv"):
                continue
            found = snapshot.of(source)
            if target.check == "csv":
                names = {name for csv in found for name in deployments_of(csv)}
                found = [
                    item for item in snapshot.list(k.DEPLOYMENT, target.namespace) if item["metadata"]["name"] in names
                ]
            for obj in found[:FOLLOWED]:
                selector = selector_of(obj)
                if selector:
                    namespace = obj["metadata"]["namespace"]
                    yield Source(k.POD, namespace, label_selector=selector, optional=True)
                    if obj.get("kind") == "Deployment":
                        yield Source(k.REPLICA_SET, namespace, label_selector=selector, optional=True)

    def evaluate(self, snapshot: Snapshot) -> dict[str, Verdict]:
        """Judge all targets."""
        return {
            target.label: judge(target, snapshot.of(source), self._around(snapshot, target, source), self._fail_fast)
            for target, source in self.source.items()
        }

    def _around(self, snapshot: Snapshot, target: Target, source: Source) -> Around:
        namespace = target.namespace
        if target.check not in ("rollout", "job", "csv"):
            return NOTHING
        last = snapshot.last(source.kind, target.name, namespace) if target.name else None
        deployments = snapshot.list(k.DEPLOYMENT, namespace) if target.check == "csv" else []
        pods, replica_sets = snapshot.list(k.POD, namespace), snapshot.list(k.REPLICA_SET, namespace)
        return Around(deployments, pods, replica_sets, last, self._now())

    def objects(self, snapshot: Snapshot) -> list[Object]:
        """Return the selected objects, fit for a result."""
        return [clean(obj) for source in self.source.values() for obj in snapshot.of(source)]


def selector_of(obj: Object) -> str:
    """Return the label selector of the pods of a workload or Job; empty where labels alone do not tell."""
    if obj.get("kind") == "Job":
        return f"batch.kubernetes.io/job-name={obj['metadata']['name']}"
    selector = obj["spec"].get("selector") or {}
    if selector.get("matchExpressions"):
        return ""
    return ",".join(f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))


def _look_once(session: Session, watched: _Watched) -> Object:
    objects: dict[Source, dict[tuple[str, str], Object] | None] = {}
    for source in watched.sources:
        fields = f"metadata.name={source.name}" if source.name else None
        found = session.list(source.kind, source.namespace, label_selector=source.label_selector, field_selector=fields)
        objects[source] = {(o["metadata"].get("namespace") or "", o["metadata"]["name"]): o for o in found}
    snapshot = Snapshot(objects)
    verdicts = watched.evaluate(snapshot)
    return {
        "changed": False,
        "ready": all(verdict.state == READY for verdict in verdicts.values()),
        "targets": {n: {"state": v.state, "reason": v.reason, "message": v.message} for n, v in verdicts.items()},
        "objects": watched.objects(snapshot),
        "elapsed": 0.0,
        "timeline": [],
    }


def clean(obj: Object) -> Object:
    """Return a copy fit for a result: no managed fields, no values of a Secret."""
    shown = {**obj, "metadata": {key: v for key, v in obj["metadata"].items() if key != "managedFields"}}
    if obj.get("kind") == "Secret":
        for field in ("data", "stringData"):
            if field in shown:
                shown[field] = dict.fromkeys(shown[field] or {}, "<redacted>")
        annotations = dict(shown["metadata"].get("annotations") or {})
        if annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None):
            shown["metadata"]["annotations"] = annotations
    return shown


def _resolve(session: Session, targets: t.Sequence[Target]) -> tuple[dict[tuple[str, str], k.Kind], list[str]]:
    """Find the kinds: built-in ones are known, others take one read a group and version."""
    kinds: dict[tuple[str, str], k.Kind] = {}
    problems = []
    listed: dict[str, list[Object] | None] = {}
    for number, target in enumerate(targets):
        where = f"targets[{number}] ({target.label})"
        key = (target.api_version, target.kind)
        if key in BUILT_IN:
            kinds[key] = BUILT_IN[key]
        elif key not in kinds:
            if target.api_version not in listed:
                listed[target.api_version] = _served(session, target.api_version)
            resources = listed[target.api_version]
            kind = find_kind(target, resources or [])
            if kind is not None:
                kinds[key] = kind
            elif target.check == "absent":
                # What is not served has no objects. The name of its resource does not matter then.
                group, _slash, version = target.api_version.rpartition("/")
                kinds[key] = k.Kind(group, version, target.kind.lower() + "s", target.kind, bool(target.namespace))
            elif resources is None:
                problems.append(f"{where}: the API server does not serve {target.api_version}; is its CRD missing?")
            else:
                near = nearest(target.kind, [resource["kind"] for resource in resources])
                problems.append(f"{where}: {target.api_version} has no kind {target.kind}; there are: {near}.")
        found = kinds.get(key)
        if found and found.namespaced and target.name and not target.namespace:
            problems.append(f"{where}: namespace is missing; {target.kind} {target.name} is in one.")
    return kinds, problems


def _served(session: Session, api_version: str) -> list[Object] | None:
    """Return what is served in a group and version; None when the version is not."""
    try:
        answer = session.get_path(f"{'/apis' if '/' in api_version else '/api'}/{api_version}")
    except ApiError as exc:
        if exc.not_found:
            return None
        raise
    return answer.get("resources") or []


def _causes(call: Call, watched: _Watched, verdicts: t.Mapping[str, Verdict]) -> list[str]:
    causes = []
    for target, source in watched.source.items():
        verdict = verdicts.get(target.label)
        if verdict is None or verdict.state == READY or not target.name:
            continue
        causes.append(call.cause(source.kind, target.name, source.namespace))
        if len(causes) == DIAGNOSED:
            break
    return causes
