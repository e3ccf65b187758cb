# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""States of pods, workloads, Jobs and claims, whoever made them. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.state import State

STATES: tuple[State, ...] = (
    # -- pods; also those of a Job while it is active
    State(
        "pod/InvalidImageName",
        5,
        "Correct the image's name.",
        "kubernetes",
        "The name cannot be parsed, so that no pull is tried.",
    ),
    State(
        "pod/ErrImageNeverPull",
        60,
        "Bring the image to the node, or use another imagePullPolicy.",
        "kubernetes",
        "The image may be being loaded just now.",
    ),
    State(
        "pod/ImagePullBackOff",
        120,
        "Check that the image exists, that the mirror and pull secret serve it, and the network.",
        "users' reports 1 and 20; kubernetes",
        "ErrImagePull and ImagePullBackOff alternate; registries recover, and mirrors are filled late.",
    ),
    State(
        "pod/CreateContainerConfigError",
        120,
        "Create the Secret, ConfigMap or key that it names; the pod goes on by itself.",
        "logic 4; hub c1",
        "The Secret is often made by an operator a moment later.",
    ),
    State(
        "pod/CreateContainerError",
        120,
        "Correct what it names in the pod's spec (command, mounts, security context).",
        "kubernetes",
        "The node tries again, and another one may do better.",
    ),
    State(
        "pod/CrashLoopBackOff",
        240,
        "Repair what its log says.",
        "logic 4; users' reports 5",
        "A late database heals by itself. Counts between two crashes too, where the container looks well.",
    ),
    State(
        "pod/OOMKilled",
        240,
        "Raise its memory limit.",
        "kubernetes",
        "As any crash.",
    ),
    State(
        "pod/Unschedulable",
        240,
        "Free or add resources, or repair the volume, selector or taint that it names.",
        "kubernetes",
        "An autoscaler may be adding a node; a volume may be bound late.",
    ),
    State(
        "pod/SchedulingGated",
        None,
        "Whoever set the scheduling gate has to take it away.",
        "kubernetes",
        "Gates are there to be removed by another controller.",
    ),
    State(
        "pod/Evicted",
        None,
        "Free the resource it names.",
        "kubernetes",
        "Its controller makes another pod.",
    ),
    State(
        "pod/Failed",
        None,
        "Read its log.",
        "kubernetes",
        "Its controller makes another pod, or ends the Job by itself.",
    ),
    State(
        "pod/NodeLost",
        None,
        "Look at its node; delete the pod by force only when the node is really off.",
        "kubernetes",
        "After five minutes the pod is replaced.",
    ),
    State(
        "pod/Terminating",
        None,
        "Look for finalizers and a node that does not answer.",
        "kubernetes",
        "It goes when its grace period is over.",
    ),
    State(
        "pod/ContainerCreating",
        None,
        "See its events: a volume, Secret or ConfigMap may be missing, or the image is big.",
        "kubernetes; serverless 15",
        "Volumes are mounted and images pulled; only events tell more.",
    ),
    State(
        "pod/Initializing",
        None,
        "Read the log of the init container.",
        "kubernetes",
        "Init containers run as long as they need.",
    ),
    State(
        "pod/NotReady",
        None,
        "Read what the container says; its readiness probe does not pass.",
        "logic rule 6",
        "Data Index and Job Service cannot be ready before 45 s.",
    ),
    # -- workloads
    State(
        "workload/ProgressDeadlineExceeded",
        60,
        "See its pods and events.",
        "logic 4; hub b3",
        "Ten minutes without progress by then. Where OLM watches over the Deployment, it is waited out (scenario 10).",
    ),
    State(
        "workload/Paused",
        30,
        "Resume it: oc rollout resume {kind}/{name} -n {namespace}.",
        "kubernetes",
        "A paused Deployment does not roll out until it is resumed.",
    ),
    State(
        "workload/ScaledToZero",
        None,
        "Scale it up: oc scale {kind}/{name} --replicas=1 -n {namespace}.",
        "logic 17, 22; hub b3",
        "Counts as available though nothing runs; the Job Service stays so until its SinkBinding is ready.",
    ),
    State(
        "workload/ExceededQuota",
        60,
        "Raise the quota, or free what uses it.",
        "users' reports 1; kubernetes",
        "Pods of the old revision may go and free it.",
    ),
    State(
        "workload/Denied",
        30,
        "Change what the admission webhook or policy objects to.",
        "serverless, rule 5; kubernetes",
        "An answer, unlike a webhook that is down: the same request gets it again.",
    ),
    State(
        "workload/PodForbidden",
        60,
        "Repair what it names: ServiceAccount, security context constraint, pod security level or LimitRange.",
        "kubernetes",
        "A ServiceAccount or a role may come a moment later.",
    ),
    State(
        "workload/WebhookDown",
        None,
        "The webhook's pod must answer, or its operator be removed.",
        "serverless 7, 19; logic 48",
        "Webhooks are called before they serve; creation of pods then backs off for up to 85 s and more.",
    ),
    State(
        "workload/FailedCreate",
        120,
        "Repair what it names.",
        "kubernetes",
        "Its controller tries again, ever more slowly.",
    ),
    # -- Jobs and claims
    State(
        "job/BackoffLimitExceeded",
        0,
        "Read its pod's log; delete the Job to have it run again.",
        "kubernetes; logic 40",
        "Failed is final for a Job.",
    ),
    State(
        "job/DeadlineExceeded",
        0,
        "Find what it waited for in its pod's events and log; delete the Job to have it run again.",
        "kubernetes; hub k4",
        "Failed is final for a Job.",
    ),
    State(
        "job/JobFailed",
        0,
        "Read its pod's log; delete the Job to have it run again.",
        "kubernetes",
        "Failed is final for a Job, whatever its reason.",
    ),
    State(
        "job/FailedAndDeleted",
        0,
        "Its events are kept for an hour: oc get events -n {namespace} --field-selector involvedObject.name={name}.",
        "hub c1, k4; users' reports 5",
        "Removed by its time to live after it had failed; the Hub operator's goes 30 s after its end.",
    ),
    State(
        "job/JobGone",
        None,
        "Its events are kept for an hour: oc get events -n {namespace} --field-selector involvedObject.name={name}.",
        "hub k3",
        "How it ended was not seen; its owner may make it again.",
    ),
    State(
        "job/Suspended",
        None,
        'Resume it: oc patch job {name} -n {namespace} -p \'{{"spec":{{"suspend":false}}}}\'.',
        "kubernetes",
        "A user, or a queue, holds it back.",
    ),
    State(
        "claim/Lost",
        10,
        "Its PersistentVolume is gone: restore the volume, or delete the claim and its data.",
        "kubernetes",
        "A lost claim never binds again.",
    ),
    State(
        "claim/Unbound",
        None,
        "Check that the storage class exists (or one is marked as default) and that its provisioner works.",
        "kubernetes",
        "Many classes bind only when the first pod needs the claim.",
    ),
)
