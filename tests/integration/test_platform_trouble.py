"""sonataflow_platform where everybody else misbehaves: each ends with the deepest cause and what to do about it."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import sandbox
from .platform_hands import (
    NAME,
    PLATFORM,
    SHORT,
    SIMULATE,
    SIMULATED,
    Hands,
    Object,
    ended,
    fooled,
    naive_ready,
    ok,
    said,
)

JOBS = f"{NAME}-jobs-service"


def test_services_that_crash_for_a_reason_of_their_own(hands: Hands, place: str) -> None:
    reason = "java.lang.NoClassDefFoundError: io/quarkus/arc/Missing"
    with hands.setting(services__data_index__fail=reason):
        done = hands.call(place, job_service={"image": SIMULATED}, probe=True, wait_timeout=12)
    fooled(hands, NAME, place, deployments=False)
    ended(done, "failed", "It said last: ", reason, "Repair what its log says", "oc logs")


def test_pods_that_are_ready_and_do_not_answer(hands: Hands, place: str) -> None:
    """The one that was asked is named, and where it logs."""
    done = hands.call(place, **SIMULATE, probe=True, wait_timeout=SHORT)
    fooled(hands, NAME, place)
    ended(done, "failed", f"Unhealthy: {NAME}-data-index-service", f"oc logs deployment/{NAME}-data-index-service")
    only = {"data_index": {"enabled": False}, "job_service": {"image": SIMULATED}}
    done = hands.call(place, **only, probe=True, wait_timeout=SHORT)
    ended(done, "failed", f"Unhealthy: {JOBS}", f"oc logs deployment/{JOBS} -n {place}")


def test_a_quota_that_leaves_room_for_one_service(hands: Hands, place: str) -> None:
    hands.create("ResourceQuota", "small", place, spec={"hard": {"pods": "1"}})
    hands.until("it counts", lambda: (hands.there("ResourceQuota", "small", place).get("status") or {}).get("hard"))
    done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
    fooled(hands, NAME, place, deployments=False)
    assert naive_ready([hands.there("Deployment", f"{NAME}-data-index-service", place)])
    ended(
        done,
        "failed",
        f"Deployment {JOBS}",
        "exceeded quota: small",
        "Raise the quota",
        f"oc describe quota -n {place}",
    )
    assert done.reasons == {"ExceededQuota"}


@pytest.fixture
def policy(hands: Hands, place: str) -> t.Iterator[t.Callable[[Object, str], None]]:
    """Make a policy of the test's own namespace that denies what a rule names, where an expression is not true."""
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration")
    here = {"matchLabels": {"kubernetes.io/metadata.name": place}}

    def make(rule: Object, expression: str) -> None:
        validation = {"expression": expression, "message": "the security team says no", "reason": "Forbidden"}
        rules = {"namespaceSelector": here, "resourceRules": [{"operations": ["CREATE"], **rule}]}
        hands.create(kinds[0], place, spec={"matchConstraints": rules, "validations": [validation]})
        hands.create(kinds[1], place, spec={"policyName": place, "validationActions": ["Deny"]})

    yield make
    for kind in kinds:
        hands.delete(kind, place)


PLATFORMS = {"apiGroups": ["sonataflow.org"], "apiVersions": ["v1alpha08"], "resources": ["sonataflowplatforms"]}


def test_a_policy_that_denies_the_platform_is_no_lack_of_rights(
    hands: Hands, place: str, policy: t.Callable[[Object, str], None]
) -> None:
    policy(PLATFORMS, "false")
    hands.until("it is in force", lambda: hands.call(place, check=True, **SIMULATE).ending == "refused")
    for check in (True, False):
        done = ended(hands.call(place, check=check, **SIMULATE), "refused", "was refused", "the security team says no")
        assert "credentials" not in done.message
    assert hands.all(PLATFORM, place) == []


def test_a_policy_that_denies_the_pods_of_one_service(
    hands: Hands, place: str, policy: t.Callable[[Object, str], None]
) -> None:
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    policy(pods, f"object.metadata.?labels['sonataflow.org/service'].orValue('') != '{JOBS}'")

    def denied() -> bool:
        labels, container = {"sonataflow.org/service": JOBS}, {"name": "c", "image": SIMULATED}
        try:
            hands.create("Pod", "probe", place, metadata={"labels": labels}, spec={"containers": [container]})
        except Exception as error:
            return "says no" in str(error)
        hands.delete("Pod", "probe", place)
        return False

    hands.until("it is in force", denied)
    done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
    fooled(hands, NAME, place, deployments=False)
    ended(
        done, "failed", f"Deployment {JOBS}", "the security team says no", "Change what the admission webhook or policy"
    )


@pytest.mark.usefixtures("policy")
def test_a_webhook_that_does_not_answer_is_named(hands: Hands, place: str) -> None:
    webhook = {
        "name": "platforms.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"operations": ["CREATE"], **PLATFORMS}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    hands.create("ValidatingWebhookConfiguration", place, webhooks=[webhook])
    check = {**SIMULATE, "wait_timeout": 2}
    hands.until("it is in force", lambda: hands.call(place, check=True, **check).ending == "refused")
    done = hands.call(place, **SIMULATE, wait_timeout=3)
    ended(done, "refused", 'failed calling webhook "platforms.example.com"', "The webhook's pod must answer")


def test_the_operator_and_the_api_server_go_away_in_the_middle(hands: Hands, place: str) -> None:
    """The wait goes on where it was, and ends as soon as all is well."""
    eventing = {"broker": {"name": "late", "namespace": None}}
    with hands.calling(place, **SIMULATE, eventing=eventing, wait_timeout=120) as found:
        hands.until("Data Index is there", lambda: hands.deployments(place))
        with hands.stopped("logic"):
            sandbox("fault", "apiserver-restart")
            hands.until("it answers", lambda: hands.broker("late", place))
            hands.until("it is ready", lambda: said(hands.there("Broker", "late", place), "Ready"))
    done = ok(found[0], True)
    assert done.result["platform"]["action"] == "created"
    ok(hands.call(place, **SIMULATE, eventing=eventing), False)
