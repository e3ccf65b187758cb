"""What ends well: fresh installs, adoption, walks, one plan for two, dependencies, changes; predicted by check mode.

Each test works in namespaces of its own, on packages of its own: OLM allows one installation of a package.
"""

from __future__ import annotations

import typing as t

import pytest

from tests.toolkit.modules import Outcome, headers
from tests.toolkit.scenes import scene

from .operators import CREATED, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)

MOST_REQUESTS = 5  # for each operator that is as wanted


def ok(done: Outcome, changed: bool) -> Outcome:
    assert done.ending == "ok", done.message
    assert done.result["changed"] is changed
    assert changed or done.writes == []
    return done


@scene
def test_several_operators_at_once_and_then_nothing_to_do(cluster: OlmCluster) -> None:
    """Check mode predicts the run on an empty and on a complete cluster; a second run costs few requests."""
    wanted = [
        operator("trap-steps", "three-a", version="1.1.0"),
        operator("trap-own", "three-b", operator_group={"name": "mine"}),
        operator("trap-suffix", "three-c", version_range=">=3.1.0-1 <3.2.0-0"),
    ]
    predicted = ok(cluster.call(*wanted, check=True), True)
    assert predicted.writes == []
    done = ok(cluster.call(*wanted), True)
    assert headers(predicted.result["diff"]) == headers(done.result["diff"])
    for foreseen, found in zip(predicted.result["operators"], done.result["operators"], strict=True):
        for key in ("name", "namespace", "channel", "csv", "version", "operator_group", "action"):
            assert foreseen[key] == found[key]
        assert foreseen["steps"] == [found["csv"]]
        assert len(found["plans_approved"]) == 1
        assert found["upgrades_included"] == []
        assert found["crds"] == [f"things.{found['name']}.example.com"]
        assert found["action"] == "created"
    names = [found["csv"] for found in done.result["operators"]]
    assert names == ["trap-steps.v1.1.0", "trap-own.v1.0.0", "trap-suffix.v3.1.0-14"]  # 14 is newer than 9
    assert cluster.there("OperatorGroup", "mine", "three-b")["spec"]["targetNamespaces"] == ["three-b"]
    for kind, name, home in (
        ("Namespace", "three-b", None),
        ("OperatorGroup", "mine", "three-b"),
        ("Subscription", "trap-own", "three-b"),
    ):
        assert cluster.there(kind, name, home)["metadata"]["labels"][CREATED] == "true"
    asked = [uri.split(" ")[1].split("?")[0] for uri in done.requests]
    assert not [path for path in asked if path in ("/api", "/apis") or path.startswith("/openapi")]  # no discovery
    assert [entry["reason"] for entry in done.result["timeline"]].count("Ready") == 3
    assert {"RequiresApproval", "Settling"} & {entry["reason"] for entry in done.result["timeline"]}

    again = ok(cluster.call(*wanted), False)
    assert len(again.requests) <= MOST_REQUESTS * len(wanted), again.requests
    checked = ok(cluster.call(*wanted, check=True), False)
    assert [found["action"] for found in checked.result["operators"]] == ["none"] * 3


@scene
def test_half_installed_is_predicted_and_finished(cluster: OlmCluster) -> None:
    """Ours with a pending plan; approved and on its way; namespace without group. Check mode says what the run does."""
    pending, going, empty = "half-pending", "half-going", cluster.namespace("half-empty")
    ok(
        cluster.call(operator("trap-half-a", pending), operator("trap-half-b", going, version="1.0.0"), wait=False),
        True,
    )
    cluster.pending_plan("trap-half-a", pending)
    cluster.approve(cluster.pending_plan("trap-half-b", going), going)
    foreseen = {
        name: cluster.call(operator(package, home, **more), check=True)
        for name, package, home, more in (
            ("pending", "trap-half-a", pending, {}),
            ("going", "trap-half-b", going, {"version": "1.0.0"}),
            ("empty", "trap-half-c", empty, {}),
        )
    }
    done = cluster.side_by_side(
        pending=lambda: cluster.call(operator("trap-half-a", pending)),
        going=lambda: cluster.call(operator("trap-half-b", going, version="1.0.0")),
        empty=lambda: cluster.call(operator("trap-half-c", empty)),
    )
    for name, found in done.items():
        assert foreseen[name].writes == []
        assert foreseen[name].result["changed"] == ok(found, name != "going").result["changed"], name
        assert foreseen[name].operator["action"] == found.operator["action"], name
    assert done["pending"].operator["action"] == "updated"
    assert done["going"].operator["action"] == "none"


@scene
def test_what_others_installed_is_used_as_it_is(cluster: OlmCluster) -> None:
    """Found by package in another namespace under another name; changed only with manage_adopted, then walked up."""
    home = cluster.namespace("theirs", None)
    cluster.installed_by_hand("trap-old", home, "their-name")
    before = cluster.there("Subscription", "their-name", home)
    wanted = operator("trap-old", "elsewhere", version="1.1.0", watches=[home])
    done = ok(cluster.call(wanted), False)
    assert (done.operator["namespace"], done.operator["subscription"]) == (home, "their-name")
    assert (done.operator["action"], done.operator["csv"]) == ("adopted", "trap-old.v1.0.0")
    assert done.operator["operator_group"] == "group-0"
    assert any("was not installed by this collection" in text for text in done.warnings)
    assert cluster.there("Subscription", "their-name", home)["spec"] == before["spec"]
    assert cluster.get("Namespace", "elsewhere") is None

    cluster.pending_plan("their-name", home)
    managed = ok(cluster.call(wanted, manage_adopted=True), True)
    assert managed.operator["csv"] == "trap-old.v1.1.0"
    assert "deprecated: trap-old is no longer maintained" in " ".join(managed.warnings)
    after = cluster.there("Subscription", "their-name", home)
    assert "rhdh.orchestrator/created" not in after["metadata"].get("labels", {})
    assert cluster.get("Namespace", "elsewhere") is None


@scene
def test_steps_one_by_one_and_jumps_by_skip_range(cluster: OlmCluster) -> None:
    walked, jumped = cluster.namespace("walked", None), cluster.namespace("jumped", None)
    cluster.side_by_side(
        walked=lambda: cluster.installed("trap-walk", walked),
        jumped=lambda: cluster.installed("trap-jump", jumped),
    )
    past = cluster.call(operator("trap-jump", jumped, version="1.2.0"))
    assert (past.ending, past.writes) == ("refused", [])
    assert "from trap-jump.v1.0.0 OLM goes straight to trap-jump.v1.3.0" in past.message
    wanted = {
        "walked": operator("trap-walk", walked, version="1.2.0"),
        "jumped": operator("trap-jump", jumped, version="1.3.0"),
    }
    foreseen = {name: cluster.call(item, check=True) for name, item in wanted.items()}
    done = cluster.side_by_side(
        walked=lambda: cluster.call(wanted["walked"]), jumped=lambda: cluster.call(wanted["jumped"])
    )
    assert ok(foreseen["walked"], True).operator["steps"] == ["trap-walk.v1.1.0", "trap-walk.v1.2.0"]
    assert ok(foreseen["jumped"], True).operator["steps"] == ["trap-jump.v1.3.0"]
    assert len(ok(done["walked"], True).operator["plans_approved"]) == 2
    assert len(ok(done["jumped"], True).operator["plans_approved"]) == 1
    assert [done[name].operator["csv"][-5:] for name in wanted] == ["1.2.0", "1.3.0"]
    older = cluster.call(operator("trap-jump", jumped, version="1.0.0"))
    assert (older.ending, older.writes) == ("refused", [])
    assert "OLM never goes back" in older.message


@scene
def test_one_plan_for_two_operators_of_a_namespace(cluster: OlmCluster) -> None:
    """Both asked for: one group that fits both, one approval. One pinned: its upgrade comes along only if allowed."""
    both = ok(cluster.call(operator("trap-narrow", "shared"), operator("trap-more", "shared", version="1.0.0")), True)
    (group,) = cluster.all("OperatorGroup", "shared")
    assert group["spec"]["targetNamespaces"] == ["shared"]  # trap-narrow cannot watch everything
    assert {found["operator_group"] for found in both.result["operators"]} == {"shared"}
    plan = cluster.pending_plan("trap-more", "shared", "trap-more.v1.1.0")
    third = operator("trap-third", "shared")
    refused = cluster.call(third)
    assert refused.ending == "failed"
    assert refused.result["wait"]["phase"] == "failed"  # not timed out
    assert "CollateralUpgrade" in refused.message
    assert "trap-more.v1.1.0, which nobody asked for" in refused.message
    assert "allow_collateral" in refused.message
    assert refused.wrote("patch", "installplans") == []
    assert not cluster.there("InstallPlan", plan, "shared")["spec"]["approved"]
    allowed = ok(cluster.call(third | {"allow_collateral": ["trap-more.v1.1.0"]}), True)
    assert allowed.operator["upgrades_included"] == ["trap-more.v1.1.0"]
    cluster.succeeded("trap-more.v1.1.0", "shared")


@scene
def test_dependencies_come_along_and_are_told(cluster: OlmCluster) -> None:
    done = ok(cluster.call(operator("trap-needs", "needs")), True)
    assert done.operator["upgrades_included"] == ["trap-supply.v1.0.0"]
    gone = ok(cluster.call(operator("trap-needs", "needs"), state="absent"), True)
    dependency = "Subscription needs/trap-supply-stable-redhat-operators-openshift-marketplace"
    assert any(text.startswith(dependency) for text in gone.operator["leftovers"])
    assert any("namespace needs stays" in text for text in gone.warnings)
    assert cluster.get("Namespace", "needs")


@scene
def test_the_config_of_an_operator_has_reached_it(cluster: OlmCluster) -> None:
    """Set, changed and taken back: ready means that the operator runs with it."""

    def env() -> dict[str, str]:
        (found,) = cluster.all("Deployment", "config")
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return {item["name"]: item.get("value", "") for item in container["env"]}

    plain = operator("trap-config", "config")
    loud = plain | {"config": {"env": [{"name": "LEVEL", "value": "debug"}]}}
    for wanted, level in ((loud, "debug"), (plain, None), (loud, "debug")):
        foreseen = ok(cluster.call(wanted, check=True), True)
        assert foreseen.writes == []
        ok(cluster.call(wanted), True)
        assert env().get("LEVEL") == level
        ok(cluster.call(wanted), False)


@scene
def test_a_change_while_a_plan_is_pending_replaces_the_plan(cluster: OlmCluster) -> None:
    """OLM ignores another version, channel or approval as long as a plan is pending."""
    homes = {name: cluster.namespace(f"pending-{name}", None) for name in ("version", "channel", "approval")}
    cluster.subscribe("trap-turn-a", homes["version"], ours=True, startingCSV="trap-turn-a.v1.0.0")
    cluster.subscribe("trap-turn-b", homes["channel"], ours=True)
    cluster.subscribe("trap-turn-c", homes["approval"], ours=True, startingCSV="trap-turn-c.v1.0.0", channel="old")
    plans = {
        "version": cluster.pending_plan("trap-turn-a", homes["version"]),
        "channel": cluster.pending_plan("trap-turn-b", homes["channel"]),
        "approval": cluster.pending_plan("trap-turn-c", homes["approval"]),
    }
    wanted: dict[str, t.Any] = {
        "version": operator("trap-turn-a", homes["version"], version="1.1.0"),
        "channel": operator("trap-turn-b", homes["channel"], channel="old"),
        "approval": operator("trap-turn-c", homes["approval"], channel="stable", approval="Automatic"),
    }
    foreseen = {name: cluster.call(item, check=True) for name, item in wanted.items()}
    done = cluster.side_by_side(**{name: lambda item=item: cluster.call(item) for name, item in wanted.items()})
    for name, found in done.items():
        assert foreseen[name].writes == []
        assert ok(foreseen[name], True).operator["action"] == ok(found, True).operator["action"] == "updated"
        assert any(uri.split("?")[0].endswith(plans[name]) for uri in found.wrote("delete", "installplans")), name
        assert headers(foreseen[name].result["diff"]) == headers(found.result["diff"])
    names = [done[name].operator["csv"] for name in wanted]
    assert names == ["trap-turn-a.v1.1.0", "trap-turn-b.v1.0.0", "trap-turn-c.v1.2.0"]
    assert cluster.there("Subscription", "trap-turn-c", homes["approval"])["spec"]["installPlanApproval"] == "Automatic"
