"""What networks, proxies and half-broken clusters do to a wait, and to a single request."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.explain import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import errors as kube_errors
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import transport
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    API_SERVICE,
    CONFIG_MAP,
    CSV,
    DEPLOYMENT,
    KNATIVE_SERVING,
    NAMESPACE,
    PACKAGE_MANIFEST,
    SECRET,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import failures
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets import wait as waiting
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.target import Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import engine as wait_engine
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import verdict as verdicts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import watch as wait_watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

from ..http_client import BOTH
from ..standin_api import PAGE, Answer, status

SOURCES = [Source(CSV, "ns", "one")]
JSON = {"Content-Type": "application/json"}
WRONG = {
    "page": PAGE,
    "redirect": Answer(302, b"", {"Location": "https://sso.example.com/login?state=canary"}),
    "array": Answer(200, b"[]", JSON),
    "no kind": Answer(200, b'{"hello": "world"}', JSON),
    "text": Answer(200, b"OK canary", {"Content-Type": "text/plain"}),
    "nothing": Answer(200),
    "page not found": Answer(404, b"<html>no canary here</html>", {"Content-Type": "text/html", "Server": "nginx"}),
    "page of a proxy": Answer(403, b"<html><title>Blocked</title>", {"Content-Type": "text/html"}),
    "login": Answer(401, b"<html><title>Log in</title>", {"Content-Type": "text/html"}),
}
CUT_OFF = {
    "ends early": Answer(200, b'{"kind": "ClusterServiceVersionLi', JSON),
    "less than promised": Answer(200, b'{"kind": "Cl', JSON, length=4000),
}


def phase_of(snapshot):
    return (snapshot.get(CSV, "one", "ns") or {}).get("status", {}).get("phase")


def until(phase):
    def evaluate(snapshot):
        found = phase_of(snapshot)
        return {"one": Verdict.ready() if found == phase else Verdict.pending(found or "NotCreated")}

    return evaluate


def until_done(seen):
    """Wait for the last phase; `seen` gets each one that was judged."""

    def evaluate(snapshot):
        seen.append(phase_of(snapshot))
        return until("Done")(snapshot)

    return evaluate


def later(seconds, action):
    threading.Timer(seconds, action).start()


def said(result, target):
    return [(entry["state"], entry["reason"]) for entry in result.timeline if entry["target"] == target]


# -- a watch that is cut in the middle --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("how", ["end", "reset", "chunk", "event", "close"])
def test_a_watch_goes_on_from_the_last_event_however_it_was_cut(api, how):
    api.put(CSV, "one", status={"phase": "Old"})
    seen = []

    def evaluate(snapshot):
        phase = phase_of(snapshot)
        if seen[-1:] != [phase]:
            seen.append(phase)
            if phase == "Old":
                later(0, patch)
            elif phase == "Patched":
                later(0, cut)
        return {"one": Verdict.ready() if phase == "Done" else Verdict.pending(phase)}

    def patch():
        api.until_watched()
        api.put(CSV, "one", status={"phase": "Ready"})  # as it was before our patch
        time.sleep(0.1)
        api.put(CSV, "one", status={"phase": "Patched"})

    def cut():
        api.cut(how)
        api.until_watched(times=2)
        time.sleep(0.1)
        api.put(CSV, "one", status={"phase": "Done"})

    result = wait_engine.wait(api.session, SOURCES, evaluate, timeout=20)
    assert result.phase == verdicts.READY
    # What follows at once may be seen as one change; what was before it is not seen again.
    assert seen in (["Old", "Ready", "Patched", "Done"], ["Old", "Patched", "Done"])
    assert api.opened[:2] == [2, 4]
    assert result.requests["list"] == 1


def test_what_a_server_repeats_is_not_news(api):
    api.put(CSV, "one", status={"phase": "First"})
    api.put(CSV, "one", status={"phase": "Second"})
    api.remove(CSV, "one")
    api.put(CSV, "one", status={"phase": "Third"})
    api.repeats = True
    seen = []

    def play():
        api.until_watched()
        time.sleep(0.2)
        api.put(CSV, "one", status={"phase": "Done"})

    later(0.1, play)
    assert wait_engine.wait(api.session, SOURCES, until_done(seen), timeout=20).phase == verdicts.READY
    assert set(seen) == {"Third", "Done"}


def test_a_deleted_object_does_not_come_back_by_a_repeated_event(api):
    api.put(CSV, "one", status={"phase": "First"})
    api.repeats = True
    seen = []

    def play():
        api.until_watched()
        api.remove(CSV, "one")
        time.sleep(0.2)
        api.cut("reset")
        time.sleep(0.4)
        api.put(CSV, "one", status={"phase": "Done"})

    later(0.1, play)
    assert wait_engine.wait(api.session, SOURCES, until_done(seen), timeout=20).phase == verdicts.READY
    assert [seen[index] for index in range(len(seen)) if index == 0 or seen[index] != seen[index - 1]] == [
        "First",
        None,
        "Done",
    ]


def test_an_error_within_a_watch_is_no_reason_to_hammer_the_server(api):
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd has no leader"}}
    body = json.dumps(error).encode() + b"\n"
    api.refuse_watch[CSV] = Answer(200, body, JSON)
    later(0.5, api.refuse_watch.clear)
    api.put(CSV, "one", status={"phase": "Old"})
    later(1.0, lambda: api.put(CSV, "one", status={"phase": "Done"}))
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20)
    assert result.phase == verdicts.READY
    assert result.requests["list"] < 6
    assert result.requests["watch"] < 8


def test_what_is_no_event_is_passed_over_by_opening_the_watch_again(api):
    api.refuse_watch[CSV] = Answer(200, b'["no event"]\n', JSON)
    api.put(CSV, "one", status={"phase": "Old"})
    later(0.4, api.refuse_watch.clear)
    later(0.6, lambda: api.put(CSV, "one", status={"phase": "Done"}))
    assert wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20).phase == verdicts.READY


@BOTH
def test_a_silent_connection_is_given_up(api, monkeypatch):
    monkeypatch.setattr(wait_watch, "REOPEN", 0.2)
    monkeypatch.setattr(wait_watch, "SILENCE", 0.3)
    api.put(CSV, "one", status={"phase": "Old"})

    def play():
        api.until_watched()
        api.cut("silence")
        api.put(CSV, "one", status={"phase": "Done"})

    later(0.1, play)
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20)
    assert result.phase == verdicts.READY
    assert result.requests["list"] == 1


@pytest.mark.parametrize("code", [403, 405])
def test_what_can_be_listed_and_not_watched_is_polled(api, monkeypatch, code):
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.refuse_watch[PACKAGE_MANIFEST] = code  # 405: an aggregated API without watches
    later(0.4, lambda: api.put(PACKAGE_MANIFEST, "one"))

    def evaluate(snapshot):
        return {"one": Verdict.ready() if snapshot.list(PACKAGE_MANIFEST) else Verdict.pending("NotCreated")}

    assert wait_engine.wait(api.session, [Source(PACKAGE_MANIFEST, "ns")], evaluate, timeout=20).phase == verdicts.READY


@pytest.mark.parametrize("part", ["refuse", "refuse_watch"])
def test_a_history_that_is_always_gone_does_not_hammer_the_server(api, part):
    getattr(api, part)[CSV] = 410
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=2.0)
    assert result.phase == verdicts.TIMED_OUT
    assert result.requests["list"] < 10


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (Answer(503, b"<html>maintenance", {"Content-Type": "text/html", "Retry-After": "300"}), 0.0),
        (Answer(503, b"", {"Audit-Id": "a", "Retry-After": "300"}), 10.0),
        (Answer(429, b"", {"Audit-Id": "a", "Retry-After": "nan"}), 10.0),
        (Answer(429, b"", {"Audit-Id": "a", "Retry-After": "-1"}), 10.0),
        (Answer(429, b"", {"Audit-Id": "a", "Retry-After": "3"}), 3.0),
    ],
)
def test_a_server_may_ask_for_some_seconds_and_a_page_for_none(api, answer, asked):
    api.refuse[CSV] = answer
    with pytest.raises(kube_errors.ApiError) as refusal:
        api.session.list_page(CSV, "ns", patient=False)
    assert refusal.value.retry_after == asked


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": null, "items": []}',
        b'{"kind": "Thing"}',
        b'{"kind": "ThingList", "items": ["a"]}',
        b'{"kind": "ThingList", "items": [{"a": 1}]}',
        b'{"kind": "ThingList", "items": {"a": 1}}',
    ],
)
def test_what_is_no_list_is_refused(api, body):
    api.refuse[CSV] = Answer(200, body, JSON)
    with pytest.raises(kube_errors.ApiError, match="is not a Kubernetes API server"):
        api.session.list(CSV, "ns")


@pytest.mark.parametrize("event", [b'{"type": "ADDED", "object": {}}', b'{"type": "ERROR", "object": {"code": "x"}}'])
def test_what_is_no_event_ends_no_wait(api, event):
    api.put(CSV, "one", status={"phase": "Old"})
    api.refuse_watch[CSV] = Answer(200, event + b"\n", JSON)
    later(0.4, lambda: api.put(CSV, "one", status={"phase": "Done"}))
    later(0.4, api.refuse_watch.clear)
    assert wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20).phase == verdicts.READY


# -- graces -----------------------------------------------------------------------------------------------------------


def test_the_grace_of_a_target_that_went_counts_from_its_return(api):
    def evaluate(snapshot):
        phase = phase_of(snapshot)
        rest = {"other": Verdict.ready() if phase == "Done" else Verdict.pending("Waiting")}
        return {**rest, "one": Verdict.failed("Broken", "is broken", grace=1.0)} if phase == "Broken" else rest

    def play():
        for phase, seconds in (("Broken", 0.6), ("Gone", 0.6), ("Broken", 0.6)):
            api.put(CSV, "one", status={"phase": phase})
            time.sleep(seconds)
        api.put(CSV, "one", status={"phase": "Done"})

    later(0, play)
    result = wait_engine.wait(api.session, SOURCES, evaluate, timeout=20)
    assert result.phase == verdicts.READY
    assert said(result, "one") == [("pending", "Broken"), ("pending", "Broken")]


@pytest.mark.parametrize("code", [401, 403])
def test_two_short_refusals_are_not_one_long_one(api, monkeypatch, code):
    monkeypatch.setattr(wait_engine, "REFUSAL_GRACE", 1.0)
    monkeypatch.setattr(wait_watch, "POLL", 0.1)
    api.put(CSV, "one", status={"phase": "Old"})

    def play():
        api.until_watched()
        for _time in range(2):
            api.refuse[CSV] = code
            api.cut()
            time.sleep(0.6)
            api.refuse.clear()
            time.sleep(0.6)
        api.put(CSV, "one", status={"phase": "Done"})

    later(0, play)
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20)
    assert result.phase == verdicts.READY
    reason = {401: "Unauthorized", 403: "Forbidden"}[code]
    assert said(result, str(SOURCES[0])) == [("pending", reason), ("ready", "Ready")] * 2


@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_beyond_its_grace_ends_the_wait(api, monkeypatch, code):
    monkeypatch.setattr(wait_engine, "REFUSAL_GRACE", 0.4)
    monkeypatch.setattr(wait_watch, "POLL", 0.1)
    api.refuse[CSV] = code
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=60)
    assert (result.phase, result.reason) == (verdicts.FAILED, {401: "Unauthorized", 403: "Forbidden"}[code])
    assert 0.4 <= result.elapsed < 30


def test_a_request_is_sent_again_while_good_credentials_are_refused_for_a_moment(api):
    api.put(CONFIG_MAP, "one")
    assert api.session.get(CONFIG_MAP, "one", "ns")
    api.failures += [401, 401]
    assert api.session.get(CONFIG_MAP, "one", "ns")
    assert api.session.requests["retries"] == 2


def test_credentials_that_were_never_good_are_refused_at_once(api):
    api.failures.append(401)
    with pytest.raises(kube_errors.ApiError, match="asked to answer 401"):
        api.session.get(CONFIG_MAP, "one", "ns")
    assert "retries" not in api.session.requests


# -- what is no API server --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_api_server_is_named_by_a_request(api, what):
    api.refuse[CONFIG_MAP] = WRONG[what]
    for ask in (
        lambda: api.session.get(CONFIG_MAP, "one", "ns"),
        lambda: api.session.list(CONFIG_MAP, "ns"),
        lambda: api.session.delete(CONFIG_MAP, "one", "ns"),
        lambda: api.session.apply(CONFIG_MAP, {"metadata": {"name": "one", "namespace": "ns"}}),
    ):
        with pytest.raises(kube_errors.ApiError) as refusal:
            ask()
        assert refusal.value.foreign
        assert not refusal.value.not_found
        assert not refusal.value.forbidden
        assert not refusal.value.transient
        assert f"{api.url} is not a Kubernetes API server" in str(refusal.value)
        assert f"was answered {WRONG[what].status} with" in str(refusal.value)
        assert "canary" not in str(refusal.value)
    assert not api.session.answered


@BOTH
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_api_server_ends_a_wait(api, monkeypatch, what):
    monkeypatch.setattr(wait_engine, "REFUSAL_GRACE", 0.3)
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.refuse[CSV] = WRONG[what]
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20)
    assert (result.phase, result.reason) == (verdicts.FAILED, "NotKubernetes")
    assert f"{api.url} is not a Kubernetes API server" in result.message
    assert result.blind


@BOTH
@pytest.mark.parametrize("what", WRONG)
def test_where_a_proxy_does_not_let_watches_through_it_polls(api, monkeypatch, what):
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    monkeypatch.setattr(wait_watch, "LONGEST_PAUSE", 0.2)
    api.refuse_watch[CSV] = WRONG[what]
    later(0.4, lambda: api.put(CSV, "one", status={"phase": "Done"}))
    assert wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20).phase == verdicts.READY


def test_a_page_for_a_moment_is_waited_out(api, monkeypatch):
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.refuse[CSV] = PAGE
    api.put(CSV, "one", status={"phase": "Done"})
    later(0.4, api.refuse.clear)
    assert wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20).phase == verdicts.READY


@BOTH
@pytest.mark.parametrize("what", CUT_OFF)
def test_an_answer_that_was_cut_off_is_asked_for_again(api, what):
    api.put(CSV, "one", status={"phase": "Done"})
    api.failures += [CUT_OFF[what], CUT_OFF[what]]
    assert api.session.list(CSV, "ns")[0]["status"] == {"phase": "Done"}
    api.failures += [CUT_OFF[what], CUT_OFF[what]]
    assert wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20).phase == verdicts.READY


def test_a_bug_in_a_reader_ends_the_wait_with_it(api, monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("bug in a reader")

    monkeypatch.setattr(api.session, "list_page", broken)
    with pytest.raises(RuntimeError, match="bug in a reader"):
        wait_engine.wait(api.session, SOURCES, until("Done"), timeout=20)


def test_a_group_that_is_not_served_is_an_absence_where_the_api_server_says_so(api):
    text = b"404 page not found\n"
    api.refuse[CSV] = Answer(404, text, {"Content-Type": "text/plain; charset=utf-8", "Audit-Id": "a"})
    assert api.session.get(CSV, "one", "ns") is None
    assert api.session.list(CSV, "ns") == []
    api.refuse[CSV] = Answer(404, text, {"Content-Type": "text/plain; charset=utf-8"})  # any other Go program
    with pytest.raises(kube_errors.ApiError, match="is not a Kubernetes API server"):
        api.session.get(CSV, "one", "ns")


@pytest.mark.parametrize("check", [True, False])
def test_what_a_proxy_does_not_find_is_not_gone(api, monkeypatch, check):
    monkeypatch.setattr(wait_engine, "REFUSAL_GRACE", 0.3)
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.session.check_mode = check
    api.refuse_all = WRONG["page not found"]
    target = Target("v1", "Secret", "absent", "one", "ns")
    with pytest.raises((kube_errors.ApiError, failures.WaitFailed), match="is not a Kubernetes API server"):
        waiting.wait_for(Call(SimpleNamespace(params={"wait_timeout": 20}), api.session, diagnose), [target])


# -- a server that never answers --------------------------------------------------------------------------------------


@pytest.fixture
def heard(api):
    api.session.report = (entries := []).append
    return entries


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(transport, "FIRST_ANSWER", 1.5)
    for module in (transport, wait_engine):
        monkeypatch.setattr(module, "OFFLINE_TOLD", 0.05)


NO_ANSWER = {"refused": None, "reset": 0, "page of a router": Answer(503, b"<html>x", {"Content-Type": "text/html"})}


@BOTH
@pytest.mark.parametrize("what", NO_ANSWER)
def test_a_request_gives_up_soon_on_a_server_that_never_answered(api, short, heard, what):
    api.close() if NO_ANSWER[what] is None else setattr(api, "refuse_all", NO_ANSWER[what])
    api.session.deadline = time.monotonic() + 1800
    begun = time.monotonic()
    with pytest.raises(kube_errors.ApiError):
        api.session.get(CONFIG_MAP, "one", "ns")
    assert time.monotonic() - begun < 30  # of 1800
    assert heard[0]["target"] == "API server"
    assert (heard[0]["state"], heard[0]["reason"]) == ("pending", "Unreachable")


@BOTH
@pytest.mark.parametrize("what", NO_ANSWER)
def test_a_wait_gives_up_soon_on_a_server_that_never_answered(api, short, what):
    api.close() if NO_ANSWER[what] is None else setattr(api, "refuse_all", NO_ANSWER[what])
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=1800)
    assert (result.phase, result.reason) == (verdicts.FAILED, "Unreachable")
    assert result.elapsed < 30  # of 1800
    # On a busy machine the first look may come when the time is over already.
    *before, last = said(result, "API server")
    assert last == ("failed", "Unreachable")
    assert before in ([], [("pending", "Unreachable")])


def test_a_server_that_takes_connections_and_is_silent_gets_no_more_time(api, short):
    api.refuse_all = Answer(200, b"{}", JSON, slow=30)
    begun = time.monotonic()
    with pytest.raises(kube_errors.ApiError):
        api.session.get(CONFIG_MAP, "one", "ns")
    assert time.monotonic() - begun < 25  # of the 30 that its answer would take
    result = wait_engine.wait(api.session, SOURCES, until("Done"), timeout=0.2)
    assert (result.phase, result.reason) == (verdicts.TIMED_OUT, "Unreachable")
    assert result.blind


def test_a_server_that_has_answered_once_is_waited_for(api, short, heard):
    api.put(CONFIG_MAP, "one")
    assert api.session.get(CONFIG_MAP, "one", "ns")
    api.refuse_all = 0
    later(1.5, lambda: setattr(api, "refuse_all", None))
    assert api.session.get(CONFIG_MAP, "one", "ns")
    assert [(entry["state"], entry["reason"]) for entry in heard] == [("pending", "Unreachable"), ("ready", "Ready")]


@BOTH
def test_slow_headers_are_waited_for(api):
    api.put(CONFIG_MAP, "one")
    api.failures.append(Answer(200, b'{"kind": "ConfigMap", "data": {}}', JSON, slow=0.5))
    assert api.session.get(CONFIG_MAP, "one", "ns")["data"] == {}


# -- one source is out of order ---------------------------------------------------------------------------------------

WEBHOOK = (
    "conversion webhook for operator.knative.dev/v1alpha1, Kind=KnativeServing failed: Post "
    '"https://operator-webhook.ns.svc:443/resource-conversion": dial tcp 10.1.2.3:443: connect: connection refused'
)


@pytest.fixture
def told_soon(monkeypatch):
    monkeypatch.setattr(wait_engine, "OFFLINE_TOLD", 0.2)


def test_a_dead_conversion_webhook_is_named_and_the_others_are_judged(api, told_soon):
    api.refuse[KNATIVE_SERVING] = status(500, "InternalError", WEBHOOK)
    api.put(CSV, "one", status={"phase": "Broken"})
    sick = Source(KNATIVE_SERVING, "ns")

    def evaluate(snapshot):
        broken = phase_of(snapshot) == "Broken"
        return {
            "one": Verdict.failed("Broken", "is broken", grace=0.6) if broken else Verdict.pending("NotCreated"),
            "knative": Verdict.failed("NotCreated", "is not there") if not snapshot.of(sick) else Verdict.ready(),
        }

    needs = {"one": SOURCES, "knative": [sick]}.__getitem__
    result = wait_engine.wait(api.session, [*SOURCES, sick], evaluate, timeout=60, needs=needs)
    assert (result.phase, result.reason) == (verdicts.FAILED, "Broken")
    assert result.elapsed < 30
    trouble = result.verdicts[str(sick)]
    assert (trouble.state, trouble.reason) == (verdicts.PENDING, "Unavailable")
    assert "conversion webhook of CustomResourceDefinition knativeservings.operator.knative.dev" in trouble.message
    assert "operator-webhook.ns.svc" in trouble.message
    assert result.verdicts["knative"].reason == "Unavailable"
    assert "API server" not in result.verdicts
    assert not result.blind


def test_a_source_that_recovers_is_judged_again(api, told_soon):
    api.refuse[KNATIVE_SERVING] = status(500, "InternalError", WEBHOOK)
    api.put(CSV, "one", status={"phase": "Done"})
    sick = Source(KNATIVE_SERVING, "ns")
    later(1.0, api.refuse.clear)
    result = wait_engine.wait(
        api.session, [*SOURCES, sick], until("Done"), timeout=20, needs={"one": SOURCES}.__getitem__
    )
    assert result.phase == verdicts.READY
    assert result.elapsed >= 1.0  # not before all that is needed was read
    assert said(result, str(sick)) == [("pending", "Unavailable"), ("ready", "Ready")]


@pytest.fixture
def down(api):
    """An aggregated API that is down; returns what is to be said of it."""
    api.refuse[PACKAGE_MANIFEST] = Answer(503, b"service unavailable\n", {"Audit-Id": "a"})
    condition = {"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "no endpoints"}
    api.put(
        API_SERVICE,
        "v1.packages.operators.coreos.com",
        spec={"service": {"namespace": "olm", "name": "packageserver"}},
        status={"conditions": [condition]},
    )
    name = "APIService v1.packages.operators.coreos.com (Service olm/packageserver)"
    return f"{name} is not available: MissingEndpoints: no endpoints"


def test_an_aggregated_api_that_is_down_is_named(api, told_soon, down):
    result = wait_engine.wait(
        api.session, [Source(PACKAGE_MANIFEST, "ns")], lambda s: {"x": Verdict.ready()}, timeout=1.5
    )
    assert (result.phase, result.reason) == (verdicts.TIMED_OUT, "Unavailable")
    assert down in result.message
    assert api.asked.count("/apis/apiregistration.k8s.io/v1/apiservices/v1.packages.operators.coreos.com") == 1


def test_an_aggregated_api_that_is_down_is_named_by_a_single_request_as_well(api, short, heard, down):
    api.session.deadline = time.monotonic() + 1.0
    with pytest.raises(kube_errors.ApiError, match="503") as refusal:
        api.session.list(PACKAGE_MANIFEST, "ns")
    assert str(refusal.value).endswith(f"service unavailable: {down}")
    assert heard[0]["reason"] == "Unavailable"
    assert down in heard[0]["message"]
    assert len(heard) == 1


def test_a_source_alone_is_out_of_order_once_others_are_answered(api, told_soon, monkeypatch):
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.refuse_watch[CSV] = 403  # polls: answered all the time
    api.refuse[SECRET] = 500
    result = wait_engine.wait(api.session, [*SOURCES, Source(SECRET, "ns")], until("Done"), timeout=1.5)
    assert (result.phase, result.reason) == (verdicts.TIMED_OUT, "Unavailable")
    assert "asked to answer 500" in result.message


def test_a_failure_that_rests_on_a_source_that_is_lost_does_not_end_the_wait(api, told_soon, monkeypatch):
    monkeypatch.setattr(wait_watch, "POLL", 0.05)
    api.refuse_watch[DEPLOYMENT] = 403  # polls: answered all the time
    api.put(CSV, "one", status={"phase": "Broken"})

    def evaluate(snapshot):
        broken = phase_of(snapshot) == "Broken"
        return {"one": Verdict.failed("Broken", "is broken", grace=1.0) if broken else Verdict.ready()}

    def play():
        api.until_watched()
        api.refuse[CSV] = 500
        api.cut()
        time.sleep(1.5)
        api.put(CSV, "one", status={"phase": "Done"})
        api.refuse.clear()

    later(0, play)
    result = wait_engine.wait(api.session, [*SOURCES, Source(DEPLOYMENT, "ns")], evaluate, timeout=20)
    assert result.phase == verdicts.READY


# -- clocks and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_ages_are_counted_by_the_clock_of_the_server(api, skew):
    api.clock_skew = skew
    api.put(CONFIG_MAP, "one")
    assert abs(api.session.now() - time.time()) < 1  # nothing is known yet
    api.session.get(CONFIG_MAP, "one", "ns")
    assert abs(api.session.now() - time.time() - skew) < 3


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "?x=1", "#x", "a%2fb"])
def test_a_name_that_is_none_addresses_nothing(api, name):
    for kind, namespace in ((CONFIG_MAP, "ns"), (NAMESPACE, None)):
        for ask in (api.session.get, api.session.delete):
            with pytest.raises(ValueError, match="not a name"):
                ask(kind, name, namespace)
    assert api.asked == []
