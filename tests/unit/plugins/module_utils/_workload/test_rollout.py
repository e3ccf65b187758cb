"""Verdicts on workloads, Jobs and claims: success first, then what their pods say."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import claims, rollout
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import jobs as job_states
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import pods as pod_states
from hypothesis import given
from hypothesis import strategies as st

from .. import objects as o

Object = dict[str, t.Any]
SICK = o.pod(o.waiting("ImagePullBackOff", "not found"))


def test_success_is_tested_before_failure() -> None:
    ready = o.deployment(ready=1, **o.conditions(("ReplicaFailure", "True", "FailedCreate", "exceeded quota")))
    assert rollout.workload(ready, [SICK]).state == "ready"


@pytest.mark.parametrize(
    ("code", "age", "stable_for"),
    [(1, 2, 10.0), (137, -3, 10.0), (1, 11, 0.0), (0, 2, 0.0)],  # the node's clock may be ahead
)
def test_a_container_must_live_for_a_while_after_a_crash(code: int, age: int, stable_for: float) -> None:
    started = 1_767_225_600  # 2026-01-01T00:00:00Z
    again = {**o.RUNNING, "ready": True, "lastState": {"terminated": {"exitCode": code}}}
    ready = o.deployment(ready=1)
    verdict = rollout.workload(ready, [o.pod(again)], now=started + age)
    assert (verdict.state, verdict.stable_for) == ("ready", stable_for)
    assert rollout.workload(ready, [o.pod(again)]).stable_for == 0


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (None, "NotCreated"),
        (o.deployment(metadata={"deletionTimestamp": "now"}), "Deleting"),
        (o.deployment(ready=1, metadata={"deletionTimestamp": "now"}), "Deleting"),
        (o.deployment(metadata={"generation": 2}), "NotObserved"),  # the pods are those of the old generation
        (o.deployment(updatedReplicas=0), "RollingOut"),
    ],
)
def test_pods_do_not_count_before_there_are_any_of_the_wanted_revision(obj: Object | None, reason: str) -> None:
    verdict = rollout.workload(obj, [SICK])
    assert (verdict.state, verdict.reason) == ("pending", reason)


def test_only_pods_of_the_newest_revision_count() -> None:
    old = o.pod(o.crashed(), name="web-old", labels={"app": "web", "pod-template-hash": "1"})
    new = o.pod(
        o.RUNNING,
        name="web-new",
        labels={"app": "web", "pod-template-hash": "2"},
        phase="Running",
        metadata={"creationTimestamp": "2026-01-02T00:00:00Z"},
    )
    verdict = rollout.workload(o.deployment(), [old, new])
    assert (verdict.state, verdict.reason) == ("pending", "RollingOut")
    assert "readiness probe" in verdict.message
    # A replacement of an old pod may be younger than the new ones: then only the ReplicaSets tell.
    old["metadata"]["creationTimestamp"] = "2026-01-03T00:00:00Z"
    assert rollout.workload(o.deployment(), [old, new]).state == "failed"
    sets = [o.replica_set(1), o.replica_set(2), o.replica_set(9, name="other")]
    assert rollout.workload(o.deployment(), [old, new], sets).state == "pending"


def test_a_pod_that_is_going_does_not_count() -> None:
    going = o.pod(o.crashed(), metadata={"deletionTimestamp": "now"})
    assert rollout.workload(o.deployment(), [going]).reason == "RollingOut"


def test_a_stateful_set_stops_at_an_old_pod_that_is_not_healthy() -> None:
    old = o.pod(o.crashed(), labels={"app": "web", "controller-revision-hash": "old"})
    found = o.deployment(kind="StatefulSet", updateRevision="new")
    assert rollout.workload(found, [old]).reason == "CrashLoopBackOff"
    new = o.pod(o.RUNNING, name="web-0", labels={"app": "web", "controller-revision-hash": "new"})
    assert rollout.workload(found, [old, new]).state == "pending"


def test_a_daemon_set_counts_nodes() -> None:
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 2}
    found = {"kind": "DaemonSet", "metadata": o.meta("ds"), "spec": {}, "status": status}
    pod = o.pod(o.waiting("InvalidImageName"), labels={"controller-revision-hash": "x"})
    assert rollout.workload(found).message == "1 of 2 pods ready, 2 updated"
    assert rollout.workload(found, [pod]).reason == "InvalidImageName"
    status["numberReady"] = 2
    assert rollout.workload(found, [pod]).state == "ready"


def test_the_condition_of_the_replica_set_counts_before_its_deployment_repeats_it() -> None:
    sets = [o.replica_set(1, **o.conditions(("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small")))]
    assert rollout.workload(o.deployment(), [], sets).reason == "ExceededQuota"
    sets.append(o.replica_set(2))  # of a newer revision, which has no trouble
    assert rollout.workload(o.deployment(), [], sets).reason == "RollingOut"


def test_a_deployment_over_its_deadline_may_go_on_while_an_init_container_runs() -> None:
    late = o.deployment(**o.conditions(("Progressing", "False", "ProgressDeadlineExceeded", "timed out")))
    assert rollout.workload(late).state == "failed"
    busy = o.pod(o.waiting("PodInitializing"), init=(o.RUNNING,))
    assert rollout.workload(late, [busy]).state == "pending"


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (
            o.container({"running": {}}, lastState={"terminated": {"exitCode": 0}}, restartCount=3),
            "pod/CrashLoopBackOff",
        ),
        (o.container({"terminated": {"exitCode": 1}}), "pod/CrashLoopBackOff"),
        (o.container({"terminated": {"exitCode": 0, "reason": "Completed"}}), "pod/NotReady"),
        # It crashed once, and what keeps it from starting now is something else.
        (
            o.waiting("ImagePullBackOff", lastState={"terminated": {"exitCode": 1}}, restartCount=1),
            "pod/ImagePullBackOff",
        ),
        (o.container({"running": {}}), "pod/NotReady"),
        (o.container({"waiting": {"reason": "PodInitializing"}}), "pod/Initializing"),
        (o.container({}), "pod/ContainerCreating"),
    ],
)
def test_states_of_a_container(item: Object, key: str) -> None:
    found = pod_states.finding(o.pod(item, phase="Running"))
    assert found is not None
    assert found.key == key


def test_the_worst_container_of_a_pod_counts() -> None:
    found = pod_states.finding(o.pod(o.waiting("ContainerCreating"), o.waiting("ErrImagePull", name="side")))
    assert found is not None
    assert "container side" in found.message


def test_init_containers_that_are_done_are_no_trouble() -> None:
    done = o.container({"terminated": {"exitCode": 0}}, name="setup", ready=True)
    restarted = o.container({"terminated": {"exitCode": 0}}, name="again", restartCount=2)
    found = pod_states.finding(o.pod(o.RUNNING, init=(done, restarted)))
    assert found is not None
    assert found.key == "pod/NotReady"


def test_ready_and_finished_pods_have_no_finding() -> None:
    ready = o.container({"running": {}}, ready=True, lastState={"terminated": {"exitCode": 1}}, restartCount=1)
    assert pod_states.finding(o.pod(ready, phase="Running", **o.conditions(("Ready", "True")))) is None
    assert (
        pod_states.finding(o.pod(o.container({"terminated": {"exitCode": 0}}, ready=True), phase="Succeeded")) is None
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('secret "db" not found', ("Secret", "db", "")),
        ('Error: configmap "settings" not found', ("ConfigMap", "settings", "")),
        ("couldn't find key PASSWORD in Secret home/db", ("Secret", "db", "PASSWORD")),
        ('MountVolume.SetUp failed for volume "ca" : secrets "ca" not found', ("Secret", "ca", "")),
        ("simulated", None),
    ],
)
def test_messages_name_what_is_missing(message: str, expected: tuple[str, str, str] | None) -> None:
    assert pod_states.missing_object(message) == expected


# -- Jobs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "last", "state", "reason"),
    [
        (o.job(("Complete", "True")), None, "ready", "Ready"),
        (o.job(("Complete", "True"), deletionTimestamp="now"), None, "ready", "Ready"),
        (o.job(deletionTimestamp="now"), None, "pending", "Deleting"),
        (o.job(("Failed", "False")), None, "pending", "Running"),
        (o.job(), o.job(("Failed", "True")), "pending", "Running"),  # made again since
        (None, None, "pending", "NotCreated"),
        (None, o.job(("Complete", "True")), "ready", "Ready"),
        (None, o.job(("Failed", "True", "DeadlineExceeded", "was active too long")), "failed", "FailedAndDeleted"),
        (None, o.job(), "pending", "JobGone"),
    ],
)
def test_jobs(job: Object | None, last: Object | None, state: str, reason: str) -> None:
    verdict = job_states.job(job, (), last)
    assert (verdict.state, verdict.reason) == (state, reason)


def test_a_deleted_job_tells_why_it_failed_and_where_its_events_are() -> None:
    verdict = job_states.job(None, (), o.job(("Failed", "True", "DeadlineExceeded", "was active too long")))
    assert "DeadlineExceeded" in verdict.message
    assert "was active too long" in verdict.message
    assert "involvedObject.name=work" in verdict.remedy


@pytest.mark.parametrize(
    ("pod", "state", "reason"),
    [
        (o.job_pod(o.waiting("ImagePullBackOff")), "failed", "ImagePullBackOff"),
        (
            o.job_pod(o.waiting("CreateContainerConfigError", 'secret "db" not found')),
            "failed",
            "CreateContainerConfigError",
        ),
        # The Job counts these by itself, and ends by its own limits.
        (o.job_pod(o.crashed()), "pending", "Running"),
        (o.job_pod(o.container({"terminated": {"exitCode": 1}}), phase="Failed"), "pending", "Running"),
        (o.job_pod(o.waiting("ImagePullBackOff"), name="other"), "pending", "Running"),
    ],
)
def test_a_job_stops_on_what_it_would_hang_on(pod: Object, state: str, reason: str) -> None:
    verdict = job_states.job(o.job(), [pod])
    assert (verdict.state, verdict.reason) == (state, reason)


def test_claims() -> None:
    assert claims.claim(None).reason == "NotCreated"
    claim = {"metadata": o.meta("data"), "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}
    assert claims.claim(claim).message == "is Pending, storage class fast"
    claim["status"]["phase"] = "Bound"
    assert claims.claim(claim).state == "ready"
    claim["metadata"]["deletionTimestamp"] = "now"
    assert claims.claim(claim).reason == "Deleting"


# -- any pod ----------------------------------------------------------------------------------------------------------

reasons = st.sampled_from(
    ["", "CrashLoopBackOff", "ErrImagePull", "PodInitializing", "CreateContainerConfigError", "New"]
)
ends = st.one_of(st.none(), st.fixed_dictionaries({"exitCode": st.integers(0, 255)}))
states = st.one_of(
    st.just({}),
    st.just({"running": {}}),
    st.builds(lambda reason: {"waiting": {"reason": reason}}, reasons),
    st.builds(lambda code: {"terminated": {"exitCode": code}}, st.integers(0, 255)),
)
containers = st.builds(
    lambda state, last, ready, restarts: o.container(
        state, ready=ready, restartCount=restarts, lastState={"terminated": last} if last else {}
    ),
    states,
    ends,
    st.booleans(),
    st.integers(0, 3),
)


@given(
    st.lists(containers, max_size=3),
    st.lists(containers, max_size=2),
    st.sampled_from(["Pending", "Running", "Failed"]),
)
def test_no_pod_is_too_odd(main: list[Object], init: list[Object], phase: str) -> None:
    pod = o.pod(*main, init=tuple(init), phase=phase)
    found = pod_states.finding(pod)
    assert found is None or (found.key.startswith("pod/") and found.remedy and found.message)
    assert rollout.workload(o.deployment(), [pod]).state in ("pending", "failed")
    assert rollout.workload(o.deployment(ready=1), [pod]).state == "ready"
