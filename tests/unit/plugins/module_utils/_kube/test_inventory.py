"""What is in a namespace, and what of it goes with an operator."""

from __future__ import annotations

import signal
import threading
import time
import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import inventory
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind

Object = dict[str, t.Any]
ALL = ["list", "delete", "get"]
SERVED = {
    "/apis": {
        "groups": [
            {"preferredVersion": {"groupVersion": "apps/v1"}, "versions": [{"groupVersion": "apps/v1"}]},
            {
                "preferredVersion": {"groupVersion": "olm.example.com/v2"},
                "versions": [{"groupVersion": "olm.example.com/v2"}, {"groupVersion": "olm.example.com/v1"}],
            },
            {"preferredVersion": {"groupVersion": "down.example.com/v1"}},
            {"preferredVersion": {"groupVersion": "gone.example.com/v1"}},
        ]
    },
    "/api/v1": {
        "resources": [
            {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ALL},
            {"name": "events", "kind": "Event", "namespaced": True, "verbs": ALL},
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ALL},
            {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
            {"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ALL},
        ]
    },
    "/apis/olm.example.com/v2": {
        "resources": [{"name": "conditions", "kind": "Condition", "namespaced": True, "verbs": ALL}]
    },
    "/apis/olm.example.com/v1": {
        "resources": [
            {"name": "conditions", "kind": "Condition", "namespaced": True, "verbs": ALL},
            {"name": "catalogs", "kind": "Catalog", "namespaced": True, "verbs": ALL},
            {"name": "endpoints", "kind": "Endpoint", "namespaced": True, "verbs": ALL},
        ]
    },
    "/apis/apps/v1": {
        "resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ALL},
            {"name": "views", "kind": "View", "namespaced": True, "verbs": ["list"]},
        ]
    },
}
SECRET, POD = Kind("", "v1", "secrets", "Secret"), Kind("", "v1", "pods", "Pod")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")


def named(uid: str, *owners: str, **metadata: t.Any) -> Object:
    references = [{"uid": owner} for owner in owners]
    return {"kind": "Thing", "metadata": {"name": uid, "uid": uid, "ownerReferences": references, **metadata}}


class Session:
    """Serves the kinds above, and the objects given by plural."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects = objects

    def get_path(self, path: str, *, patient: bool = True) -> Object:
        if path not in SERVED:
            raise ApiError("GET", path, 404 if "gone" in path else 503, {"kind": "Status"})
        return SERVED[path]

    def list(self, kind: Kind, namespace: str, *, patient: bool) -> list[Object]:
        assert not patient, "what is out of order must not hold up a removal"
        if kind.plural not in self.objects:
            raise ApiError("GET", kind.path(namespace), 403, {"kind": "Status"})
        return self.objects[kind.plural]


def test_every_kind_that_can_be_listed_and_deleted_is_looked_at() -> None:
    kinds, silent = inventory.listable(t.cast(t.Any, Session()))
    olm = [Kind("olm.example.com", "v2", "conditions", "Condition")]  # in the version that its group prefers
    olm += [Kind("olm.example.com", "v1", f"{name}s", name.title()) for name in ("catalog", "endpoint")]
    assert kinds == [SECRET, POD, DEPLOYMENT, *olm]
    assert silent == ["down.example.com/v1"]


def test_what_may_not_be_listed_is_unknown_and_not_absent() -> None:
    session = Session(secrets=[named("a")], deployments=[named("a"), named("b")])
    found = inventory.take(t.cast(t.Any, session), "ns", [SECRET, POD, DEPLOYMENT])
    assert [item["metadata"]["uid"] for item in found.objects] == ["a", "b"]  # once, though two groups serve it
    assert found.unknown == ["pods"]


def test_what_an_operator_owns_goes_with_it_to_the_last_link() -> None:
    objects = [named("pod", "set"), named("set", "deployment"), named("deployment", "csv"), named("csv"), named("mine")]
    gone = inventory.going(objects, ["csv"], lambda obj: obj["metadata"]["name"] == "nothing")
    assert gone == {"csv", "deployment", "set", "pod"}
    assert inventory.used(objects, gone) == ["Thing mine"]
    assert inventory.used([named("pod", "set")], gone) == []  # its owner has gone before it


def test_what_is_owned_by_something_else_in_the_namespace_is_named_once() -> None:
    objects = [
        named("web"),
        named("web-pod", "web"),
        named("of-the-cluster", "elsewhere"),
        named("a", deletionTimestamp="x"),
    ]
    assert inventory.used(objects, set()) == ["Thing of-the-cluster", "Thing web"]


def test_an_interruption_does_not_wait_for_the_answers() -> None:
    def interrupt(_number: int, _frame: t.Any) -> None:
        raise KeyboardInterrupt

    release = threading.Event()
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            inventory._each(lambda _item: release.wait(20), range(10))
    finally:
        release.set()
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 10


def test_a_bug_while_asking_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        inventory._each(lambda item: 1 // item, [1, 0])
