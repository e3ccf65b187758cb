from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import errors as kube_errors
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import objects as kube_objects
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import session as kube_session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import flow as platform_flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import ownership, refusals, write
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Patch, Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.remove import remove
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.repairs import Repairs, is_reverted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.watch import Watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import source as wait_source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import world as wait_world
from kubernetes import client as kubernetes_client

from ..fake_api import FakeApi

PARAMS = {
    "name": "sonataflow-platform",
    "namespace": "ns",
    "managed_by": "hub",
    "hub_name": "dh",
    "database": None,
    "wait_timeout": 60,
}


@pytest.fixture
def api():
    fake = FakeApi()
    yield fake
    assert not fake.script, f"answers nobody asked for: {fake.script}"
    fake.close()


def make(api, check_mode=False, **params):
    client = kubernetes_client.ApiClient(kubernetes_client.Configuration(host=api.url))
    session = kube_session.Session(client, check_mode=check_mode)
    module = SimpleNamespace(params={**PARAMS, **params}, _diff=True, warnings=[])
    module.warn = module.warnings.append
    return Platform(Call(module, session, lambda *_object: None))


def diff(platform):
    return platform.call.result()["diff"]


def live(**metadata):
    owner = [{"kind": "Backstage", "name": "dh", "uid": "b"}]
    meta = {"name": "sonataflow-platform", "namespace": "ns", "uid": "u", "ownerReferences": owner, **metadata}
    return {"metadata": meta, "spec": {"services": {"dataIndex": {}, "jobService": {}}}}


def test_a_platform_of_the_hub_is_only_read_when_nothing_is_asked_for(api):
    api.script.append((200, {"items": [live()]}))
    platform = make(api)
    platform_flow.prepare(platform)
    assert (platform.action, platform.call.changed) == ("none", False)
    assert [request["method"] for request in api.seen] == ["GET"]


def test_a_foreign_field_is_named_and_not_taken(api):
    cause = {
        "reason": "FieldManagerConflict",
        "field": ".spec.services.dataIndex.podTemplate.replicas",
        "message": 'conflict with "someone"',
    }
    answer = {"reason": "Conflict", "message": "conflict", "details": {"causes": [cause]}}
    api.script.extend([(200, {"items": [live()]}), (200, live()), (409, answer)])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api, data_index={"replicas": 2}))
    assert "someone" in str(caught.value)
    assert "force" not in api.seen[-1]["path"]
    assert api.seen[-1]["body"]["metadata"]["uid"] == "u"  # a platform that vanished meanwhile is not made by us


def test_an_unknown_field_is_refused_at_once_in_the_words_of_the_user(api):
    message = ".spec.services.dataIndex.podTemplate.containr: field not declared in schema"
    api.script.extend([(200, {"items": [live()]}), (200, live()), (500, {"message": message})])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api, data_index={"pod_template": {"containr": {}}}))
    assert "data_index.pod_template.containr" in str(caught.value)


def test_a_missing_api_is_named_before_anything_is_written(api):
    api.script.extend([(200, {"items": []}), (404, {})])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api))
    assert "install the Serverless Logic operator" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (403, 'admission webhook "no.example.com" denied the request: never', "never"),
        (422, "ValidatingAdmissionPolicy 'no' with binding 'no' denied request: never", "never"),
        (500, 'Internal error occurred: failed calling webhook "no.example.com": refused', "webhook's pod must answer"),
    ],
)
def test_who_keeps_a_platform_from_being_written_is_named(api, status, message, told):
    answer = {"reason": "Any", "message": message}
    api.script.extend([(200, {"items": [live()]}), (200, live()), (status, answer)])
    platform = make(api, data_index={"replicas": 2})
    platform.session.deadline = 0.0  # nothing is tried again
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(platform)
    assert "SonataFlowPlatform ns/sonataflow-platform" in str(caught.value)
    assert told in str(caught.value)
    assert "credentials" not in str(caught.value)


def test_what_looks_like_a_secret_is_not_in_the_diff(api):
    before, env = live(), [{"name": "PASSWORD", "value": "canary"}]
    after = {**before, "spec": {"services": {"dataIndex": {"podTemplate": {"container": {"env": env}}}}}}
    platform = make(api)
    platform.call.record(str(platform), before, after)
    (shown,) = diff(platform)
    assert "canary" not in str(shown)
    assert shown["after"]["spec"] != shown["before"]["spec"]
    assert shown["after_header"] == "SonataFlowPlatform ns/sonataflow-platform"


@pytest.mark.parametrize(("options", "changed"), [({}, False), ({"monitoring": True}, True)])
def test_check_mode_predicts_only_what_we_set_in_the_platform_that_the_hub_will_make(api, options, changed):
    api.script.extend([(404, {}), (404, {})])
    platform = make(api, check_mode=True, **options)
    platform_flow.prepare(platform)
    assert platform.call.changed is changed


OURS = {"labels": {kube_objects.CREATED_LABEL: "true"}, "ownerReferences": []}


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("found", "whose"),
    [
        (live(), "the Backstage dh owns it"),
        (live(**{**OURS, "ownerReferences": live()["metadata"]["ownerReferences"]}), "the Backstage dh owns it"),
        (live(ownerReferences=[]), "this collection did not create it"),
    ],
)
def test_a_platform_of_others_is_not_removed_unasked(api, check_mode, found, whose):
    api.script.append((200, found))
    platform = make(api, check_mode=check_mode, delete_adopted=False, wait=True)
    remove(platform)
    assert platform.call.changed is False
    assert platform.action == "kept"
    assert platform.call.module.warnings == [
        f"SonataFlowPlatform ns/sonataflow-platform stays: {whose} (delete_adopted removes it)."
    ]
    assert [request["method"] for request in api.seen] == ["GET"]


@pytest.mark.parametrize(("found", "adopted"), [(live(), True), (live(**OURS), False)])
def test_what_is_ours_or_asked_for_is_removed(api, found, adopted):
    api.script.extend([(200, found), (200, {"items": []}), (200, {}), (200, {"items": []})])
    platform = make(api, delete_adopted=adopted, with_workflows=False, wait=False)
    remove(platform)
    assert platform.call.changed is True
    assert api.seen[2]["method"] == "DELETE"
    assert api.seen[2]["body"]["preconditions"] == {"uid": "u"}


def test_workflows_keep_a_platform_from_being_removed(api):
    workflow = {"metadata": {"name": "greeting", "namespace": "ns"}}
    api.script.extend([(200, live(**OURS)), (200, {"items": [workflow]})])
    with pytest.raises(InputError) as caught:
        remove(make(api, delete_adopted=False, with_workflows=False, wait=True))
    assert "greeting" in str(caught.value)


@pytest.mark.parametrize("check_mode", [False, True])
def test_another_version_of_the_api_is_named(api, check_mode):
    crd = {
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
        "spec": {"versions": [{"name": "v2", "served": True}, {"name": "v1", "served": False}]},
    }
    api.script.extend([(200, {"items": []}), (200, crd)])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api, check_mode=check_mode))
    assert "is served as v2 here, not as v1alpha08" in str(caught.value)


def test_a_platform_of_the_hub_would_be_a_duplicate_beside_another(api):
    other = live(name="first", ownerReferences=[])
    api.script.append((200, {"items": [other]}))
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api))
    assert "first" in str(caught.value)
    leaving = live(name="first", deletionTimestamp="now")
    assert ownership.ownership_problems(PARAMS, [leaving]) == []


OUR_OWN = {"managed_by": "self", "hub_name": "dh"}


@pytest.mark.parametrize(("status", "message"), [(200, ""), (404, 'namespaces "ns" not found')])
def test_check_mode_has_the_server_check_a_platform_that_is_to_be_made(api, status, message):
    api.script.extend([(200, {"items": []}), (404, {}), (404, {}), (status, {"message": message})])
    platform = make(api, check_mode=True, **OUR_OWN)
    platform_flow.prepare(platform)
    assert platform.action == "created"
    assert "dryRun=All" in api.seen[-1]["path"]


def test_a_namespace_that_is_missing_is_named(api):
    crd = {
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
        "spec": {"versions": [{"name": "v1alpha08", "served": True}]},
    }
    missing = (404, {"message": 'namespaces "ns" not found'})
    api.script.extend([(200, {"items": []}), (200, crd), (404, {}), missing])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api, **OUR_OWN))
    assert 'namespaces "ns" not found' in str(caught.value)


# -- a patch that was reverted ----------------------------------------------------------------------------------------


def reverted(manager):
    """The platform without our patch, and the answer when somebody holds our field now."""
    entries = [
        {"manager": "operator", "operation": "Update", "subresource": "status"},
        {"manager": manager, "operation": "Update"},
    ]
    cause = {
        "reason": "FieldManagerConflict",
        "field": ".spec.services.dataIndex",
        "message": f'conflict with "{manager}"',
    }
    answer = {"reason": "Conflict", "message": "conflict", "details": {"causes": [cause]}}
    return live(managedFields=entries), (409, answer)


def patched(api):
    """A platform of which a patch was sent some seconds ago."""
    platform = make(api, data_index={"replicas": 2})
    platform.body = platform_spec.desired(platform.params, None, {})
    platform.patch = Patch(0.0, {}, 0.0)
    return platform


def again(platform, found):
    Repairs(platform).apply_again(platform.patch, found, 100.0)


def test_a_reverted_patch_is_sent_again_by_force_only_over_the_operator(api):
    found, answer = reverted("operator")
    api.script.extend([answer, (200, {})])
    again(patched(api), found)
    assert ["force=true" in request["path"] for request in api.seen] == [False, True]


def test_a_removal_that_was_reverted_is_repeated_unless_the_platform_has_changed(api):
    platform = patched(api)
    platform.patch.removed = {"eventing": {"broker": {}}}
    found = live(resourceVersion="7")
    found["spec"]["eventing"] = {"broker": {}}
    assert is_reverted(platform, found)
    api.script.append((200, {}))
    again(platform, found)
    assert api.seen[-1]["body"] == {"metadata": {"resourceVersion": "7"}, "spec": {"eventing": None}}


def test_a_reverted_patch_is_not_taken_from_anybody_else(api):
    found, answer = reverted("someone")
    api.script.append(answer)
    with pytest.raises(InputError) as caught:
        again(patched(api), found)
    assert "someone" in str(caught.value)
    assert len(api.seen) == 1


# -- another database -------------------------------------------------------------------------------------------------

EXTERNAL = {"host": "pg.example.com", "name": "orch", "secret": {"name": "db"}}
SELF = {"managed_by": "self", "hub_name": "dh", "database": EXTERNAL, "with_workflows": False}
SECRET = {"data": {"POSTGRES_USER": "dQ==", "POSTGRES_PASSWORD": "cA=="}}
NOTHING_UNFINISHED = (200, {"data": {"ProcessInstances": []}})


def on_hub(**metadata):
    """The platform of a Hub, on the Hub's own PostgreSQL."""
    found = live(resourceVersion="7", **metadata)
    database = database_options.hub_database("dh", "ns")
    for field, service in (("dataIndex", "data_index"), ("jobService", "job_service")):
        persistence = {"postgresql": database.persistence("sonataflow-platform", service)}
        found["spec"]["services"][field] = {"persistence": persistence}
    return found


RELEASED = {"ownerReferences": [], "annotations": {"rhdh.orchestrator/released-by": "dh"}}


def test_a_platform_that_a_hub_still_manages_is_not_taken(api):
    api.script.extend([(200, {"items": [on_hub()]}), (200, SECRET)])
    with pytest.raises(InputError) as caught:
        platform_flow.prepare(make(api, **SELF))
    assert "orchestrator.platform: self" in str(caught.value)


def test_check_mode_predicts_that_the_hub_lets_go_first(api, monkeypatch):
    api.script.extend([(200, {"items": [on_hub()]}), (200, SECRET), NOTHING_UNFINISHED])
    api.script.append((404, {}))  # the Secret of the Hub
    platform = make(api, check_mode=True, **SELF)
    monkeypatch.setattr(platform_flow, "predict", lambda _platform, _live: None)
    platform_flow.prepare(platform)
    assert platform.action == "patched"
    assert platform.after["spec"]["services"]["dataIndex"]["persistence"]["postgresql"]["jdbcUrl"]
    assert {request["method"] for request in api.seen} == {"GET", "POST"}
    assert "would leave their data in backstage-psql-dh.ns.svc:5432" in platform.call.module.warnings[0]


def test_the_database_of_a_platform_that_was_let_go_of_is_replaced_in_one_request(api):
    platform = make(api, **SELF)
    platform.body = platform_spec.desired(platform.params, refusals.wanted_database(platform), {})
    found = on_hub(**RELEASED)
    kind = k.SONATAFLOW_PLATFORM
    written = {"apiVersion": kind.api_version, "kind": kind.kind, **found, "spec": platform.body["spec"]}
    stale = (409, {"reason": "Conflict", "message": "the object has been modified"})
    api.script.extend([stale, (200, {**found, "metadata": {**found["metadata"], "resourceVersion": "8"}})])
    api.script.extend([(200, written)] * 3)  # the patch, and what applying reads and would change
    write.ensure(platform, found)
    patch = api.seen[2]["body"]
    assert patch["metadata"] == {"resourceVersion": "8", "annotations": {"rhdh.orchestrator/released-by": None}}
    for service in ("dataIndex", "jobService"):
        postgresql = patch["spec"]["services"][service]["persistence"]["postgresql"]
        assert postgresql["serviceRef"] is None
        assert postgresql["secretRef"]["name"] == "db"
        assert postgresql["jdbcUrl"].startswith("jdbc:postgresql://pg.example.com:5432/orch?")
    assert platform.action == "patched"


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        ([(200, {"data": {"ProcessInstances": [{"id": "1"}]}})], "1 workflow instance(s) have not ended"),
        ([(503, {}), (200, {"items": [{"metadata": {"name": "w"}}]})], "workflows may have not ended"),
        ([(503, {}), (200, {"items": []})], ""),
        ([NOTHING_UNFINISHED], ""),
    ],
)
def test_unfinished_workflows_are_not_left_behind(api, answers, part):
    api.script.extend(answers)
    platform = make(api, **SELF)
    problems = refusals.move_problems(platform, on_hub(**RELEASED), refusals.wanted_database(platform))
    assert (part in problems[0]) if part else problems == []
    assert "nothing is copied" in platform.call.module.warnings[0]


def test_a_platform_without_services_has_nothing_to_leave(api):
    bare = on_hub(**RELEASED)
    bare["spec"] = {}
    platform = make(api, **SELF)
    assert refusals.move_problems(platform, bare, refusals.wanted_database(platform)) == []
    assert platform.call.module.warnings == []


def test_unfinished_workflows_may_be_given_up(api):
    platform = make(api, **{**SELF, "with_workflows": True})
    assert refusals.move_problems(platform, on_hub(**RELEASED), refusals.wanted_database(platform)) == []


@pytest.mark.parametrize(("manager", "owner", "forced"), [("backstage-controller", [], True), ("someone", [], False)])
def test_only_fields_of_a_hub_that_let_go_are_taken_by_force(api, manager, owner, forced):
    _found, answer = reverted(manager)
    platform = make(api, **SELF)
    platform.body = platform_spec.desired(platform.params, refusals.wanted_database(platform), {})
    found = on_hub(ownerReferences=owner)
    api.script.extend([(200, found), answer])  # read, tried without force
    if forced:
        api.script.extend([(200, found), (200, found)])
        write.apply(platform, found)
    else:
        with pytest.raises(kube_errors.ApiError):
            write.apply(platform, found)
    assert ["force=true" in request["path"] for request in api.seen][-1] is forced


def test_a_hub_that_takes_our_platform_over_is_named(api):
    snapshot = wait_world.Snapshot({wait_source.Source(k.SONATAFLOW_PLATFORM, "ns"): {
        ("ns", "sonataflow-platform"): on_hub()}}, set())  # fmt: skip
    verdict = Watch(make(api, **SELF)).judge_objects(snapshot)["owner"]
    assert verdict.reason == "TakenOver"
    assert "dh" in verdict.message
