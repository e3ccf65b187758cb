"""Causes in what real operators left behind: the facts in tests/recorded."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import reader, steps
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import jobs as job_states
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import pods as pod_states
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import rollout

from tests.recorded import load

from ..fake_cluster import KINDS, FakeCluster

Object = dict[str, t.Any]
KIND = {kind.kind: kind for kind in KINDS if kind.group != "serving.knative.dev"}
NOTHING = "tells why"
SINK = "c3-broker-ready-sinkbinding-not-ready"


def recorded(name: str) -> list[Object]:
    """Objects as a real API server held them; what was stripped from them (uids, namespaces) is put back."""
    objects = load(name)
    for obj in objects:
        obj["metadata"].setdefault("uid", f"{obj['kind']}/{obj['metadata']['name']}")
        about = obj.get("involvedObject")
        if about:
            about.setdefault("uid", f"{about['kind']}/{about['name']}")
    homes = {obj["metadata"].get("namespace") for obj in objects} | {
        broker["ref"].get("namespace") for obj in objects if (broker := _broker(obj))
    }
    known = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Namespace"}
    return objects + [{"kind": "Namespace", "metadata": {"name": home}} for home in homes - known if home]


def _broker(obj: Object) -> Object:
    return t.cast(Object, ((obj.get("spec") or {}).get("eventing") or {}).get("broker") or {})


CASES = [
    # file, kind and name (of several), what the cause says, what the remedy says
    ("olm/02-manual-a-requiresapproval", "Subscription", "", "s02man.v1.0.0 waits for approval", "Approve"),
    (
        "olm/04-a-manual-plus-automatic",
        "Subscription",
        "",
        "s04a.v1.0.0, s04b.v1.0.0 waits for approval",
        "Approve",
    ),
    ("olm/05-cat", "Subscription", "", "no operators found from catalog nosuch-catalog", "catalogsources"),
    ("olm/05-chan", "Subscription", "", "no operators found in channel nosuch", "packagemanifests"),
    ("olm/05-pkg", "Subscription", "", "no operators found in package s05nosuch", "packagemanifests"),
    ("olm/05-start", "Subscription", "", "no operators found with name s05a.v9.9.9", "packagemanifests"),
    ("olm/05-image-catalog", "Subscription", "", "CatalogSource t05img/img is TRANSIENT_FAILURE", "catalog's pod"),
    ("olm/06-no", "Subscription", "", "exactly one OperatorGroup for OLM to act, it has: none", "Leave exactly one"),
    ("olm/06-two", "Subscription", "", "it has: og, og-second", "Leave exactly one"),
    ("olm/06-later", "Subscription", "", "Failed (TooManyOperatorGroups)", "Delete all but one"),
    ("olm/06-mode", "Subscription", "", "Failed (UnsupportedOperatorGroup)", "Use an OperatorGroup"),
    ("olm/06-mode-recovered", "Subscription", "", NOTHING, ""),
    ("olm/07-orphan-a-same-start", "Subscription", "", "s07a.v1.0.0 is there and belongs to no Subscription", "Delete"),
    ("olm/07-orphan-x-same-start", "Subscription", "", "s16a.v1.0.0 is there and belongs to no Subscription", "Delete"),
    ("olm/07-copied-plus-subscription-approved", "Subscription", "", "is a copy from namespace t07ans", "installation"),
    ("olm/07-copied-original-removed", "Subscription", "", "OLM will not go on", "Delete the Subscription of s07ans"),
    ("olm/08-allns-second-owner", "Subscription", "", "InterOperatorGroupOwnerConflict", "remove one of the two"),
    ("olm/09-unpack-fail", "Subscription", "", "bundle unpacking: ", "unpack Job"),
    ("olm/09-unpack-hang-annotation45s", "Subscription", "", "DeadlineExceeded", "unpack Job"),
    ("olm/10-fresh-unavailable-60s", "Subscription", "", "is Installing (InstallWaiting)", ""),
    ("olm/10-upgrade-unavailable-12m", "Subscription", "", "exceeded its progress deadline", "Deployment"),
    ("olm/10-upgrade-healed", "Subscription", "", NOTHING, ""),  # though the condition still complains
    ("olm/11-stored-version-removed", "Subscription", "", "no longer has version v1alpha1", "reset_failed_plan"),
    ("olm/11-stored-version-plan-deleted", "Subscription", "", "CRD installed alongside", "Its InstallPlan is gone"),
    ("olm/11-validation-too-strict", "Subscription", "", "[].spec.size: Required value", "reset_failed_plan"),
    ("olm/12-kube", "Subscription", "", "minKubeVersion (1.99.0)", "this cluster's Kubernetes"),
    ("olm/12-mon", "Subscription", "", "PrometheusRule not found on the cluster", "reset_failed_plan"),
    ("olm/12-rbac-b", "Subscription", "", '"resources":["configmaps"]', "Restore"),
    ("olm/12-req", "Subscription", "", "requires an operator providing an API", "Install the operator"),
    ("olm/12-req2", "Subscription", "", "nobodies.nobody.example.com: CRD is not present", "Restore"),
    ("olm/12-scoped", "Subscription", "", "cannot create re", "while OLM still tries again"),
    ("olm/13-operatorcondition-not-upgradeable", "Subscription", "", "migration running", "says not now"),
    ("olm/13-rename-b-csv-left", "Subscription", "", "provide SonataFlowClusterPlatform", "remove one"),
    (
        "olm/14-csv-only-deleted",
        "Subscription",
        "",
        "is Complete but s14a.v1.0.0 is not installed",
        "Delete the Subscr",
    ),
    (
        "olm/14-csv-only-plans-deleted",
        "Subscription",
        "",
        "is gone but s14a.v1.0.0 is not installed",
        "Delete the Subs",
    ),
    ("olm/14-namespace-terminating-olm-down", "Namespace", "", "operators.coreos.com/csv-cleanup", "Install it"),
    ("logic-operator/a-platform-ready", "SonataFlowPlatform", "", NOTHING, ""),
    ("logic-operator/b-crashloop", "SonataFlowPlatform", "", "crashes", "Repair what its log says"),
    ("logic-operator/b-secret-missing", "SonataFlowPlatform", "", "Secret db-secret, which it needs", "Create Secret"),
    ("logic-operator/c1-broker-no-knative-crds", "SonataFlowPlatform", "", "Job Service is not made: Broker", "Create"),
    (
        "logic-operator/c3-broker-ready-sinkbinding-not-ready",
        "SonataFlowPlatform",
        "",
        "at 0 replicas: SinkBinding",
        "",
    ),
    ("logic-operator/c6-broker-missing", "SonataFlowPlatform", "", "Broker orch-broker does not exist", "Create the"),
    (
        "logic-operator/c8-eventing-added-broker-missing",
        "SonataFlowPlatform",
        "",
        "the Job Service is not made",
        "Create",
    ),
    ("logic-operator/d-duplicated", "SonataFlowPlatform", "second", "active is another one", "Only one platform"),
    ("logic-operator/d-clusterplatform-notfound", "SonataFlowClusterPlatform", "", "PlatformNotFound", ""),
    ("logic-operator/e-hanging-operator-down", "SonataFlowPlatform", "", "held by trigger-deletion", "Install it"),
    ("logic-operator/e-hanging-operator-down", "SonataFlow", "", "held by workflow-deletion", "Install it"),
    ("logic-operator/e-namespace-stuck-sinkbinding", "Namespace", "", "has 2 resource instances", "Install it"),
    ("logic-operator/f-workflow-image-never-ready-10min", "SonataFlow", "", "ImagePullBackOff", ""),
    (
        "logic-operator/g-sf-jobfail",
        "SonataFlowPlatform",
        "",
        "failed (BackoffLimitExceeded)",
        "operator never retries it",
    ),
    ("logic-operator/g-sf-jobhang", "SonataFlowPlatform", "", "migration Job has not finished", ""),
    ("logic-operator/i-eventing-delete-operator-down", "KnativeEventing", "", "held by knativeeventings", "Install it"),
    ("logic-operator/i-serving-install-failed", "KnativeServing", "", 'no matches for kind "Gateway"', "If it lasts"),
    ("logic-operator/i-serving-webhook-error", "KnativeServing", "", "failed calling webhook", "webhook's pod"),
    ("rhdh-operator/backstage-1.10-ready", "Backstage", "", NOTHING, ""),
    ("rhdh-operator/backstage-1.10-error-e-badyaml", "Backstage", "", "did not find expected", "Correct the YAML"),
    ("rhdh-operator/backstage-1.10-error-e-flavour", "Backstage", "", "flavour 'nosuch' not found", "spec.flavours"),
    ("rhdh-operator/backstage-1.10-error-e-missing-plugins", "Backstage", "", 'ConfigMap "nosuch" not found', "Create"),
    ("rhdh-operator/backstage-1.10-error-platform-invalid", "Backstage", "", "is invalid", "persistence"),
    ("rhdh-operator/backstage-1.10-sfp-crd-missing", "Backstage", "", "no matches for kind", "Serverless Logic"),
    ("rhdh-operator/backstage-1.9-external-db-secret-deleted", "Backstage", "", "Secret", "Create it"),
    ("rhdh-operator/backstage-1.10-foreground-deletion-livelock", "Backstage", "", "foregroundDeletion", "background"),
    (
        "rhdh-operator/backstage-1.10-rolling-update-stuck-deployed-true",
        "Backstage",
        "",
        "1 of the old revision left",
        "",
    ),
    ("rhdh-operator/backstage-1.10-rollout-deadline-exceeded-deployed-true", "Backstage", "", "timed out", "its pods"),
    ("rhdh-operator/backstage-1.10-scaled-to-zero", "Backstage", "", "scaled to 0 replicas", "oc scale"),
    ("serverless/ke-ready", "KnativeEventing", "", NOTHING, ""),
    ("serverless/kk-ready-source-enabled", "KnativeKafka", "", NOTHING, ""),
]


@pytest.mark.parametrize(("name", "kind", "which", "says", "remedy"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_the_cause_in_a_recording(name: str, kind: str, which: str, says: str, remedy: str) -> None:
    objects = recorded(name)
    obj = next(item for item in objects if item["kind"] == kind and which in ("", item["metadata"]["name"]))
    metadata = obj["metadata"]
    if kind == "SonataFlowPlatform":  # its Job's owner reference has the uid that the platform's recording lacks
        for job in (item for item in objects if item["kind"] == "Job"):
            metadata["uid"] = job["metadata"]["ownerReferences"][0]["uid"]
    cluster = FakeCluster(*objects)
    cause = steps.diagnose(t.cast(t.Any, cluster), KIND[kind], metadata["name"], metadata.get("namespace"))
    assert says in cause.message
    assert remedy in cause.remedy
    assert cause.command
    assert len(cause.text().splitlines()) <= 4
    assert len(cluster.asked) <= reader.MAX_REQUESTS


@pytest.mark.parametrize(
    ("name", "workload", "state", "reason"),
    [
        ("logic-operator/a-platform-ready", "sonataflow-platform-data-index-service", "ready", "Ready"),
        ("logic-operator/b-crashloop", "sonataflow-platform-data-index-service", "failed", "CrashLoopBackOff"),
        ("logic-operator/b-crashloop", "sonataflow-platform-jobs-service", "failed", "CrashLoopBackOff"),
        ("logic-operator/b-secret-missing", "sonataflow-platform-jobs-service", "failed", "CreateContainerConfigError"),
        (f"logic-operator/{SINK}", "sonataflow-platform-jobs-service", "pending", "ScaledToZero"),
        ("rhdh-operator/backstage-1.10-rolling-update-stuck-deployed-true", "backstage-dh", "pending", "RollingOut"),
        ("rhdh-operator/backstage-1.10-ready", "backstage-psql-dh", "ready", "Ready"),
    ],
)
def test_the_verdict_on_a_recorded_workload(name: str, workload: str, state: str, reason: str) -> None:
    objects = recorded(name)
    found = next(
        obj for obj in objects if obj["metadata"]["name"] == workload and "replicas" in (obj.get("spec") or {})
    )
    pods = pod_states.selected(
        (obj for obj in objects if obj["kind"] == "Pod"), found["spec"]["selector"]["matchLabels"]
    )
    verdict = rollout.workload(found, pods)
    assert (verdict.state, verdict.reason) == (state, reason)


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("logic-operator/g-sf-jobfail", "failed", "BackoffLimitExceeded"),
        ("logic-operator/g-sf-jobhang", "pending", "Running"),
        ("logic-operator/g-sf-mig", "ready", "Ready"),
    ],
)
def test_the_verdict_on_a_recorded_job(name: str, state: str, reason: str) -> None:
    (found,) = [obj for obj in recorded(name) if obj["kind"] == "Job"]
    verdict = job_states.job(found)
    assert (verdict.state, verdict.reason) == (state, reason)
    if state == "failed":
        assert job_states.job(None, (), found).reason == "FailedAndDeleted"
