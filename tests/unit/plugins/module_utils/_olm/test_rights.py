"""Which rights a call needs, which are missing, and the smallest roles for those."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import rights


class Session:
    """May do what is listed; counts what it is asked."""

    def __init__(self, *allowed: rights.Right) -> None:
        self.allowed, self.asked = allowed, 0

    def missing_rights(self, wanted: t.Iterable[rights.Right]) -> list[str]:
        wanted = list(wanted)
        self.asked += len(wanted)
        return [f"{verb} {kind.plural}" for verb, kind, place in wanted if (verb, kind, place) not in self.allowed]


def missing(session: Session, wanted: t.Iterable[rights.Right]) -> list[rights.Right]:
    return rights.missing(t.cast(t.Any, session), wanted)


def test_who_may_do_everything_is_asked_once() -> None:
    session = Session(rights.EVERYTHING)
    assert missing(session, rights.to_read(["a", "b"], ["market"])) == []
    assert session.asked == 1


def test_only_what_is_missing_is_named_and_each_right_once() -> None:
    may = ("list", k.SUBSCRIPTION, None)
    wanted = rights.to_read(["home"], ["market", "market"])
    assert len(wanted) == len(set(wanted))
    lacking = missing(Session(may), [*wanted, *wanted])
    assert may in wanted
    assert lacking == [right for right in wanted if right != may]


def test_the_smallest_roles() -> None:
    lacking: list[rights.Right] = [
        ("create", k.NAMESPACE, None),
        ("get", k.SUBSCRIPTION, "home"),
        ("patch", k.SUBSCRIPTION, "home"),
        ("get", k.OPERATOR_GROUP, "home"),
        ("patch", k.OPERATOR_GROUP, "home"),
        ("patch", rights.PLAN_STATUS, "home"),
    ]
    cluster, role = rights.roles(lacking)
    assert (cluster["kind"], cluster["rules"]) == (
        "ClusterRole",
        [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}],
    )
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "home")
    group = "operators.coreos.com"
    assert role["rules"] == [
        {"apiGroups": [group], "resources": ["subscriptions", "operatorgroups"], "verbs": ["get", "patch"]},
        {"apiGroups": [group], "resources": ["installplans/status"], "verbs": ["patch"]},
    ]
    assert rights.in_words(lacking).splitlines() == [
        "The credentials lack 6 rights. The smallest roles that grant them:",
        "  ClusterRole: create namespaces",
        f"  Role in namespace home: get, patch subscriptions.{group}, operatorgroups.{group}; "
        f"patch installplans/status.{group}",
    ]
