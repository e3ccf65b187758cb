"""What the demonstration counts and believes, without a cluster."""

from __future__ import annotations

import json

from sandbox import audit, demo, proof

CSV = {"metadata": {"uid": "u1"}, "spec": {"install": {"spec": {"deployments": [{"name": "manager"}]}}}}


def event(verb, uri, resource, user="sandbox-admin", subresource="", stage="ResponseComplete"):
    reference = {"resource": resource, "subresource": subresource}
    return {"stage": stage, "verb": verb, "requestURI": uri, "user": {"username": user}, "objectRef": reference}


def deployment(owner, available):
    return {
        "metadata": {"name": "manager", "ownerReferences": [{"uid": owner}]},
        "status": {"availableReplicas": available},
    }


def test_only_finished_requests_of_people_after_the_mark_are_counted(tmp_path):
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(event("create", "/before", "secrets")) + "\n", encoding="utf-8")
    mark = audit.mark(log)
    events = [
        event("get", "/a", "pods"),
        event("patch", "/b", "pods"),
        event("patch", "/c", "pods", user="somebody"),
        event("create", "/d", "pods", stage="RequestReceived"),
    ]
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(item) + "\n" for item in events)
        stream.write('{"half":')
    counted = audit.count(audit.requests(log, mark))
    assert counted == {"total": 2, "verbs": {"get": 1, "patch": 1}, "mutating": ["patch /b"]}


def test_a_mark_within_a_line_that_was_being_written_counts_from_the_next_line(tmp_path):
    log = tmp_path / "audit.log"
    line = json.dumps(event("get", "/before", "pods")) + "\n"
    log.write_text(line[:40], encoding="utf-8")
    mark = audit.mark(log)
    log.write_text(line + json.dumps(event("patch", "/after", "pods")) + "\n", encoding="utf-8")
    assert audit.count(audit.requests(log, mark)) == {"total": 1, "verbs": {"patch": 1}, "mutating": ["patch /after"]}


def test_a_mark_from_before_a_reset_counts_the_new_log(tmp_path):
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(event("get", "/a", "pods")) + "\n", encoding="utf-8")
    assert audit.count(audit.requests(log, 10**6))["total"] == 1


def test_dry_runs_questions_and_proxied_requests_change_nothing():
    assert not audit.is_mutating(event("patch", "/x?dryRun=All", "pods"))
    assert not audit.is_mutating(event("create", "/x", "selfsubjectaccessreviews"))
    assert not audit.is_mutating(event("create", "/x", "services", subresource="proxy"))
    assert audit.is_mutating(event("delete", "/x", "pods"))


def test_a_deployment_counts_only_when_its_csv_owns_it_and_it_runs():
    assert proof.owned_deployments(CSV, [deployment("u1", 1)]) == {"manager": True}
    assert proof.owned_deployments(CSV, [deployment("other", 1)]) == {"manager": False}
    assert proof.owned_deployments(CSV, [deployment("u1", 0)]) == {"manager": False}
    assert proof.owned_deployments(CSV, []) == {"manager": False}


def test_the_tree_is_shown_indented():
    tree = {"state": "ready", "title": "all", "children": [{"state": "failed", "title": "part", "detail": "gone"}]}
    assert list(demo.tree_lines(tree)) == ["ready     all", "  failed    part (gone)"]
