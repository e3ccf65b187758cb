from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import apply as kube_apply
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import errors as kube_errors
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import objects as kube_objects
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import session as kube_session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import transport
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    CONFIG_MAP,
    NAMESPACE,
    SECRET,
    SUBSCRIPTION,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text import known, lines
from kubernetes import client as kubernetes_client

from ..fake_api import RESET, FakeApi


@pytest.fixture
def api():
    fake = FakeApi()
    yield fake
    assert not fake.script, f"answers nobody asked for: {fake.script}"
    fake.close()


@pytest.fixture
def session(api, monkeypatch):
    monkeypatch.setattr(kube_session.time, "sleep", lambda seconds: api.seen.append({"slept": seconds}))
    configuration = kubernetes_client.Configuration(host=api.url)
    configuration.api_key = {"authorization": "Bearer canary"}
    return kube_session.Session(kubernetes_client.ApiClient(configuration))


def config_map(data, *, manager=transport.FIELD_MANAGER, created=True):
    labels = {kube_objects.CREATED_LABEL: "true"} if created else {}
    fields = {f"f:{key}": {} for key in data}
    label_fields = {f"f:{key}": {} for key in labels}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "one",
            "namespace": "here",
            "labels": labels,
            "resourceVersion": "7",
            "managedFields": [
                {
                    "manager": manager,
                    "operation": "Apply",
                    "fieldsV1": {"f:metadata": {"f:labels": label_fields}, "f:data": fields},
                }
            ],
        },
        "data": dict(data),
    }


WANTED = {"metadata": {"name": "one", "namespace": "here"}, "data": {"a": "1"}}


def test_paths_need_no_discovery():
    assert NAMESPACE.path(None, "x") == "/api/v1/namespaces/x"
    assert CONFIG_MAP.path("here") == "/api/v1/namespaces/here/configmaps"
    assert SUBSCRIPTION.path("ns", "s", "status") == (
        "/apis/operators.coreos.com/v1alpha1/namespaces/ns/subscriptions/s/status"
    )


def test_get_answers_none_for_what_is_not_there(api, session):
    api.script.append((404, {"reason": "NotFound"}))
    assert session.get(CONFIG_MAP, "one", "here") is None
    assert api.seen[0]["headers"]["authorization"] == "Bearer canary"


@pytest.mark.parametrize("failure", [(429, {}), (500, {}), (503, {}), RESET])
def test_transient_failures_are_retried_and_counted(api, session, failure):
    api.script += [failure, failure, (200, {"metadata": {"name": "one"}})]
    assert session.get(CONFIG_MAP, "one", "here")["metadata"] == {"name": "one"}
    assert session.requests["retries"] == 2


def test_retry_after_is_honoured(api, session):
    api.script += [(429, {}, {"Retry-After": "3"}), (200, {})]
    session.get(CONFIG_MAP, "one", "here")
    assert [seen["slept"] for seen in api.seen if "slept" in seen] == [3.0]


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
def test_final_answers_are_not_retried(api, session, status):
    api.script.append((status, {"reason": "No", "message": "because"}))
    with pytest.raises(kube_errors.ApiError, match="because") as caught:
        session.patch(CONFIG_MAP, "one", "here", {"data": {"a": "1"}})
    assert caught.value.status == status
    assert "retries" not in session.requests


def test_retries_end_at_the_callers_deadline(api, session):
    session.deadline = time.monotonic() - 1
    api.script.append((503, {}))
    with pytest.raises(kube_errors.ApiError):
        session.get(CONFIG_MAP, "one", "here")


def test_a_create_whose_answer_was_lost_is_read_back(api, session):
    api.script += [RESET, (409, {"reason": "AlreadyExists"}), (200, config_map({"a": "1"}))]
    assert session.create(CONFIG_MAP, WANTED)["data"] == {"a": "1"}


def test_a_create_that_found_somebody_elses_object_fails(api, session):
    api.script.append((409, {"reason": "AlreadyExists", "message": "there"}))
    with pytest.raises(kube_errors.ApiError) as caught:
        session.create(CONFIG_MAP, WANTED)
    assert caught.value.already_exists


def test_list_follows_pages(api, session):
    first = {"metadata": {"continue": "next", "resourceVersion": "5"}, "items": [{"metadata": {"name": "a"}}]}
    last = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "b"}}]}
    api.script += [(200, first), (200, last)]
    found = session.list(CONFIG_MAP)
    assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    assert found[0]["kind"] == "ConfigMap"
    assert "continue=next" in api.seen[1]["path"]


def test_ensure_creates_with_our_label_and_strict_validation(api, session):
    api.script += [(404, {}), (201, config_map({"a": "1"}))]
    change = session.ensure(CONFIG_MAP, WANTED)
    assert change.action == "created"
    write = api.seen[-1]
    assert write["method"] == "PATCH"
    assert "fieldValidation=Strict" in write["path"]
    assert "fieldManager=rhdh.orchestrator" in write["path"]
    assert "force" not in write["path"]
    assert write["body"]["metadata"]["labels"] == {kube_objects.CREATED_LABEL: "true"}


def test_ensure_writes_nothing_when_everything_is_as_wanted(api, session):
    api.script.append((200, config_map({"a": "1"})))
    assert not session.ensure(CONFIG_MAP, WANTED).changed
    assert len(api.seen) == 1


def test_ensure_leaves_other_peoples_fields_alone(api, session):
    live = config_map({"a": "1"})
    live["data"]["theirs"] = "x"
    api.script.append((200, live))
    assert not session.ensure(CONFIG_MAP, WANTED).changed


def test_ensure_gives_up_a_field_that_is_no_longer_wanted(api, session):
    live, after = config_map({"a": "1", "b": "2"}), config_map({"a": "1"})
    api.script += [(200, live), (200, after), (200, after)]
    change = session.ensure(CONFIG_MAP, WANTED)
    assert change.action == "patched"
    assert "dryRun=All" in api.seen[1]["path"]
    assert "dryRun" not in api.seen[2]["path"]


def test_ensure_adopts_without_writing_when_nothing_would_change(api, session):
    live = config_map({"a": "1"}, manager="somebody", created=False)
    api.script += [(200, live), (200, live)]
    assert not session.ensure(CONFIG_MAP, WANTED).changed
    assert "dryRun=All" in api.seen[1]["path"]


def test_ensure_reads_again_after_a_conflict_with_a_change_in_between(api, session):
    conflict = (409, {"reason": "Conflict", "message": "the object has been modified"})
    api.script += [(404, {}), conflict, (200, config_map({"a": "1"}))]
    assert session.ensure(CONFIG_MAP, WANTED).action == "none"
    assert session.requests["retries"] == 1


def test_ensure_raises_a_conflict_about_the_ownership_of_fields(api, session):
    causes = [{"reason": "FieldManagerConflict", "field": ".data.a"}]
    api.script += [(404, {}), (409, {"reason": "Conflict", "details": {"causes": causes}})]
    with pytest.raises(kube_errors.ApiError) as caught:
        session.ensure(CONFIG_MAP, WANTED)
    assert caught.value.foreign_fields


def revision(number, data, uid="u1"):
    obj = config_map(data)
    obj["metadata"] |= {"resourceVersion": str(number), "uid": uid}
    return obj


def one_more(live):
    return {"data": {**live["data"], "ours": "x"}}


def test_revise_makes_its_patch_anew_from_what_a_change_in_between_left(api, session):
    first, second = revision(1, {"a": "1"}), revision(2, {"a": "2"})
    api.script += [(409, {"reason": "Conflict"}), (200, second), (200, revision(3, {"a": "2", "ours": "x"}))]
    before, after = session.revise(CONFIG_MAP, first, one_more)
    assert (before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]) == ("2", "3")
    assert api.seen[0]["body"] == {"metadata": {"resourceVersion": "1"}, "data": {"a": "1", "ours": "x"}}
    assert api.seen[2]["body"] == {"metadata": {"resourceVersion": "2"}, "data": {"a": "2", "ours": "x"}}
    assert session.requests["retries"] == 1


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([(409, {}), (404, {})], 2),  # deleted meanwhile
        ([(409, {}), (200, revision(2, {}, uid="u2"))], 2),  # replaced by one of its name
        ([(404, {})], 1),
        (
            [*[(409, {}), (200, revision(2, {}))] * (kube_session.CONFLICT_ATTEMPTS - 1), (409, {})],
            2 * kube_session.CONFLICT_ATTEMPTS - 1,
        ),
    ],
)
def test_revise_raises_what_it_cannot_settle(api, session, answers, requests):
    api.script += answers
    with pytest.raises(kube_errors.ApiError) as caught:
        session.revise(CONFIG_MAP, revision(1, {}), one_more)
    assert caught.value.status == answers[0][0]
    assert len(api.seen) == requests


def test_check_mode_predicts_and_sends_no_mutation(api, session):
    session.check_mode = True
    api.script += [(404, {}), (200, config_map({"a": "0"})), (200, config_map({"a": "1"})), (200, {})]
    assert session.ensure(CONFIG_MAP, WANTED).action == "created"
    assert session.ensure(CONFIG_MAP, WANTED).action == "patched"
    assert session.delete(CONFIG_MAP, "one", "here")
    assert all(seen["method"] == "GET" or "dryRun=All" in seen["path"] for seen in api.seen)
    for write in (lambda: session.create(CONFIG_MAP, WANTED), lambda: session.apply(CONFIG_MAP, WANTED)):
        with pytest.raises(RuntimeError, match="check mode"):
            write()


def test_delete_is_background_and_tells_whether_it_was_there(api, session):
    api.script += [(200, {}), (404, {})]
    assert session.delete(CONFIG_MAP, "one", "here", uid="u")
    assert api.seen[0]["body"] == {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}
    assert not session.delete(CONFIG_MAP, "one", "here")


def test_missing_rights_are_all_named(api, session):
    api.script += [(201, {"status": {"allowed": True}}), (201, {"status": {"allowed": False}}), (201, {"status": {}})]
    rules = [("get", CONFIG_MAP, "here"), ("create", SUBSCRIPTION, "ns"), ("list", NAMESPACE, None)]
    assert session.missing_rights(rules) == ["create subscriptions.operators.coreos.com in ns", "list namespaces"]


def test_webhook_down_is_told_from_denied():
    down = kube_errors.ApiError("POST", "/", 500, {"message": 'Internal error occurred: failed calling webhook "x"'})
    denied = kube_errors.ApiError("POST", "/", 403, {"message": 'admission webhook "x" denied the request'})
    assert down.webhook_down
    assert not denied.webhook_down


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [{"n": "x", "d": 1}]}, {"a": [{"n": "x"}]}, True),
        ({}, {"a": None}, False),
        (None, {}, False),
    ],
)
def test_contains(live, wanted, expected):
    assert kube_apply.contains(live, wanted) is expected


def page(names, version="9", more=None):
    items = [{"metadata": {"name": name}} for name in names]
    return 200, {"items": items, "metadata": {"resourceVersion": version, "continue": more}}


def test_a_long_list_is_read_in_pages(api, session):
    api.script += [page(["a"], more="x"), page(["b"])]
    items, version = session.list_page(CONFIG_MAP, "here")
    assert ([item["metadata"]["name"] for item in items], version) == (["a", "b"], "9")
    assert items[0]["kind"] == "ConfigMap"
    assert "continue=x" in api.seen[1]["path"]


def test_pages_that_took_too_long_are_read_anew_all_at_once(api, session):
    api.script += [page(["a"], more="x"), (410, {"reason": "Expired"}), page(["a", "b"])]
    assert len(session.list_page(CONFIG_MAP, "here")[0]) == 2
    assert "limit" not in api.seen[2]["path"]


def test_a_reader_with_a_patience_of_its_own_is_told_at_once(api, session):
    api.script.append((429, {"message": "busy"}, {"Retry-After": "7"}))
    with pytest.raises(kube_errors.ApiError) as refusal:
        session.list_page(CONFIG_MAP, "here", patient=False)
    assert (refusal.value.transient, refusal.value.retry_after) == (True, 7.0)
    assert session.requests == {"list": 1}


@pytest.mark.parametrize(("status", "transient"), [(0, True), (503, True), (400, False), (403, False), (410, False)])
def test_what_passes_by_itself(status, transient):
    assert kube_errors.ApiError("GET", "/x", status, {}).transient is transient


def test_a_refused_watch_says_why(api, session):
    api.script.append((403, {"reason": "Forbidden", "message": "no"}))
    with pytest.raises(kube_errors.ApiError) as refusal:
        session.stream(CONFIG_MAP, "here", {"resourceVersion": "5"}, timeout=5)
    assert refusal.value.forbidden
    assert "watch=true" in api.seen[0]["path"]
    assert session.requests == {"watch": 1}


def test_requests_of_several_threads_are_all_counted(session):
    threads = [threading.Thread(target=lambda: [session.count("get") for _turn in range(2000)]) for _one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.requests["get"] == 8000


def test_a_header_never_ends_in_a_line_end(api, session):
    session._configuration.api_key = {"authorization": "Bearer canary\n"}
    api.script.append((200, {}))
    session.get(CONFIG_MAP, "one", "here")
    assert api.seen[0]["headers"]["authorization"] == "Bearer canary"


def test_the_values_of_a_secret_that_was_read_are_known(api, session):
    known.KNOWN.open()
    api.script.append((200, {"kind": "Secret", "metadata": {"name": "s"}, "data": {"any": "Y2FuYXJ5LXZhbHVl"}}))
    session.get(SECRET, "s", "here")
    assert known.KNOWN.hide("canary-value") == "<redacted>"


def test_of_a_log_a_bounded_end_is_asked_for(api, session):
    api.script.append((200, b"one\ntwo\n"))
    assert session.pod_log("n", "p", "c", lines=20) == "one\ntwo\n"
    assert "tailLines=20" in api.seen[0]["path"]
    assert f"limitBytes={lines.MOST_READ}" in api.seen[0]["path"]


def test_of_a_log_with_long_lines_the_end_is_returned(api, session):
    api.script.append((200, b"x" * 100_000 + b"\n" + b"y" * 100_000 + b" FATAL: the end\n"))
    text = session.pod_log("n", "p", "c")
    assert text.endswith("y FATAL: the end\n")
    assert text.startswith("[cut:")
    assert len(text) < 70_000


def test_where_the_lines_are_too_long_to_reach_the_end_the_last_one_is_asked_for(api, session):
    api.script += [(200, b"x" * lines.MOST_READ), (200, b"FATAL: the end\n")]
    assert session.pod_log("n", "p", "c", lines=20) == "FATAL: the end\n"
    assert "tailLines=1&" in api.seen[1]["path"]
    assert session.requests["log"] == 2


def test_the_last_line_may_be_too_long_as_well(api, session):
    api.script += [(200, b"x" * lines.MOST_READ), (200, b"x" * lines.MOST_READ)]
    assert "the log goes on" in session.pod_log("n", "p", "c")


@pytest.mark.parametrize("answer", [(404, {}), (400, {"message": "no previous container"}), RESET])
def test_a_log_that_cannot_be_read_is_empty(api, session, answer):
    api.script.append(answer)
    assert session.pod_log("n", "p", "c", previous=True) == ""
