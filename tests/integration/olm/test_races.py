"""Traps that are a matter of moments. OLM's two operators are stopped here, and what they would say is PLAYED.

The API server is real: resourceVersions, conflicts and watches are its own. Each scene has a namespace of its own.
"""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from sandbox.faults import rules, switches
from tests.toolkit.cluster import Object
from tests.toolkit.modules import Outcome
from tests.toolkit.scenes import scene

from . import packages
from .operators import CSV, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)

PLAN: Object = {"catalogSources": [], "plan": []}


@pytest.fixture(scope="module", autouse=True)
def olm_is_played(alone: None, cluster: OlmCluster) -> t.Iterator[None]:
    """OLM is stopped."""
    with cluster.stopped("olm", "catalog"):
        yield
        for kind in ("Subscription", CSV):  # OLM is to find nothing of it
            for found in cluster.all(kind):
                cluster.delete(kind, found["metadata"]["name"], found["metadata"]["namespace"])


class Scene:
    """A call of the module for one operator, and OLM's part in it."""

    def __init__(self, cluster: OlmCluster, **options: t.Any) -> None:
        self.cluster, self.package, self.home = cluster, packages.race(), cluster.namespace("", None)
        self.first, self._options = f"{self.package}.v1.0.0", {"wait_timeout": 25, **options}
        self._done: list[Outcome] = []
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> Scene:
        """Begin the call, and wait for its Subscription."""
        self._thread.start()
        self.cluster.until(
            "the Subscription is there", lambda: self.cluster.get("Subscription", self.package, self.home)
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()

    def _call(self) -> None:
        item = operator(self.package, self.home, version="1.0.0")
        self._done.append(self.cluster.call(item, **self._options))

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return bool(self._done)

    @property
    def done(self) -> Outcome:
        """How the call ended."""
        self._thread.join()
        return self._done[0]

    def plan(self, name: str, *csvs: str, **more: t.Any) -> None:
        """OLM makes a plan."""
        self.cluster.play_plan(name, self.home, *(csvs or [self.first]), **more)

    def refer(self, plan: str, **status: t.Any) -> None:
        """OLM lets the Subscription refer to a plan, and calls it pending."""
        pending = {"state": "UpgradePending", "currentCSV": self.first, "installPlanGeneration": 1}
        self.cluster.play_status(self.package, self.home, plan=plan, **{**pending, **status})

    def approved(self, plan: str, seconds: float = 8) -> None:
        """Wait until the module has approved a plan."""
        self.cluster.until(f"{plan} is approved", lambda: self.is_approved(plan), seconds)

    def is_approved(self, plan: str) -> bool:
        """Whether a plan is approved."""
        return bool(self.cluster.there("InstallPlan", plan, self.home)["spec"]["approved"])

    def never_approved(self, plan: str, seconds: float = 3) -> None:
        """Give the module time to do what it must not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert not self.is_approved(plan)
            time.sleep(0.2)

    def install(self, **more: t.Any) -> None:
        """OLM installs the CSV, and notes it."""
        self.cluster.play_csv(self.first, self.home, **more)
        self.cluster.play_deployment(self.first, self.home)
        self.note()

    def note(self) -> None:
        """OLM notes in the Subscription that the CSV is installed."""
        status = {"state": "AtLatestKnown", "currentCSV": self.first, "installedCSV": self.first}
        self.cluster.play_status(self.package, self.home, **status)

    def phase(self, phase: str, reason: str = "") -> None:
        """OLM gives the CSV another phase."""
        status = {"status": {"phase": phase, "reason": reason, "message": reason}}
        self.cluster.patch(CSV, self.first, self.home, status, "status")


def ok(done: Outcome) -> Outcome:
    assert done.ending == "ok", done.message
    return done


@scene
def test_a_plan_without_a_phase_is_not_approved_a_moment_too_early(cluster: OlmCluster) -> None:
    """D7: approved before RequiresApproval, OLM puts a duplicate beside it."""
    with Scene(cluster) as play:
        play.plan("early", phase="")
        play.refer("early")
        play.never_approved("early")
        cluster.patch("InstallPlan", "early", play.home, {"status": PLAN | {"phase": "RequiresApproval"}}, "status")
        play.approved("early")
        play.install()
    assert ok(play.done).operator["plans_approved"] == ["early"]


@scene
def test_a_duplicate_beside_an_approved_plan_without_a_phase(cluster: OlmCluster) -> None:
    """D7: somebody was too early. The first plan never moves; the one that the Subscription refers to is approved."""
    with Scene(cluster) as play:
        play.plan("first", phase="", approved=True)
        stale = {
            "type": "BundleUnpackFailed",
            "status": "True",
            "reason": "EnsureInstallPlanFailed",
            "message": "modified",
        }
        play.refer("first", conditions=[stale])
        time.sleep(1)
        play.plan("second", generation=2)
        play.refer("second", installPlanGeneration=2, conditions=[stale])
        play.approved("second")
        play.install()
        cluster.play_status(play.package, play.home, conditions=[stale])  # it never leaves
    assert ok(play.done).operator["plans_approved"] == ["second"]


@scene
def test_two_plans_wait_and_only_the_one_referred_to_is_approved(cluster: OlmCluster) -> None:
    """D8, scenario 3: an orphaned old plan stands beside the new one, and is older, and comes first by name."""
    with Scene(cluster) as play:
        play.plan("a-old")
        play.plan("b-new", generation=2)
        play.refer("b-new", installPlanGeneration=2)
        play.approved("b-new")
        play.install()
    assert ok(play.done).operator["plans_approved"] == ["b-new"]
    assert not play.is_approved("a-old")


@scene
def test_a_reference_that_does_not_fit_is_waited_out(cluster: OlmCluster) -> None:
    """To a previous plan; to a newer one than the status; without the CSV that is named; with the state of before."""

    def course(generation: int, csvs: list[str], **status: t.Any) -> Outcome:
        with Scene(cluster) as play:
            play.plan("unfit", *csvs, generation=generation)
            play.refer("unfit", **status)
            play.never_approved("unfit", 2)
            play.plan("fitting", generation=3)
            play.refer("fitting", installPlanGeneration=3)
            play.approved("fitting")
            play.install()
        return play.done

    done = cluster.side_by_side(
        previous=lambda: course(1, [], installPlanGeneration=2),
        newer=lambda: course(2, []),
        other=lambda: course(1, ["trap-more.v1.0.0"]),
        before=lambda: course(1, [], state="AtLatestKnown"),
    )
    for name, found in done.items():
        assert ok(found).operator["plans_approved"] == ["fitting"], name


@scene
def test_a_conflict_on_approval(cluster: OlmCluster) -> None:
    """409 on an approval with an old resourceVersion: the plan is read again, and approved if it still is the one."""
    switches.add_api_rule(cluster.instance, rules.Rule("409", method="PATCH", path="/installplans/", count=2))
    with Scene(cluster, kubeconfig=str(cluster.instance.faulty_kubeconfig)) as play:
        play.plan("busy")
        play.refer("busy")
        play.approved("busy", 15)
        play.install()
    assert ok(play.done).operator["plans_approved"] == ["busy"]
    assert [hits for _rule, hits in switches.api_rules(cluster.instance)] == [2]
    switches.clear_api_rules(cluster.instance)


@scene
def test_an_old_plan_is_offered(cluster: OlmCluster) -> None:
    """D8: 1.1.0 is installed and a plan for 1.0.0 waits: to approve it would put the old version over the new one."""
    package, home = packages.race(), cluster.namespace("", None)
    cluster.play_installed(package, home, "1.1.0")
    cluster.play_plan("old", home, f"{package}.v1.0.0")
    cluster.play_status(
        package, home, plan="old", installPlanGeneration=1, state="UpgradePending", currentCSV=f"{package}.v1.0.0"
    )
    done = cluster.call(operator(package, home, version="1.2.0"), wait_timeout=20)
    assert done.ending == "failed"
    assert "WrongVersion" in done.message
    assert done.wrote("patch", "installplans") == []


@scene
def test_a_csv_that_comes_late_and_flips(cluster: OlmCluster) -> None:
    """D10, D11: the CSV comes long after the approval, and is Succeeded, Failed, Succeeded within seconds."""
    with Scene(cluster) as play:
        play.plan("plan")
        play.refer("plan")
        play.approved("plan")
        for phase in ("Installing", "Complete"):
            cluster.patch("InstallPlan", "plan", play.home, {"status": PLAN | {"phase": phase}}, "status")
        cluster.play_status(
            play.package, play.home, state="AtLatestKnown", currentCSV=play.first, installedCSV=play.first
        )
        time.sleep(3)
        assert not play.ended  # neither AtLatestKnown nor a Complete plan is an installed operator
        cluster.play_csv(play.first, play.home, "Pending", "RequirementsNotMet")
        cluster.play_deployment(play.first, play.home)
        play.phase("Succeeded")
        time.sleep(1)
        play.phase("Failed", "RequirementsNotMet")
        time.sleep(1)
        assert not play.ended
        flipped = time.monotonic()
        play.phase("Succeeded")
    assert ok(play.done).result["changed"]
    assert time.monotonic() - flipped >= 2


@scene
def test_a_busy_olm_notes_the_csv_late(cluster: OlmCluster) -> None:
    """Succeeded for a while before installedCSV is set (up to 90 s were seen): waited for, and said so."""
    with Scene(cluster) as play:
        play.plan("plan")
        play.refer("plan")
        play.approved("plan")
        cluster.play_csv(play.first, play.home)
        cluster.play_deployment(play.first, play.home)
        time.sleep(6)
        assert not play.ended
        play.note()
    assert "Settling" in {entry["reason"] for entry in ok(play.done).result["timeline"]}


@scene
def test_succeeded_without_its_deployment_is_not_enough(cluster: OlmCluster) -> None:
    with Scene(cluster) as play:
        play.plan("plan")
        play.refer("plan")
        play.approved("plan")
        cluster.play_csv(play.first, play.home)
        play.note()
        time.sleep(4)
        assert not play.ended
        cluster.play_deployment(play.first, play.home)
    assert "DeploymentNotReady" in {entry["reason"] for entry in ok(play.done).result["timeline"]}


@scene
def test_a_new_config_is_waited_for_until_it_is_in_the_deployment(cluster: OlmCluster) -> None:
    """The CSV stays Succeeded and the Deployment available until a busy OLM gets to it."""
    package, home = packages.race(), cluster.namespace("", None)
    cluster.play_installed(package, home)
    wanted = operator(package, home, version="1.0.0", config={"env": [{"name": "LEVEL", "value": "debug"}]})
    done: list[Outcome] = []
    call = threading.Thread(target=lambda: done.append(cluster.call(wanted, wait_timeout=25)))
    call.start()
    cluster.until("the config is written", lambda: cluster.there("Subscription", package, home)["spec"].get("config"))
    time.sleep(4)
    assert not done
    manager = {"name": "manager", "image": "x", **wanted["config"]}
    change = {"spec": {"template": {"spec": {"containers": [manager]}}}}
    cluster.patch("Deployment", f"{package}-manager", home, change)
    call.join()
    assert ok(done[0]).operator["action"] == "updated"


@scene
def test_the_crds_of_an_operator_are_waited_for(cluster: OlmCluster) -> None:
    with Scene(cluster) as play:
        play.plan("plan")
        play.refer("plan")
        play.approved("plan")
        play.install(crds=["things.trap-late.example.com"])
        time.sleep(4)
        assert not play.ended
        cluster.define("Thing", "trap-late.example.com")
    assert ok(play.done).operator["crds"] == ["things.trap-late.example.com"]


@scene
def test_success_comes_before_stale_conditions(cluster: OlmCluster) -> None:
    """D4: True conditions stay after an install has succeeded."""
    stale = [
        {"type": "ResolutionFailed", "status": "True", "reason": "ErrorPreventedResolution",
         "message": "error using catalogsource openshift-marketplace/other: failed to list bundles"},
        {"type": "BundleUnpackFailed", "status": "True", "reason": "BundleUnpackFailed", "message": "old"},
    ]  # fmt: skip
    package, home = packages.race(), cluster.namespace("", None)
    cluster.play_installed(package, home)
    cluster.play_status(package, home, conditions=stale)
    done = ok(cluster.call(operator(package, home, version="1.0.0"), wait_timeout=10))
    assert done.result["changed"] is False


@scene
def test_silence_is_explained_by_the_operator_groups(cluster: OlmCluster) -> None:
    """D1: with none or two OLM says and does nothing for ever. They were changed while we wait."""

    def course(change: t.Callable[[str], object]) -> Outcome:
        with Scene(cluster) as play:
            change(play.home)
        return play.done

    done = cluster.side_by_side(
        none=lambda: course(lambda home: cluster.delete("OperatorGroup", "group-0", home)),
        two=lambda: course(lambda home: cluster.create("OperatorGroup", "second", home, spec={})),
    )
    for name, groups in (("none", "none"), ("two", "group-0, second")):
        assert done[name].ending == "failed"
        assert done[name].result["wait"]["phase"] == "failed"  # after its grace, and not at the timeout
        text = f"needs exactly one OperatorGroup for OLM to act, it has: {groups}"
        assert text in done[name].message


@scene
def test_somebody_elses_plan_waits_for_somebody_else(cluster: OlmCluster) -> None:
    package, home = packages.race(), cluster.namespace("", None)
    cluster.subscribe(package, home, startingCSV=f"{package}.v1.0.0")
    cluster.play_plan("theirs", home, f"{package}.v1.0.0")
    cluster.play_status(
        package, home, plan="theirs", installPlanGeneration=1, state="UpgradePending", currentCSV=f"{package}.v1.0.0"
    )
    done = cluster.call(operator(package, home), wait_timeout=20)
    assert done.ending == "failed"
    assert "theirs of a Subscription that this collection did not create waits for approval" in done.message
    assert "manage_adopted" in done.message
    assert done.writes == []


@scene
def test_a_plan_for_what_was_wanted_before_comes_after_the_change(cluster: OlmCluster) -> None:
    """D6: OLM was resolving the old channel when the Subscription changed, and then ignores the change for ever.

    It is deleted once OLM has noted that it is pending: OLM never makes another for one that was gone before.
    """
    package, home = packages.race(), cluster.namespace("", None)
    cluster.play_installed(package, home)
    done: list[Outcome] = []
    wanted = operator(package, home, channel="slow", version="1.1.0")
    call = threading.Thread(target=lambda: done.append(cluster.call(wanted, wait_timeout=25)))
    call.start()

    def channel() -> str:
        return str(cluster.there("Subscription", package, home)["spec"]["channel"])

    cluster.until("the channel has changed", lambda: channel() == "slow")
    late = f"{package}.v1.2.0"
    cluster.play_plan("late", home, late)
    status = {"state": "UpgradePending", "installPlanGeneration": 1, "currentCSV": late}
    cluster.play_status(package, home, plan="late", **status)
    end = time.monotonic() + 7  # longer than the grace of a plan for the wrong version
    while time.monotonic() < end:
        assert cluster.get("InstallPlan", "late", home)
        time.sleep(0.2)
    noted = {"type": "InstallPlanPending", "status": "True", "reason": "RequiresApproval"}
    cluster.play_status(package, home, plan="late", conditions=[noted], **status)
    cluster.until("the late plan is gone", lambda: cluster.get("InstallPlan", "late", home) is None, 10)
    right = f"{package}.v1.1.0"
    cluster.play_plan("right", home, right, generation=2)
    cluster.play_status(package, home, plan="right", **{**status, "installPlanGeneration": 2, "currentCSV": right})
    cluster.until("right is approved", lambda: cluster.there("InstallPlan", "right", home)["spec"]["approved"], 10)
    cluster.play_csv(right, home)
    cluster.play_status(package, home, state="AtLatestKnown", currentCSV=right, installedCSV=right)
    call.join()
    assert ok(done[0]).operator["plans_approved"] == ["right"]
    assert len(done[0].wrote("delete", "installplans")) == 1
