"""sonataflow_platform where everybody else misbehaves: each ends with the deepest cause and what to do about it."""

from __future__ import annotations

import typing as t

import pytest

from .platforms import (
    NAME,
    PLATFORM,
    SHORT,
    SIMULATE,
    SIMULATED,
    Object,
    PlatformCluster,
    condition,
    ended,
    fooled,
    naive_ready,
    ok,
)

pytestmark = pytest.mark.sandbox("installed")
JOBS = f"{NAME}-jobs-service"


def test_services_that_crash_for_a_reason_of_their_own(cluster: PlatformCluster, namespace: str) -> None:
    reason = "java.lang.NoClassDefFoundError: io/quarkus/arc/Missing"
    with cluster.setting(**{"services__data-index__fail": reason}):
        done = cluster.call(namespace, job_service={"image": SIMULATED}, probe=True, wait_timeout=12)
    fooled(cluster, NAME, namespace, deployments=False)
    ended(done, "failed", "Last log lines: ", reason, "Repair what its log says", "oc logs")


def test_pods_that_are_ready_and_do_not_answer(cluster: PlatformCluster, namespace: str) -> None:
    """The one that was asked is named, and where it logs."""
    done = cluster.call(namespace, **SIMULATE, probe=True, wait_timeout=SHORT)
    fooled(cluster, NAME, namespace)
    ended(done, "failed", f"Unhealthy: {NAME}-data-index-service", f"oc logs deployment/{NAME}-data-index-service")
    only = {"data_index": {"enabled": False}, "job_service": {"image": SIMULATED}}
    done = cluster.call(namespace, **only, probe=True, wait_timeout=SHORT)
    ended(done, "failed", f"Unhealthy: {JOBS}", f"oc logs deployment/{JOBS} -n {namespace}")


def test_a_quota_that_leaves_room_for_one_service(cluster: PlatformCluster, namespace: str) -> None:
    cluster.create("ResourceQuota", "small", namespace, spec={"hard": {"pods": "1"}})
    cluster.until(
        "it counts", lambda: (cluster.there("ResourceQuota", "small", namespace).get("status") or {}).get("hard")
    )
    done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
    fooled(cluster, NAME, namespace, deployments=False)
    assert naive_ready([cluster.there("Deployment", f"{NAME}-data-index-service", namespace)])
    ended(
        done,
        "failed",
        f"Deployment {JOBS}",
        "exceeded quota: small",
        "Raise the quota",
        f"oc describe quota -n {namespace}",
    )
    assert done.reasons == {"ExceededQuota"}


@pytest.fixture
def policy(cluster: PlatformCluster, namespace: str) -> t.Iterator[t.Callable[[Object, str], None]]:
    """Make a policy of the test's own namespace that denies what a rule names, where an expression is not true."""
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration")
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}

    def make(rule: Object, expression: str) -> None:
        validation = {"expression": expression, "message": "the security team says no", "reason": "Forbidden"}
        rules = {"namespaceSelector": here, "resourceRules": [{"operations": ["CREATE"], **rule}]}
        cluster.create(kinds[0], namespace, spec={"matchConstraints": rules, "validations": [validation]})
        cluster.create(kinds[1], namespace, spec={"policyName": namespace, "validationActions": ["Deny"]})

    yield make
    for kind in kinds:
        cluster.delete(kind, namespace)


PLATFORMS = {"apiGroups": ["sonataflow.org"], "apiVersions": ["v1alpha08"], "resources": ["sonataflowplatforms"]}


def test_a_policy_that_denies_the_platform_is_no_lack_of_rights(
    cluster: PlatformCluster, namespace: str, policy: t.Callable[[Object, str], None]
) -> None:
    policy(PLATFORMS, "false")
    cluster.until("it is in force", lambda: cluster.call(namespace, check=True, **SIMULATE).ending == "refused")
    for check in (True, False):
        done = ended(
            cluster.call(namespace, check=check, **SIMULATE), "refused", "was refused", "the security team says no"
        )
        assert "credentials" not in done.message
    assert cluster.all(PLATFORM, namespace) == []


def test_a_policy_that_denies_the_pods_of_one_service(
    cluster: PlatformCluster, namespace: str, policy: t.Callable[[Object, str], None]
) -> None:
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    policy(pods, f"object.metadata.?labels['sonataflow.org/service'].orValue('') != '{JOBS}'")

    def denied() -> bool:
        labels, container = {"sonataflow.org/service": JOBS}, {"name": "c", "image": SIMULATED}
        try:
            cluster.create("Pod", "probe", namespace, labels=labels, spec={"containers": [container]})
        except Exception as error:
            return "says no" in str(error)
        cluster.delete("Pod", "probe", namespace)
        return False

    cluster.until("it is in force", denied)
    done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
    fooled(cluster, NAME, namespace, deployments=False)
    ended(
        done, "failed", f"Deployment {JOBS}", "the security team says no", "Change what the admission webhook or policy"
    )


@pytest.mark.usefixtures("policy")
def test_a_webhook_that_does_not_answer_is_named(cluster: PlatformCluster, namespace: str) -> None:
    webhook = {
        "name": "platforms.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"operations": ["CREATE"], **PLATFORMS}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    cluster.create("ValidatingWebhookConfiguration", namespace, webhooks=[webhook])
    check = {**SIMULATE, "wait_timeout": 2}
    cluster.until("it is in force", lambda: cluster.call(namespace, check=True, **check).ending == "refused")
    done = cluster.call(namespace, **SIMULATE, wait_timeout=3)
    ended(done, "refused", 'failed calling webhook "platforms.example.com"', "The webhook's pod must answer")


def test_the_operator_and_the_api_server_go_away_in_the_middle(cluster: PlatformCluster, namespace: str) -> None:
    """The wait goes on where it was, and ends as soon as all is well."""
    eventing = {"broker": {"name": "late", "namespace": None}}
    with cluster.calling(namespace, **SIMULATE, eventing=eventing, wait_timeout=120) as found:
        cluster.until("Data Index is there", lambda: cluster.deployments(namespace))
        with cluster.stopped("logic"):
            cluster.sandbox("fault", "apiserver-restart")
            cluster.until("it answers", lambda: cluster.broker("late", namespace))
            cluster.until("it is ready", lambda: condition(cluster.there("Broker", "late", namespace), "Ready"))
    done = ok(found[0], True)
    assert done.result["platform"]["action"] == "created"
    ok(cluster.call(namespace, **SIMULATE, eventing=eventing), False)
