"""Repairs of a dead end, as a check mode run records them."""

from __future__ import annotations

import dataclasses
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import Operator
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.repair import Repair
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.view import View
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.writes import Writes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call

Object = dict[str, t.Any]
TARGET = Target("stable", "thing.v1", "1.0.0", (("thing.v1", "1.0.0"),), "thing.v1", None, (), None, ())


class Session:
    """Records what is deleted and applied; there is nothing to wait for."""

    check_mode = True

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str | None, str | None]] = []

    def delete(self, kind: k.Kind, name: str, namespace: str | None = None, *, uid: str | None = None) -> bool:
        self.done.append(("delete", f"{kind.kind} {name}", namespace, uid))
        return True

    def ensure(self, kind: k.Kind, body: Object, *, force: bool = False) -> SimpleNamespace:
        self.done.append(("ensure", f"{kind.kind} {body['metadata']['name']}", "force" if force else None, None))
        return SimpleNamespace(changed=True, before=None, after=body)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def repair(session: Session) -> Repair:
    module = SimpleNamespace(params={"wait_timeout": 1}, warn=lambda _text: None)
    call = Call(t.cast(t.Any, module), t.cast(t.Any, session), lambda *_object: t.cast(t.Any, None))
    return Repair(call, Writes(call))


def operator(**parts: t.Any) -> Operator:
    metadata = {"name": "sub", "namespace": "there", "uid": "uid-of-sub"}
    subscription = {"metadata": metadata, "spec": {"name": "thing"}, "status": {"installPlanRef": {"name": "plan"}}}
    found = Operator(Wanted("thing", "home"), subscription, target=TARGET)
    return dataclasses.replace(found, **parts)


def test_a_failed_plan_is_reset_and_nothing_is_deleted(repair: Repair, session: Session) -> None:
    found = operator(repair="reset")
    repair.repair(found)
    assert session.done == []
    assert (found.action, found.subscription is None, found.write) == ("none", False, None)


def test_a_dead_subscription_goes_with_its_csvs_and_comes_again_where_it_was(repair: Repair, session: Session) -> None:
    found = operator(repair="recreate", csvs_to_delete=["thing.v1"], uids={"thing.v1": "uid-of-csv"})
    repair.repair(found)
    assert session.done == [
        ("delete", "Subscription sub", "there", "uid-of-sub"),
        ("delete", "ClusterServiceVersion thing.v1", "there", "uid-of-csv"),
    ]
    assert (found.action, found.subscription, found.namespace) == ("created", None, "there")
    assert found.write is not None
    assert found.write["metadata"] == {"name": "thing", "namespace": "there"}


@pytest.mark.parametrize("left", [True, False])
def test_what_is_dead_again_is_created_once_more(repair: Repair, session: Session, left: bool) -> None:
    csv = {"metadata": {"name": "thing.v1", "uid": "uid-of-csv"}, "spec": {}}
    found = operator(repair="recreate", csvs_to_delete=["thing.v0"])
    found.write = {"metadata": {"name": "thing", "namespace": "there"}, "spec": {}}
    repair.recreate(found, View(found.subscription, None, [csv] if left else [], {}, [], []))
    deleted = [("delete", "ClusterServiceVersion thing.v1", "there", "uid-of-csv")] if left else []
    assert session.done == [
        ("delete", "Subscription sub", "there", "uid-of-sub"),
        *deleted,
        ("ensure", "Subscription thing", "force", None),
    ]
