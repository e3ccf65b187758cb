from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import objects as kube_objects
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import CONFIG_MAP, CSV, DEPLOYMENT, POD
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import engine as wait_engine
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import verdict as verdicts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import watch as wait_watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import world as wait_world
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from ..http_client import BOTH
from ..standin_api import StandInApiServer


def has_phase(phase):
    def evaluate(snapshot):
        found = snapshot.get(CSV, "one", "ns")
        state = (found or {}).get("status", {}).get("phase")
        if state == phase:
            return {"one": Verdict.ready()}
        if state == "Broken":
            return {"one": Verdict.failed("Broken", "is broken", "mend it")}
        return {"one": Verdict.pending(state or "NotCreated")}

    return evaluate


SOURCES = [Source(CSV, "ns", "one")]


def test_ready_at_once_when_it_is_ready(api):
    api.put(CSV, "one", status={"phase": "Succeeded"})
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.READY
    assert result.elapsed < 30


@BOTH
def test_a_change_ends_the_wait_within_a_moment(api):
    changed = []

    def later():
        api.until_watched()
        time.sleep(0.4)
        api.put(CSV, "one", status={"phase": "Succeeded"})
        changed.append(time.monotonic())

    threading.Thread(target=later).start()
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert time.monotonic() - changed[0] < 2  # without a watch: 5 s
    assert [entry["reason"] for entry in result.timeline] == ["NotCreated", "Ready"]
    assert result.timeline[-1]["at"] >= 0.4


def test_a_terminal_failure_ends_the_wait_at_once_with_its_remedy(api):
    api.put(CSV, "one", status={"phase": "Broken"})
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.FAILED
    assert result.worst() == [("one", Verdict.failed("Broken", "is broken", "mend it"))]


def test_time_out_keeps_the_last_verdict(api):
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=2.0)
    assert (result.phase, result.verdicts["one"].reason) == (verdicts.TIMED_OUT, "NotCreated")
    assert 2.0 <= result.elapsed < 30


def test_a_failure_within_its_grace_may_heal(api):
    api.put(CSV, "one", status={"phase": "Failed"})
    threading.Timer(0.3, lambda: api.put(CSV, "one", status={"phase": "Succeeded"})).start()

    def evaluate(snapshot):
        failed = snapshot.get(CSV, "one", "ns")["status"]["phase"] == "Failed"
        return {"one": Verdict.failed("Failed", "for a moment", grace=5) if failed else Verdict.ready()}

    result = wait_engine.wait(api.session, SOURCES, evaluate, timeout=60)
    assert result.phase == verdicts.READY
    assert [(entry["state"], entry["reason"]) for entry in result.timeline] == [
        ("pending", "Failed"),
        ("ready", "Ready"),
    ]


def test_a_failure_beyond_its_grace_is_final(api):
    result = wait_engine.wait(
        api.session, SOURCES, lambda s: {"one": Verdict.failed("Failed", "for good", grace=0.3)}, timeout=60
    )
    assert result.phase == verdicts.FAILED
    assert 0.3 <= result.elapsed < 30
    assert [entry["state"] for entry in result.timeline] == ["pending", "failed"]


def test_readiness_must_last_where_asked(api):
    result = wait_engine.wait(api.session, SOURCES, lambda s: {"one": Verdict.ready(stable_for=0.4)}, timeout=60)
    assert result.phase == verdicts.READY
    assert 0.4 <= result.elapsed < 30


def test_no_verdict_before_every_source_was_heard(api):
    api.failures = [503, 503]
    seen = []

    def evaluate(snapshot):
        seen.append(snapshot.served(CSV))
        return {"one": Verdict.ready()}

    assert wait_engine.wait(api.session, SOURCES, evaluate, timeout=60).phase == verdicts.READY
    assert seen == [True]


def test_an_unserved_kind_is_waited_for(api):
    api.refuse[CSV] = 404
    threading.Timer(0.3, api.refuse.clear).start()
    api.put(CSV, "one", status={"phase": "Succeeded"})
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.READY
    assert result.snapshot.served(CSV)


def test_what_is_read_for_detail_only_may_be_forbidden(api):
    api.refuse[DEPLOYMENT] = 403
    api.put(CSV, "one", status={"phase": "Succeeded"})
    detail = Source(DEPLOYMENT, "ns", optional=True)
    result = wait_engine.wait(api.session, [*SOURCES, detail], has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.READY
    assert result.snapshot.readable(CSV, "ns")


def test_what_may_not_be_read_ends_the_wait_and_names_the_right(api, monkeypatch):
    monkeypatch.setattr(wait_engine, "REFUSAL_GRACE", 0.3)
    api.refuse[DEPLOYMENT] = 403
    api.put(CSV, "one", status={"phase": "Succeeded"})
    result = wait_engine.wait(api.session, [*SOURCES, Source(DEPLOYMENT, "ns")], has_phase("Succeeded"), timeout=60)
    assert (result.phase, result.reason) == (verdicts.FAILED, "Forbidden")
    assert result.worst()[0][1].remedy == "Grant get, list and watch on deployments in namespace ns."
    assert not result.snapshot.readable(DEPLOYMENT, "ns")
    assert 0.3 <= result.elapsed < 30


def test_a_right_that_comes_within_the_grace_is_enough(api):
    api.refuse[CSV] = 403
    api.put(CSV, "one", status={"phase": "Succeeded"})
    threading.Timer(0.3, api.refuse.clear).start()
    assert wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60).phase == verdicts.READY


def test_what_no_waiting_changes_ends_the_wait_at_once(api):
    api.refuse[CSV] = 400
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert (result.phase, result.reason) == (verdicts.FAILED, "Refused")
    assert result.elapsed < 30


def test_where_watching_is_forbidden_it_polls(api, monkeypatch):
    monkeypatch.setattr(wait_watch, "POLL", 0.1)
    api.refuse_watch[CSV] = 403
    threading.Timer(0.3, lambda: api.put(CSV, "one", status={"phase": "Succeeded"})).start()
    assert wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60).phase == verdicts.READY
    assert api.session.requests["list"] > 1


@BOTH
def test_a_lost_watch_goes_on_from_where_it_ended(api):

    def play():
        api.until_watched()
        api.cut()
        time.sleep(0.3)
        api.put(CSV, "one", status={"phase": "Succeeded"})

    threading.Timer(0.3, play).start()
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.READY
    assert result.requests == {"list": 1, "watch": 2}


def test_a_history_that_is_gone_is_listed_anew(api):

    def play():
        api.until_watched()
        with api.changed:
            api.put(CSV, "one", status={"phase": "Succeeded"})
            api.compact()

    threading.Timer(0.3, play).start()
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == verdicts.READY
    assert result.requests["list"] == 2


def test_a_lost_event_is_found_by_the_slow_list(api, monkeypatch):
    monkeypatch.setattr(wait_watch, "RELIST", 0.2)
    api.put(CSV, "one", status={"phase": "Installing"})

    def play():
        api.until_watched()
        api.lose(CSV, "one", status={"phase": "Succeeded"})
        api.cut()

    threading.Timer(0.4, play).start()
    assert wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=60).phase == verdicts.READY


def test_nothing_is_concluded_while_the_server_does_not_answer(api, monkeypatch):
    monkeypatch.setattr(wait_engine, "OFFLINE_TOLD", 0.2)
    api.put(CSV, "one", status={"phase": "Failed"})

    def evaluate(snapshot):
        failed = snapshot.get(CSV, "one", "ns")["status"]["phase"] == "Failed"
        return {"one": Verdict.failed("Failed", "for a moment", grace=1.0) if failed else Verdict.ready()}

    def play():
        api.refuse[CSV] = 503
        api.cut()
        time.sleep(1.5)  # longer than the grace: it would have failed
        api.put(CSV, "one", status={"phase": "Succeeded"})
        api.refuse.clear()

    threading.Timer(0.3, play).start()
    result = wait_engine.wait(api.session, SOURCES, evaluate, timeout=60)
    assert result.phase == verdicts.READY
    assert ("API server", "Unreachable") in [(entry["target"], entry["reason"]) for entry in result.timeline]
    assert "asked to answer 503" in next(e["message"] for e in result.timeline if e["target"] == "API server")


def test_a_server_that_never_answers_is_the_cause(api):
    api.refuse[CSV] = 503
    result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=2.5)
    assert (result.phase, result.reason) == (verdicts.TIMED_OUT, "Unreachable")


def test_what_was_deleted_is_remembered_as_it_was(api):
    api.put(CSV, "one", status={"phase": "Installing"})

    def play():
        api.until_watched()
        api.put(CSV, "one", status={"phase": "Done"})
        api.remove(CSV, "one")

    def evaluate(snapshot):
        gone = snapshot.get(CSV, "one", "ns") is None
        return {
            "one": Verdict.ready(snapshot.last(CSV, "one", "ns")["status"]["phase"]) if gone else Verdict.pending("")
        }

    threading.Timer(0.2, play).start()
    assert wait_engine.wait(api.session, SOURCES, evaluate, timeout=60).message == "Done"


def test_a_deletion_in_a_lost_watch_is_remembered_too(api, monkeypatch):
    api.put(CSV, "one", status={"phase": "Installing"})

    def play():
        api.until_watched()
        with api.changed:
            api.remove(CSV, "one")
            api.compact()

    def evaluate(snapshot):
        gone = snapshot.get(CSV, "one", "ns") is None
        return {
            "one": Verdict.ready(snapshot.last(CSV, "one", "ns")["status"]["phase"]) if gone else Verdict.pending("")
        }

    threading.Timer(0.2, play).start()
    assert wait_engine.wait(api.session, SOURCES, evaluate, timeout=60).message == "Installing"


def test_sources_may_come_from_what_was_found(api):
    api.put(DEPLOYMENT, "d")
    api.put(POD, "p", status={"phase": "Broken"})

    def follow(snapshot):
        return [Source(POD, "ns", optional=True) for _found in snapshot.list(DEPLOYMENT)]

    def evaluate(snapshot):
        pods = snapshot.list(POD)
        return {"d": Verdict.failed("Broken", "is broken") if pods else Verdict.pending("NoPods")}

    result = wait_engine.wait(api.session, [Source(DEPLOYMENT, "ns")], evaluate, timeout=10, follow=follow)
    assert (result.phase, result.requests["list"]) == (verdicts.FAILED, 2)


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


@BOTH
def test_threads_end_with_the_wait(api):
    sources = [Source(CSV, "ns", str(number)) for number in range(5)]
    wait_engine.wait(api.session, sources, lambda s: {"x": Verdict.pending("")}, timeout=0.3)
    give_up = time.monotonic() + 2
    while readers() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not readers()


def test_act_runs_before_each_look_and_its_error_ends_the_wait(api):
    def act(snapshot):
        raise LookupError("collateral")

    with pytest.raises(LookupError, match="collateral"):
        wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=10, act=act)


def test_progress_hears_each_change_once(api):
    heard = []

    def hear(entry):
        heard.append(entry["reason"])
        if entry["reason"] == "NotCreated":
            api.put(CSV, "one", status={"phase": "Installing"})
            api.put(CSV, "one", status={"phase": "Installing"})
        elif entry["reason"] == "Installing":
            api.put(CSV, "one", status={"phase": "Succeeded"})

    wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=20, progress=hear)
    assert heard == ["NotCreated", "Installing", "Ready"]


CUTS = ["end", "reset", "chunk", "event", "close"]
STEPS = ["Installing", "Failed", "Pending", "deleted", "gone", "429", "500", "503", "0", "denied", "unserved", *CUTS]


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12), last=st.sampled_from(["Succeeded", "Broken"]))
def test_any_order_of_events_lost_watches_and_errors_ends_in_the_same_verdict(steps, last):
    api = StandInApiServer()

    def play():
        for step in steps:
            with api.changed:
                api.refuse.clear()
                if step in CUTS:
                    api.cut(step)
                elif step == "gone":
                    api.compact()
                elif step == "deleted":
                    api.remove(CSV, "one")
                elif step in ("denied", "unserved"):
                    api.refuse[CSV] = {"denied": 403, "unserved": 404}[step]
                    api.cut()
                elif step.isdigit():
                    api.failures.append(int(step))
                    api.cut()
                else:
                    api.put(CSV, "one", status={"phase": step})
            time.sleep(0.002)
        with api.changed:
            api.refuse.clear()
            api.put(CSV, "one", status={"phase": last})

    player = threading.Timer(0.02, play)
    player.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wait_watch, "POLL", 0.05)
        patch.setattr(wait_watch, "UNSERVED_PAUSE", 0.05)
        patch.setattr(wait_watch, "LONGEST_PAUSE", 0.2)
        result = wait_engine.wait(api.session, SOURCES, has_phase("Succeeded"), timeout=20)
    player.join()
    api.close()
    assert result.phase == {"Succeeded": verdicts.READY, "Broken": verdicts.FAILED}[last]
    times = [entry["at"] for entry in result.timeline]
    assert times == sorted(times)
    assert result.timeline[-1]["state"] == result.phase


def deployment(replicas=1, generation=1, **status):
    return {"metadata": {"name": "d", "generation": generation}, "spec": {"replicas": replicas}, "status": status}


ROLLED_OUT = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (None, "NotCreated"),
        (deployment(), "NotObserved"),
        (deployment(**ROLLED_OUT), "Ready"),
        (deployment(generation=2, **ROLLED_OUT), "NotObserved"),
        (deployment(replicas=0, observedGeneration=1), "ScaledToZero"),
        (deployment(**{**ROLLED_OUT, "replicas": 2}), "RollingOut"),
        (deployment(**{**ROLLED_OUT, "readyReplicas": 0}), "RollingOut"),
        (
            deployment(**ROLLED_OUT, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]),
            "ProgressDeadlineExceeded",
        ),
    ],
)
def test_rolled_out(obj, reason):
    assert rollout.rolled_out(obj).reason == reason


def test_an_object_that_is_being_deleted_is_never_current():
    assert not kube_objects.current({"metadata": {"deletionTimestamp": "now"}, "status": {}})
    assert kube_objects.current({"metadata": {}})
    assert kube_objects.current({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}})
    assert not kube_objects.current({"metadata": {"generation": 3}, "status": {"observedGeneration": 2}})


def test_conditions_are_found_by_type():
    obj = {"status": {"conditions": [{"type": "A"}, {"type": "B", "status": "True"}]}}
    assert kube_objects.condition(obj, "B") == {"type": "B", "status": "True"}
    assert kube_objects.condition(obj, "C") is None
    assert kube_objects.condition(None, "A") is None


def test_a_snapshot_lists_by_namespace():
    one = {"metadata": {"name": "x", "namespace": "a"}}
    two = {"metadata": {"name": "x", "namespace": "b"}}
    snapshot = wait_world.Snapshot({Source(CONFIG_MAP): {("a", "x"): one, ("b", "x"): two}}, set())
    assert snapshot.list(CONFIG_MAP) == [one, two]
    assert snapshot.list(CONFIG_MAP, "b") == [two]
    assert snapshot.get(CONFIG_MAP, "x", "a") is one


def test_the_end_of_a_wait_does_not_wait_for_its_watches():
    class Open:
        """An open response: `close` blocks like the real one while a thread reads; `shutdown` ends the reading."""

        def __init__(self):
            self.ended = threading.Event()

        def shutdown(self):
            self.ended.set()

        def close(self):
            self.ended.wait(5)

    response, started = Open(), time.monotonic()
    wait_watch._cut(response)
    assert response.ended.is_set()
    assert time.monotonic() - started < 1
