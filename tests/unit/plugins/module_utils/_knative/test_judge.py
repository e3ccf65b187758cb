"""Decisions about KnativeServing and KnativeEventing."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative.judge import EVENTING, SERVING
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.gone import judge_gone

from tests.recorded import load


def knative(namespace: str = "knative-eventing", name: str = "knative-eventing", **more: Any) -> dict[str, Any]:
    return {"kind": "KnativeEventing", "metadata": {"namespace": namespace, "name": name, "generation": 1}, **more}


def test_the_recorded_ready_one_is_ready() -> None:
    (obj,) = load("serverless/ke-ready.yaml")
    verdict = knative_judge.judge(EVENTING, obj)
    assert (verdict.state, verdict.message) == ("ready", "version 1.17")


def test_the_recorded_webhook_error_is_progress() -> None:
    obj = load("logic-operator/i-serving-webhook-error.yaml")[0]
    verdict = knative_judge.judge(SERVING, obj)
    assert (verdict.state, verdict.reason) == ("pending", "Error")
    assert "failed calling webhook" in verdict.message


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (None, "NotCreated"),
        (knative(), "NoStatus"),
        (knative(status={"observedGeneration": 0, "conditions": [{"type": "Ready", "status": "True"}]}), "NotObserved"),
        ({"metadata": {"deletionTimestamp": "now"}, "status": {"conditions": []}}, "Deleting"),
        (knative(status={"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False"}]}), "NotReady"),
    ],
)
def test_not_ready(obj: dict[str, Any] | None, reason: str) -> None:
    verdict = knative_judge.judge(EVENTING, obj)
    assert (verdict.state, verdict.reason) == ("pending", reason)


def test_a_skipped_minor_fails_after_a_grace() -> None:
    conditions = [{"type": "VersionMigrationEligible", "status": "False", "message": "no"}]
    verdict = knative_judge.judge(EVENTING, knative(status={"observedGeneration": 1, "conditions": conditions}))
    assert verdict.state == "failed"
    assert verdict.grace > 0


def test_ready_being_deleted_is_not_ready() -> None:
    (obj,) = load("serverless/ke-ready.yaml")
    obj["metadata"]["deletionTimestamp"] = "2026-11-23T16:00:00Z"
    assert knative_judge.judge(EVENTING, obj).state == "pending"
    assert "knative-eventing-openshift" in judge_gone(obj).message


def test_webhook_needs_a_ready_replica_of_its_generation() -> None:
    deployment: dict[str, Any] = {"metadata": {"generation": 2}, "status": {}}
    assert knative_judge.judge_webhook(None).reason == "NotCreated"
    assert knative_judge.judge_webhook(deployment).state == "pending"
    available = [{"type": "Available", "status": "True"}]
    deployment["status"] = {"conditions": available, "readyReplicas": 1, "observedGeneration": 1}
    assert knative_judge.judge_webhook(deployment).state == "pending"
    deployment["status"]["observedGeneration"] = 2
    assert knative_judge.judge_webhook(deployment).state == "ready"


def test_one_in_the_wrong_place_is_named_with_the_way_out() -> None:
    found = [knative(), knative("elsewhere", "ke2")]
    assert knative_judge.find(EVENTING, found) is found[0]
    (problem,) = knative_judge.misplaced(EVENTING, found)
    assert "ke2" in problem
    assert "-n elsewhere" in problem
    assert "scale Deployment knative-openshift to 0" in problem


def test_removal_is_refused_while_somebody_needs_it() -> None:
    users = [{"kind": "Broker", "metadata": {"namespace": "a", "name": f"b{number}"}} for number in range(7)]
    (problem,) = knative_judge.removal_problems(EVENTING, users)
    assert "7 Broker(s)" in problem
    assert problem.count("a/b") == 5
    assert knative_judge.removal_problems(EVENTING, []) == []


def test_differences_name_paths() -> None:
    live = {"a": {"b": 1, "c": 2}, "l": [1]}
    assert knative_judge.differences(live, {"a": {"b": 1}}) == []
    assert knative_judge.differences(live, {"a": {"b": 2, "d": 1}, "l": [2]}) == ["spec.a.b", "spec.a.d", "spec.l"]


def broker(*conditions: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    found = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    return {"metadata": {"name": "b", "namespace": "home"}, "status": {"conditions": found} if found else {}, **more}


@pytest.mark.parametrize(
    ("reason", "state", "expected"),
    [
        ("cannot obtain Kafka cluster admin, kafka: client has run out of available brokers to talk to: dial tcp: "
         "lookup kafka on 10.255.255.53:53: no such host", "pending", "KafkaUnreachable"),
        ("unable to rebuild topic config, failed to get configmap home/nosuch", "failed", "ObjectMissing"),
        ("unable to build topic config from configmap: error validating topic config from configmap invalid "
         "configuration - numPartitions: 10 - bootstrapServers: []", "failed", "InvalidConfig"),
        ("cannot obtain Kafka cluster admin, protocol FOO unsupported (key: protocol)", "failed", "InvalidConfig"),
        ("cannot obtain Kafka cluster admin, [protocol SASL_PLAINTEXT] SASL user required (key: user)", "failed",
         "InvalidConfig"),
        ("something else", "pending", "BrokerNotReady"),
    ],
)  # fmt: skip
def test_brokers_tell_in_the_reason_of_their_conditions(reason: str, state: str, expected: str) -> None:
    verdict = knative_judge.judge_broker(broker(("TopicReady", "Unknown", ""), ("ConfigParsed", "False", reason)))
    assert (verdict.state, verdict.reason) == (state, expected)
    assert verdict.message.startswith(f"ConfigParsed: {reason[:20]}")
    assert verdict.remedy


def test_the_first_condition_that_is_false_counts() -> None:
    found = broker(("ProbeSucceeded", "False", "NotReady"), ("TopicReady", "False", "Failed to create topic: t"))
    assert knative_judge.judge_broker(found).reason == "TopicRefused"
    found = broker(("ConfigParsed", "Unknown", "connection refused"), ("TopicReady", "False", "Failed to create topic"))
    assert knative_judge.judge_broker(found).reason == "TopicRefused"


def test_a_broker_that_is_ready_or_silent_or_going() -> None:
    ready = broker(("Ready", "True", ""))
    assert knative_judge.judge_broker(ready).state == "ready"
    assert knative_judge.judge_broker(broker()).reason == "NoStatus"
    ready["metadata"]["deletionTimestamp"] = "now"
    assert knative_judge.judge_broker(ready).reason == "Deleting"
