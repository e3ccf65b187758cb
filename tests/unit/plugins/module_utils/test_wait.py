from __future__ import annotations

import itertools
import json
import queue
import threading
import time

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import CONFIG_MAP, CSV, DEPLOYMENT
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import Source, Verdict
from hypothesis import given, settings
from hypothesis import strategies as st


class FakeStream:
    """A watch whose events come from a queue; None ends it."""

    def __init__(self, events):
        self._events = events

    def read1(self, size):
        event = self._events.get()
        return b"" if event is None else json.dumps(event).encode() + b"\n"

    def close(self):
        self._events.put(None)


class FakeSession:
    """The two calls that the engine makes, over objects that a test changes."""

    def __init__(self):
        self.objects = {}
        self.streams = []
        self.version = itertools.count(1)
        self.lock = threading.Lock()
        self.refuse = {}  # kind -> status
        self.list_failures = 0

    def list_page(self, kind, namespace, label_selector=None, field_selector=None):
        if kind in self.refuse:
            raise ApiError("GET", kind.path(), self.refuse[kind], {})
        if self.list_failures:
            self.list_failures -= 1
            raise ApiError("GET", kind.path(), 0, "connection refused")
        with self.lock:
            name = (field_selector or "=").split("=")[1]
            found = [o for (k, n), o in self.objects.items() if k == kind and (not name or n == name)]
            return found, str(next(self.version))

    def stream(self, kind, namespace, query, timeout):
        with self.lock:
            events = queue.Queue()
            self.streams.append((kind, events))
            return FakeStream(events)

    def put(self, kind, name, tell=True, **content):
        obj = {"metadata": {"name": name, "namespace": "ns"}, **content}
        with self.lock:
            known = (kind, name) in self.objects
            self.objects[kind, name] = obj
            for watched, events in self.streams if tell else []:
                if watched == kind:
                    events.put({"type": "MODIFIED" if known else "ADDED", "object": obj})

    def cut(self):
        with self.lock:
            for _kind, events in self.streams:
                events.put(None)
            self.streams.clear()


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


def test_ready_at_once_when_it_is_ready():
    session = FakeSession()
    session.put(CSV, "one", status={"phase": "Succeeded"})
    result = _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=5)
    assert result.phase == _wait.READY
    assert result.elapsed < 1


def test_a_change_ends_the_wait_within_a_moment():
    session = FakeSession()
    changed = []

    def later():
        session.put(CSV, "one", status={"phase": "Succeeded"})
        changed.append(time.monotonic())

    threading.Timer(0.4, later).start()
    result = _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=10)
    assert time.monotonic() - changed[0] < 0.3
    assert [entry["reason"] for entry in result.timeline] == ["NotCreated", "Ready"]
    assert result.timeline[-1]["at"] >= 0.4


def test_a_terminal_failure_ends_the_wait_at_once_with_its_remedy():
    session = FakeSession()
    session.put(CSV, "one", status={"phase": "Broken"})
    result = _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=60)
    assert result.phase == _wait.FAILED
    assert result.worst() == [("one", Verdict.failed("Broken", "is broken", "mend it"))]


def test_time_out_keeps_the_last_verdict():
    result = _wait.wait(FakeSession(), SOURCES, has_phase("Succeeded"), timeout=0.3)
    assert (result.phase, result.verdicts["one"].reason) == (_wait.TIMED_OUT, "NotCreated")
    assert 0.3 <= result.elapsed < 1


def test_a_failure_within_its_grace_may_heal():
    session = FakeSession()
    session.put(CSV, "one", status={"phase": "Failed"})
    threading.Timer(0.3, lambda: session.put(CSV, "one", status={"phase": "Succeeded"})).start()

    def evaluate(snapshot):
        failed = snapshot.get(CSV, "one", "ns")["status"]["phase"] == "Failed"
        return {"one": Verdict.failed("Failed", "for a moment", grace=5) if failed else Verdict.ready()}

    result = _wait.wait(session, SOURCES, evaluate, timeout=10)
    assert result.phase == _wait.READY
    assert [(entry["state"], entry["reason"]) for entry in result.timeline] == [
        ("pending", "Failed"),
        ("ready", "Ready"),
    ]


def test_a_failure_beyond_its_grace_is_final():
    session = FakeSession()
    result = _wait.wait(
        session, SOURCES, lambda s: {"one": Verdict.failed("Failed", "for good", grace=0.3)}, timeout=10
    )
    assert result.phase == _wait.FAILED
    assert 0.3 <= result.elapsed < 1.5
    assert [entry["state"] for entry in result.timeline] == ["pending", "failed"]


def test_readiness_must_last_where_asked():
    result = _wait.wait(FakeSession(), SOURCES, lambda s: {"one": Verdict.ready(stable_for=0.4)}, timeout=10)
    assert result.phase == _wait.READY
    assert 0.4 <= result.elapsed < 1.5


def test_no_verdict_before_every_source_was_heard():
    session = FakeSession()
    session.list_failures = 2
    seen = []

    def evaluate(snapshot):
        seen.append(snapshot.served(CSV))
        return {"one": Verdict.ready()}

    assert _wait.wait(session, SOURCES, evaluate, timeout=10).phase == _wait.READY
    assert seen == [True]


def test_an_unserved_kind_is_waited_for():
    session = FakeSession()
    session.refuse[CSV] = 404
    threading.Timer(0.3, session.refuse.clear).start()
    session.put(CSV, "one", status={"phase": "Succeeded"})
    result = _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=10)
    assert result.phase == _wait.READY
    assert result.snapshot.served(CSV)


def test_a_forbidden_kind_is_known_as_unreadable_and_does_not_end_the_wait():
    session = FakeSession()
    session.refuse[DEPLOYMENT] = 403
    session.put(CSV, "one", status={"phase": "Succeeded"})
    result = _wait.wait(session, [*SOURCES, Source(DEPLOYMENT, "ns")], has_phase("Succeeded"), timeout=10)
    assert result.phase == _wait.READY
    assert not result.snapshot.readable(DEPLOYMENT, "ns")
    assert result.snapshot.readable(CSV, "ns")


def test_act_runs_before_each_look_and_its_error_ends_the_wait():
    def act(snapshot):
        raise LookupError("collateral")

    with pytest.raises(LookupError, match="collateral"):
        _wait.wait(FakeSession(), SOURCES, has_phase("Succeeded"), timeout=10, act=act)


def test_progress_hears_each_change_once():
    session = FakeSession()
    heard = []
    threading.Timer(0.2, lambda: session.put(CSV, "one", status={"phase": "Installing"})).start()
    threading.Timer(0.3, lambda: session.put(CSV, "one", status={"phase": "Installing"})).start()
    threading.Timer(0.5, lambda: session.put(CSV, "one", status={"phase": "Succeeded"})).start()
    _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=10, progress=heard.append)
    assert [entry["reason"] for entry in heard] == ["NotCreated", "Installing", "Ready"]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["Installing", "Failed", "Pending", "lost", "cut"]), max_size=8),
    last=st.sampled_from(["Succeeded", "Broken"]),
)
def test_any_order_of_events_and_lost_watches_ends_in_the_same_verdict(steps, last):
    session = FakeSession()

    def play():
        for step in steps:
            if step == "cut":
                session.cut()
            elif step == "lost":
                session.list_failures += 1
                session.cut()
            else:
                session.put(CSV, "one", status={"phase": step})
        session.put(CSV, "one", tell=False, status={"phase": last})
        session.cut()  # the last event itself was lost: the new list finds it

    player = threading.Timer(0.02, play)
    player.start()
    result = _wait.wait(session, SOURCES, has_phase("Succeeded"), timeout=20)
    player.join()
    assert result.phase == {"Succeeded": _wait.READY, "Broken": _wait.FAILED}[last]


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
    assert _wait.rolled_out(obj).reason == reason


def test_an_object_that_is_being_deleted_is_never_current():
    assert not _wait.current({"metadata": {"deletionTimestamp": "now"}, "status": {}})
    assert _wait.current({"metadata": {}})
    assert _wait.current({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}})
    assert not _wait.current({"metadata": {"generation": 3}, "status": {"observedGeneration": 2}})


def test_conditions_are_found_by_type():
    obj = {"status": {"conditions": [{"type": "A"}, {"type": "B", "status": "True"}]}}
    assert _wait.condition(obj, "B") == {"type": "B", "status": "True"}
    assert _wait.condition(obj, "C") is None
    assert _wait.condition(None, "A") is None


def test_a_snapshot_lists_by_namespace():
    one = {"metadata": {"name": "x", "namespace": "a"}}
    two = {"metadata": {"name": "x", "namespace": "b"}}
    snapshot = _wait.Snapshot({Source(CONFIG_MAP): {("a", "x"): one, ("b", "x"): two}}, set())
    assert snapshot.list(CONFIG_MAP) == [one, two]
    assert snapshot.list(CONFIG_MAP, "b") == [two]
    assert snapshot.get(CONFIG_MAP, "x", "a") is one
