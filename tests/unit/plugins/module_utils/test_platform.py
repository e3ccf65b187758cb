from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _api, _platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import InputError
from kubernetes import client as kubernetes_client

from .fake_api import FakeApi

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
    return _platform.Platform({**PARAMS, **params}, _api.Session(client, check_mode=check_mode))


def live(**metadata):
    owner = [{"kind": "Backstage", "name": "dh", "uid": "b"}]
    meta = {"name": "sonataflow-platform", "namespace": "ns", "uid": "u", "ownerReferences": owner, **metadata}
    return {"metadata": meta, "spec": {"services": {"dataIndex": {}, "jobService": {}}}}


def test_a_platform_of_the_hub_is_only_read_when_nothing_is_asked_for(api):
    api.script.append((200, {"items": [live()]}))
    platform = make(api)
    platform.apply()
    assert (platform.action, platform.changed) == ("none", False)
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
        make(api, data_index={"replicas": 2}).apply()
    assert "someone" in str(caught.value)
    assert "force" not in api.seen[-1]["path"]
    assert api.seen[-1]["body"]["metadata"]["uid"] == "u"  # a platform that vanished meanwhile is not made by us


def test_an_unknown_field_is_refused_at_once_in_the_words_of_the_user(api):
    message = ".spec.services.dataIndex.podTemplate.containr: field not declared in schema"
    api.script.extend([(200, {"items": [live()]}), (200, live()), (500, {"message": message})])
    with pytest.raises(InputError) as caught:
        make(api, data_index={"pod_template": {"containr": {}}}).apply()
    assert "data_index.pod_template.containr" in str(caught.value)


def test_a_missing_api_is_named_before_anything_is_written(api):
    api.script.extend([(200, {"items": []}), (404, {})])
    with pytest.raises(InputError) as caught:
        make(api).apply()
    assert "install the Serverless Logic operator" in str(caught.value)


@pytest.mark.parametrize(("options", "changed"), [({}, False), ({"monitoring": True}, True)])
def test_check_mode_predicts_only_what_we_set_in_the_platform_that_the_hub_will_make(api, options, changed):
    api.script.append((404, {}))
    platform = make(api, check_mode=True, **options)
    platform.apply()
    assert platform.changed is changed


def test_workflows_keep_a_platform_from_being_removed(api):
    workflow = {"metadata": {"name": "greeting", "namespace": "ns"}}
    api.script.extend([(200, live()), (200, {"items": [workflow]})])
    with pytest.raises(InputError) as caught:
        make(api, with_workflows=False, wait=True).remove()
    assert "greeting" in str(caught.value)
