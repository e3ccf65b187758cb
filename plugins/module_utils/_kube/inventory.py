# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything in a namespace, whatever its kind, before the namespace is deleted. PRIVATE to the collection.

A namespace takes along what is in it, so that its kinds are asked for here and not known beforehand.
"""

from __future__ import annotations

import dataclasses
import threading
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.threads import kept_for_main_thread

READERS = 6  # requests side by side
# Group and name of what the cluster makes for other objects, and drops with them.
PASSING = (
    ("", "events"),
    ("", "endpoints"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
)


@dataclasses.dataclass
class Inventory:
    """The objects of a namespace, each with its kind, and what could not be listed."""

    objects: list[Object]
    unknown: list[str]


def listable(session: Session) -> tuple[list[Kind], list[str]]:
    """Return the namespaced kinds that can be listed and deleted, and the API versions that do not answer.

    Of a kind that is served in several versions, the one that its group prefers; some are in other versions only.
    """
    groups = session.get_path("/apis").get("groups") or []
    versions = ["v1"]
    for group in groups:
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        rest = [each["groupVersion"] for each in group.get("versions") or []]
        versions += dict.fromkeys([preferred, *rest] if preferred else rest)
    kinds: dict[tuple[str, str], Kind] = {}
    silent = []
    for version, resources in _each(lambda name: _resources(session, name), versions):
        if resources is None:
            silent.append(version)
        for kind in (_kind(version, item) for item in resources or [] if _counts(item)):
            if (kind.group, kind.plural) not in PASSING:
                kinds.setdefault((kind.group, kind.plural), kind)
    return list(kinds.values()), silent


def take(session: Session, namespace: str, kinds: t.Sequence[Kind]) -> Inventory:
    """Return what is in a namespace. An object that is served in several groups is there once."""
    found: dict[str, Object] = {}
    unknown = []
    for kind, objects in _each(lambda kind: _list(session, kind, namespace), kinds):
        if objects is None:
            unknown.append(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        found.update({item["metadata"]["uid"]: item for item in objects or []})
    return Inventory(list(found.values()), unknown)


def going(objects: t.Iterable[Object], roots: t.Iterable[str], follows: t.Callable[[Object], bool]) -> set[str]:
    """Return the uids of what goes with the `roots` (uids) or `follows` by itself, and of all that they own."""
    objects = list(objects)
    gone = {*roots, *(item["metadata"]["uid"] for item in objects if follows(item))}
    while more := {item["metadata"]["uid"] for item in objects if owners(item) & gone} - gone:
        gone |= more
    return gone


def used(objects: t.Iterable[Object], gone: t.Container[str]) -> list[str]:
    """Return what is there for its own sake: not on its way out, not in `gone` (uids), owned by nothing in the list."""
    objects = list(objects)
    listed = {item["metadata"]["uid"] for item in objects}
    return sorted(
        f"{item['kind']} {item['metadata']['name']}"
        for item in objects
        if item["metadata"]["uid"] not in gone
        and not item["metadata"].get("deletionTimestamp")
        and not any(uid in listed or uid in gone for uid in owners(item))
    )


def owners(obj: Object) -> set[str]:
    """Return the uids of the owners of an object."""
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or []}


def _each(ask: t.Callable[[t.Any], t.Any], items: t.Iterable[t.Any]) -> list[tuple[t.Any, t.Any]]:
    """Return each item with the answer about it, in order. An interruption does not wait for the answers."""
    items = list(items)
    answers: list[t.Any] = [None] * len(items)
    failures: list[Exception] = []
    todo = iter(enumerate(items))  # `next` of an iterator over a list is one step for all threads

    def work() -> None:
        for number, item in todo:
            try:
                answers[number] = ask(item)
            except Exception as exc:  # a bug: raised below, where it is seen
                failures.append(exc)

    threads = [threading.Thread(target=work, daemon=True, name="inventory") for _number in range(READERS)]
    with kept_for_main_thread():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [(item, answers[number]) for number, item in enumerate(items)]


def _resources(session: Session, version: str) -> list[Object] | None:
    try:
        answer = session.get_path(f"/apis/{version}" if "/" in version else f"/api/{version}", patient=False)
    except ApiError as exc:
        return [] if exc.not_found else None
    return answer.get("resources") or []


def _counts(resource: Object) -> bool:
    verbs = resource.get("verbs") or []
    return "/" not in resource["name"] and bool(resource.get("namespaced")) and {"list", "delete"} <= set(verbs)


def _kind(version: str, resource: Object) -> Kind:
    group, _slash, number = version.rpartition("/")
    return Kind(group, number, resource["name"], resource["kind"])


def _list(session: Session, kind: Kind, namespace: str) -> list[Object] | None:
    try:
        return session.list(kind, namespace, patient=False)
    except ApiError:
        return None  # not allowed, or out of order: what is there is not known
