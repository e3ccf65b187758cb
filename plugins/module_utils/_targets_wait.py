# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait of `k8s_wait`: find the kinds, watch the targets, diagnose what does not come about. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    nearest,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets import (
    Target,
    check_input,
    find_kind,
    judge,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Snapshot,
    Source,
    Verdict,
    wait,
)

KNOWN = {(kind.api_version, kind.kind): kind for kind in vars(k).values() if isinstance(kind, k.Kind)}
DIAGNOSED = 3  # targets: more causes than that are not read


def wait_for(session: Session, targets: t.Sequence[Target], timeout: float) -> dict[str, t.Any]:
    """Wait until all targets hold; in check mode look once. `timeout` is in seconds.

    Raises InputError for targets that cannot be waited for, WaitFailed when one is not reached.
    """
    problems = check_input(targets, timeout)
    kinds, unknown = _resolve(session, targets)
    if problems or unknown:
        raise InputError([*problems, *unknown])
    sources: dict[Target, Source] = {}
    for target in targets:
        kind = kinds[target.api_version, target.kind]
        namespace = target.namespace if kind.namespaced else None
        sources[target] = Source(kind, namespace, target.name, target.label_selector)
    # The Deployments of a CSV decide as well whether its operator runs.
    workloads = {Source(k.DEPLOYMENT, target.namespace) for target in targets if target.check == "csv"}

    def select(snapshot: Snapshot, target: Target) -> list[Object]:
        return snapshot.of(sources[target])

    def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
        return {
            target.label: judge(
                target,
                select(snapshot, target),
                {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT, target.namespace)}
                if target.check == "csv"
                else {},
            )
            for target in targets
        }

    if session.check_mode:
        return _look_once(session, targets, sources, workloads, evaluate)
    ended = wait(session, [*sources.values(), *workloads], evaluate, timeout=timeout)
    if ended.phase != READY:
        raise WaitFailed(ended, f"{len(targets)} target(s)", _causes(session, targets, sources, ended.verdicts))
    answer = ended.to_dict()
    return {
        "changed": False,
        "ready": True,
        "targets": answer["targets"],
        "objects": [clean(obj) for target in targets for obj in select(ended.snapshot, target)],
        "elapsed": answer["elapsed"],
        "timeline": answer["timeline"],
    }


def _look_once(
    session: Session,
    targets: t.Sequence[Target],
    sources: t.Mapping[Target, Source],
    workloads: t.Collection[Source],
    evaluate: t.Callable[[Snapshot], dict[str, Verdict]],
) -> dict[str, t.Any]:
    objects: dict[Source, dict[tuple[str, str], Object] | None] = {}
    for source in {*sources.values(), *workloads}:
        fields = f"metadata.name={source.name}" if source.name else None
        found = session.list(source.kind, source.namespace, label_selector=source.label_selector, field_selector=fields)
        objects[source] = {(o["metadata"].get("namespace") or "", o["metadata"]["name"]): o for o in found}
    snapshot = Snapshot(objects, set())
    verdicts = evaluate(snapshot)
    return {
        "changed": False,
        "ready": all(verdict.state == READY for verdict in verdicts.values()),
        "targets": {n: {"state": v.state, "reason": v.reason, "message": v.message} for n, v in verdicts.items()},
        "objects": [clean(obj) for target in targets for obj in snapshot.of(sources[target])],
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
    """Find the kinds: those that the collection knows by itself, others by one read a group and version."""
    kinds: dict[tuple[str, str], k.Kind] = {}
    problems = []
    listed: dict[str, list[Object] | None] = {}
    for target in targets:
        key = (target.api_version, target.kind)
        if key in KNOWN:
            kinds[key] = KNOWN[key]
        if key in kinds:
            continue
        if target.api_version not in listed:
            prefix = "/apis" if "/" in target.api_version else "/api"
            try:
                answer = session.get_path(f"{prefix}/{target.api_version}")
                listed[target.api_version] = answer.get("resources") or []
            except ApiError as exc:
                if not exc.not_found:
                    raise
                listed[target.api_version] = None
        resources = listed[target.api_version]
        kind = find_kind(target, resources or [])
        if kind is not None:
            kinds[key] = kind
        elif target.check == "absent":
            # What is not served has no objects. The name of its resource does not matter then.
            group, _slash, version = target.api_version.rpartition("/")
            kinds[key] = k.Kind(group, version, target.kind.lower() + "s", target.kind)
        elif resources is None:
            problems.append(f"{target.label}: the API server does not serve {target.api_version}; is its CRD missing?")
        else:
            near = nearest(target.kind, [resource["kind"] for resource in resources])
            problems.append(f"{target.label}: {target.api_version} has no kind {target.kind}; there are: {near}.")
    return kinds, problems


def _causes(
    session: Session,
    targets: t.Sequence[Target],
    sources: t.Mapping[Target, Source],
    verdicts: t.Mapping[str, Verdict],
) -> list[str]:
    causes = []
    for target in targets:
        verdict = verdicts.get(target.label)
        if verdict is None or verdict.state == READY or target.check == "absent" or not target.name:
            continue
        causes.append(diagnose(session, sources[target].kind, target.name, target.namespace).text())
    return causes[:DIAGNOSED]
