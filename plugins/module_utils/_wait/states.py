# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one table of states that end a wait early, and of those that only look final. PRIVATE to the collection.

A row with a grace ends a wait once the state has lasted that long; a row without one is waited out until the deadline,
because it heals by itself. docs/terminal-states.md is written from this table (`make docs`).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import PENDING, Verdict


@dataclasses.dataclass(frozen=True)
class State:
    """One row: a state, how long it is borne, what to do about it, and how we know."""

    key: str  # what it is a state of, and the reason that verdicts carry
    grace: float | None  # seconds; None: it heals by itself
    remedy: str  # may name {things}, which the caller of `verdict` gives
    source: str
    why: str
    stale: float | None = None  # seconds where the same text was there before our change: conditions go stale

    @property
    def area(self) -> str:
        """What it is a state of."""
        return self.key.partition("/")[0]

    @property
    def reason(self) -> str:
        """What the verdict's reason is."""
        return self.key.partition("/")[2]

    @property
    def ends(self) -> bool:
        """Whether the state ends a wait before its deadline."""
        return self.grace is not None

    def verdict(self, message: str, *, stale: bool = False, remedy: str = "", **names: t.Any) -> Verdict:
        """Return the verdict: failed after the grace, or pending where it heals. `remedy` replaces the row's own."""
        remedy = remedy or self.remedy.format(**names)
        if self.grace is None:
            return Verdict(PENDING, self.reason, message, remedy)
        grace = self.stale if stale and self.stale is not None else self.grace
        return Verdict.failed(self.reason, message, remedy, grace)


# Sources: olm, logic, hub, serverless are what the real operators were observed to do (row or section); kubernetes is
# the documented contract of its API; source code is named as such.
_WITH_GROUP = "The CSV heals by itself 1 to 2 s after its OperatorGroup is right; a busy OLM sees that late."
_WITH_GROUP_COUNT = "It lasts while the namespace has not exactly one; then it is OperatorGroupMended."
_BUNDLE = "The bundle itself is wrong, so that no waiting changes it."
_CHANGES = "OLM heals by itself, but only once the Subscription, the catalog or the namespace changes."
_UPGRADE = "Every healthy upgrade says so for some seconds, and the text may stay after it became wrong."
STATES: tuple[State, ...] = (
    # -- OLM: ClusterServiceVersion
    State(
        "csv/UnsupportedOperatorGroup",
        5,
        "Use an OperatorGroup whose install mode the operator supports; it then heals alone.",
        "olm 2, scenario 6",
        _WITH_GROUP,
        stale=60,
    ),
    State(
        "csv/TooManyOperatorGroups",
        5,
        "Delete all but one OperatorGroup of the namespace; it then heals alone.",
        "olm D1",
        _WITH_GROUP_COUNT,
    ),
    State(
        "csv/NoOperatorGroup",
        5,
        "Create an OperatorGroup in the namespace; it then heals alone.",
        "olm D1; OLM source",
        _WITH_GROUP_COUNT,
    ),
    State(
        "csv/OperatorGroupMended",
        None,
        "Wait for OLM, which looks at the CSV again by itself, or touch the CSV (oc annotate).",
        "OLM source; seen on the sandbox, 2026-11-26",
        "OLM tries again with longer and longer pauses, up to 17 min, and a deleted OperatorGroup does not end them: "
        "we touch the CSV, which does.",
    ),
    State(
        "csv/NoTargetNamespaces",
        60,
        "Let the OperatorGroup select at least one namespace that exists.",
        "OLM source",
        "OLM says so as well for the moment before it has worked in a new OperatorGroup.",
    ),
    State(
        "csv/InterOperatorGroupOwnerConflict",
        5,
        "Another operator provides the same APIs in an intersecting OperatorGroup: remove one of the two.",
        "olm 2, scenario 8",
        "It stayed for ever while both were there.",
        stale=60,
    ),
    State(
        "csv/OwnerConflict",
        30,
        "Another operator in the namespace owns the same CRD or API: remove one of the two.",
        "OLM source",
        "OLM tries again now and then, with the same outcome while both are there.",
    ),
    State(
        "csv/CannotModifyStaticOperatorGroupProvidedAPIs",
        5,
        "The OperatorGroup has static provided APIs; use another one.",
        "OLM source",
        _WITH_GROUP,
        stale=60,
    ),
    State("csv/InvalidInstallModes", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State("csv/InvalidInstallStrategy", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State("csv/InvalidWebhookDescription", 5, "The bundle is broken: choose another version.", "OLM source", _BUNDLE),
    State(
        "csv/Copied",
        5,
        "Use the installation in namespace {origin}, or remove it before installing here.",
        "olm 2, scenario 7",
        "A copy mirrors the phase of the original and installs nothing where it is.",
    ),
    State(
        "csv/MinKubeVersion",
        5,
        "Choose a version for this cluster's Kubernetes.",
        "olm 2, scenario 12",
        "The cluster's version does not change while we wait.",
    ),
    State(
        "csv/RequirementsNotMet",
        120,
        "Restore what is missing; the CSV goes on by itself.",
        "olm D11, scenario 12",
        "Normal at the start and for a moment in an upgrade; RBAC and CRDs of other operators may still come.",
    ),
    State(
        "csv/OperatorConditionNotUpgradeable",
        None,
        "The operator itself says not now: end what it names, or override its OperatorCondition.",
        "olm 2, scenario 13",
        "Goes on 1.4 s after the operator allows it.",
    ),
    State(
        "csv/InstallCheckFailed",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm 2, scenario 10",
        "OLM tries again every 5 min, and succeeds 1.2 s after the pod is ready.",
    ),
    State(
        "csv/ComponentUnhealthy",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm D8; serverless 4",
        "Shown for a second whenever a Deployment is scaled or replaced.",
    ),
    State(
        "csv/DeploymentNotReady",
        None,
        "Repair the operator's Deployment; OLM goes on by itself.",
        "olm D10, scenario 10",
        "Succeeded does not say that the pods still run; they may come back.",
    ),
    State(
        "csv/CleanupHeld",
        120,
        "Start OLM (oc get deployments -n openshift-operator-lifecycle-manager); it takes its finalizer off.",
        "olm 2, scenario 14",
        "A running OLM takes at most 20 s, a busy one a minute; without OLM it stays for ever.",
    ),
    # -- OLM: InstallPlan, Subscription, OperatorGroup, catalog
    State(
        "plan/InstallPlanFailed",
        3,
        "Repair the cause, then reset the plan (option reset_failed_plan). Do not delete the plan: OLM does not make a "
        "new one.",
        "olm D9, scenario 11",
        "OLM has tried for 60 s by then, and never tries again by itself.",
    ),
    State(
        "plan/InstallPlanRetrying",
        None,
        "Repair what the plan names while OLM still tries again.",
        "olm 2, scenarios 11 and 12",
        "OLM tries for 60 s and then fails the plan; with a scoped OperatorGroup it goes on for many minutes.",
    ),
    State(
        "plan/WrongVersion",
        5,
        "OLM has no way to the wanted version from what is installed, or jumps over it: choose {current}, or another "
        "channel.",
        "olm 2, scenario 13",
        "The plan that OLM offers leads past the wanted version, and OLM makes no other.",
    ),
    State(
        "plan/CollateralUpgrade",
        5,
        "Name them in allow_collateral, or install {package} in a namespace of its own.",
        "olm 2, scenario 4",
        "One plan serves all Subscriptions of a namespace; approving it upgrades all of them.",
    ),
    State(
        "plan/StoredVersionDropped",
        5,
        "Write the objects anew, so that they are stored in a version that stays, then take the old one out of the "
        "CRD's status.storedVersions, and run again.",
        "olm 2, scenario 11; OLM source",
        "OLM would stop after the new CSV has replaced the old one, and never go on: so the plan is not approved.",
    ),
    State(
        "plan/ApprovalNeeded",
        5,
        "Approve it (oc patch installplan), or set manage_adopted.",
        "olm 2, scenario 2",
        "The Subscription is somebody else's, and with Manual approval OLM waits for them for ever.",
    ),
    State(
        "subscription/SubscriptionGone",
        5,
        "Run again.",
        "olm 2, scenario 3",
        "Without its Subscription nothing is installed.",
    ),
    State(
        "subscription/DeadSubscription",
        20,
        "Delete the Subscription of {package} in {namespace} and run again (option recreate_dead_subscription does "
        "so).",
        "olm D9, scenarios 7 and 14",
        "UpgradePending beside a plan that is Complete or gone, or the installed CSV was deleted while a later one was "
        "offered: OLM never makes another plan for it. A deleted pending plan looks the same until OLM has made the "
        "next: then the longer time counts.",
        stale=120,
    ),
    State(
        "subscription/BundleUnpackFailed",
        5,
        "Repair the cause (image, mirror, pull secret, quota), then delete the failed unpack Job: oc get jobs -n "
        "{catalog_namespace} -l operatorframework.io/bundle-unpack-ref. OLM retries by itself after about six minutes.",
        "olm D13, scenario 9",
        "OLM tries again only after six minutes; older ones never.",
        stale=120,
    ),
    State(
        "subscription/EnsureInstallPlanFailed",
        None,
        "",
        "olm D4, D7",
        "Noise after an approval that came a moment too early; it stays even when the install has succeeded.",
    ),
    State(
        "subscription/BundleUnpacking",
        None,
        "Look at the unpack Job: oc get jobs,pods -n {catalog_namespace} -l operatorframework.io/bundle-unpack-ref.",
        "olm 2, scenario 9",
        "Comes before the plan and stays for 15 s after success; a slow pull may take ten minutes.",
    ),
    State(
        "subscription/OperatorGroups",
        15,
        "Leave exactly one; OLM then goes on by itself.",
        "olm D1",
        "With none or two OperatorGroups OLM says and does nothing at all, for ever.",
    ),
    State(
        "subscription/NoWay",
        300,
        "Choose a channel or version that the installed one leads to, or remove the operator first (its custom "
        "resources stay).",
        "olm 0; 2, scenario 13",
        "OLM says nothing of a channel without a way; but it calls a healthy upgrade AtLatestKnown for up to 95 s as "
        "well.",
    ),
    State(
        "subscription/CatalogNotReady",
        None,
        "Repair the catalog's pod, or delete a catalog that nobody needs.",
        "olm D5, scenario 5",
        "OLM resolves nothing meanwhile and goes on by itself, up to 70 s after the catalog is back.",
    ),
    # -- OLM: the condition ResolutionFailed, by what its text says
    State(
        "resolution/CatalogUnhealthy",
        120,
        "Look at CatalogSource {catalog} and its pod; a catalog that nobody needs can be deleted.",
        "olm D4, scenario 5",
        "A catalog that comes back is READY up to 67 s later. The text stays even then, and when it was deleted, since "
        "OLM tries again with longer and longer pauses: we touch our Subscription, which ends the pause.",
        stale=300,
    ),
    State(
        "resolution/NoSuchCatalog",
        10,
        "Name one that the cluster has: oc get catalogsources -A.",
        "olm 4, rule 3",
        _CHANGES,
        stale=120,
    ),
    State(
        "resolution/NoSuchPackage",
        10,
        "Name one that the catalog has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/NoSuchChannel",
        10,
        "Name one that the package has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/NoSuchVersion",
        10,
        "Name one that the channel has: oc get packagemanifests.",
        "olm 4, rule 3",
        _CHANGES + " Counts as stale while the catalog is not READY.",
        stale=120,
    ),
    State(
        "resolution/MissingDependency",
        60,
        "Install the operator that provides this API first, or make its catalog available.",
        "olm 2, scenario 12",
        _CHANGES,
        stale=120,
    ),
    State(
        "resolution/OrphanCSV",
        60,
        "Delete ClusterServiceVersion {csv} in {namespace} (option replace_orphan does so).",
        "olm D2, scenario 7",
        _UPGRADE + " Only a CSV that no upgrade replaces and no Subscription holds is an orphan.",
        stale=120,
    ),
    State(
        "resolution/ApiConflict",
        60,
        "Two operators provide the same API: remove one of them.",
        "olm 2, scenarios 8 and 13",
        _UPGRADE,
        stale=120,
    ),
    State(
        "resolution/ConstraintsNotSatisfiable",
        60,
        "Remove what the message names.",
        "olm D2, D3",
        _UPGRADE,
        stale=120,
    ),
    State(
        "resolution/UpgradeRunning",
        None,
        "",
        "olm D2",
        "The old half of a running upgrade is called unreferenced for as long as the upgrade takes.",
    ),
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
        "Somebody may be loading the image just now.",
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
        "A paused Deployment does not roll out until somebody resumes it.",
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
        "Somebody, or a queue, holds it back.",
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
    # -- SonataFlowPlatform
    State(
        "platform/Duplicated",
        10,
        "Only one platform of a namespace is active: use that one, or delete it.",
        "logic 19",
        "It is promoted about a second after the active one has gone.",
    ),
    State(
        "platform/Deleting",
        60,
        "If it hangs, the Serverless Logic operator must run to take its finalizers off.",
        "logic 45",
        "Somebody may replace it; it says Succeed=True to the end.",
    ),
    State(
        "platform/Failure",
        60,
        "See the log of the Serverless Logic operator.",
        "logic 6",
        "Never seen on a real one; the operator tries again.",
    ),
    State(
        "platform/MigrationFailed",
        5,
        "Mend the cause (its pod's log), delete the Job {job}, and run again: it is never retried before.",
        "logic 40, 41",
        "The operator does not run the Job again until somebody deletes it.",
    ),
    State(
        "platform/GraphQL",
        90,
        "If tables are missing, restart the service: it makes them when it starts.",
        "logic rule 3",
        "A healthy Data Index may still be making its tables.",
    ),
    State(
        "platform/NotOurs",
        30,
        "Keep one Backstage with the orchestrator per namespace.",
        "hub a7",
        "Another Backstage has taken the platform, and would delete it with itself.",
    ),
    State(
        "platform/GenerationLag",
        None,
        "See the events of the platform and the log of the Serverless Logic operator.",
        "logic 5",
        "The one sign that the operator meets an error; it tries again, and a touch makes it do so at once.",
    ),
    State(
        "platform/BrokerMissing",
        None,
        "Create the Broker, or take eventing out of the platform.",
        "logic 21, 25",
        "The Job Service is not made without it. The operator watches no Brokers: we touch the platform.",
    ),
    State(
        "platform/SinkNotBound",
        None,
        "The eventing-webhook must run: oc get deployment eventing-webhook -n knative-eventing.",
        "logic 22, 27",
        "The Job Service stays at 0 replicas until then.",
    ),
    # -- Knative and Brokers
    State(
        "knative/VersionNotEligible",
        60,
        "A minor version of OpenShift Serverless was skipped: install the versions between one by one.",
        "product: Serverless upgrades",
        "The operator refuses to migrate over a minor version.",
    ),
    State(
        "knative/Error",
        None,
        "If it lasts, look at the webhook or object that the message names.",
        "logic 48; serverless 13",
        "Webhooks of the component are called before they serve: Ready came 6 s after they did.",
    ),
    State(
        "knative/NotReady",
        None,
        "Look at the Deployments that it waits for.",
        "logic 47; serverless 10",
        "Normal progress: no status for 12 to 29 s, then Deployments.",
    ),
    State(
        "broker/InvalidConfig",
        60,
        "Correct the ConfigMap or the auth Secret that the Broker uses. Its class and spec.config cannot be changed: "
        "delete the Broker and create it again for that.",
        "serverless 28, 29",
        "What it reads is wrong; it does not heal before that is changed.",
    ),
    State(
        "broker/TopicRefused",
        60,
        "Set the replication factor in KnativeKafka to at most the number of Kafka brokers; check the user's rights.",
        "serverless 27",
        "Kafka itself refused the topic; 0.4 s after a correction it is made.",
    ),
    State(
        "broker/ObjectMissing",
        180,
        "Create the ConfigMap or Secret that it names.",
        "serverless 28, 29",
        "It may be on its way.",
    ),
    State(
        "broker/KafkaUnreachable",
        None,
        "Check the bootstrap address, listener and port, and that Kafka runs.",
        "serverless 25",
        "Kafka may be starting; the controller tries again.",
    ),
    State(
        "broker/NoStatus",
        None,
        "Check the class (annotation eventing.knative.dev/broker.class, exactly Kafka), and that the bootstrap address "
        "is a listener of Kafka: a peer that is none costs two minutes.",
        "serverless 26, 30",
        "No status at all for 121 s where the peer takes connections and is no Kafka; for ever with a wrong class.",
    ),
    State(
        "broker/BrokerNotReady",
        None,
        "See the Deployments in knative-eventing: kafka-controller, kafka-broker-receiver.",
        "serverless 31",
        "Its probe is answered only once the receiver knows it.",
    ),
    # -- Backstage: the texts of reason DeployFailed. The reason by itself is never final.
    State(
        "backstage/KindNotServed",
        300,
        "Install the operator that brings it (SonataFlowPlatform: OpenShift Serverless Logic).",
        "hub c1, c2",
        "The operator tries again with growing pauses; we wake it as soon as the kind is served.",
    ),
    State(
        "backstage/ObjectMissing",
        180,
        "Create it in the namespace of the Backstage.",
        "hub 2, surprise 8",
        "It may be on its way; we wake the operator as soon as it is there.",
    ),
    State(
        "backstage/UnknownFlavour",
        30,
        "Correct spec.flavours.",
        "hub 2",
        "The operator knows its flavours from its image.",
    ),
    State(
        "backstage/BadPlugins",
        30,
        "Correct the YAML under the key dynamic-plugins.yaml.",
        "hub 2",
        "The text does not change by itself.",
    ),
    State(
        "backstage/WrongKey",
        30,
        "Put the YAML under the key dynamic-plugins.yaml, and nothing else.",
        "hub 2",
        "The ConfigMap does not change by itself.",
    ),
    State(
        "backstage/PlatformInvalid",
        60,
        "Remove spec.services.*.persistence from the platform, or take the dependency over.",
        "hub d3",
        "The operator cannot combine its fields with ours, however often it tries.",
    ),
    State(
        "backstage/DeployFailed",
        None,
        "See the message and the log of the Developer Hub operator.",
        "hub b5, c2, surprise 8",
        "The operator tries everything again, with pauses up to 17 min; we wake it every minute.",
    ),
    State(
        "backstage/DeployInProgress",
        None,
        "Look at its Deployment and pods.",
        "hub b2, b3",
        "Normal progress; on 1.9 and newer it may say Deployed while a rollout is stuck.",
    ),
    # -- Backstage: what the init container that installs plugins said last
    State(
        "installer/NoIntegrity",
        20,
        "The plugin file names a version that the operator's defaults do not have: use the coordinates of the release, "
        "or add `integrity`.",
        "hub e3; product: plugins",
        "The file does not change by itself.",
    ),
    State(
        "installer/WrongIntegrity",
        20,
        "The integrity in the plugin file belongs to another version: correct or remove it.",
        "product: plugins",
        "The file does not change by itself.",
    ),
    State(
        "installer/TooLarge",
        20,
        "Raise MAX_ENTRY_SIZE in the environment of the init container.",
        "product: known issues",
        "The package does not get smaller.",
    ),
    State(
        "installer/NoSpace",
        60,
        "Give the volume dynamic-plugins-root more room.",
        "users' reports 13",
        "Another attempt starts on a new volume.",
    ),
    State(
        "installer/NotAllowed",
        60,
        "Give the Hub credentials for the plugin registry (Secret dynamic-plugins-registry-auth, or the .npmrc).",
        "users' reports 13",
        "A Secret that is created now is read by the next attempt.",
    ),
    State(
        "installer/CannotInherit",
        60,
        "The plugin catalog index has no entry to inherit the tag from: check CATALOG_INDEX_IMAGE.",
        "product: plugins",
        "The index is read anew by each attempt.",
    ),
    State(
        "installer/NoSuchPackage",
        60,
        "Check name and version of the plugin, and a mirror's content.",
        "users' reports 13",
        "A mirror may be filled meanwhile.",
    ),
    State(
        "installer/RegistryUnreachable",
        300,
        "Check network, proxy and trusted certificates between the cluster and the plugin registry.",
        "users' reports 13, 21",
        "Registries and networks recover.",
    ),
    State(
        "installer/PluginsNotInstalled",
        300,
        "Read the log of the init container install-dynamic-plugins.",
        "product: known issues",
        "An unknown failure may pass with the next attempt.",
    ),
    # -- databases
    State(
        "database/KeyMissing",
        15,
        "The Developer Hub operator never repairs this Secret: put the keys back by hand.",
        "hub g2; users' reports 5",
        "Another writer may be adding the key.",
    ),
    State(
        "database/JobDeleted",
        0,
        "Run again, and let nobody delete the Job meanwhile.",
        "users' reports 5",
        "Its answer is gone with it; it has been started twice by then.",
    ),
    State(
        "database/NoAnswer",
        5,
        "Allow reading pods' logs in the namespace.",
        "kubernetes",
        "The Job has ended, and its log can be read a moment later or not at all.",
    ),
)
_BY_KEY = {state.key: state for state in STATES}


def terminal(key: str) -> State:
    """Return the row of a key that is known to exist."""
    return _BY_KEY[key]


def find(area: str, reason: str) -> State | None:
    """Return the row of a reason that an object carries, or None where the table has none."""
    return _BY_KEY.get(f"{area}/{reason}")


# What texts mean, by the row that they come with: more to the point than the row's own remedy.
HINTS: tuple[tuple[str, str, str], ...] = (
    ("pod/ImagePullBackOff", "toomanyrequests|rate limit", "The registry limits pulls: use a pull secret or a mirror."),
    ("pod/ImagePullBackOff", "x509|certificate", "Make the nodes trust the registry's certificate."),
    (
        "pod/ImagePullBackOff",
        "unauthorized|authentication required|denied|forbidden",
        "Give the pod's ServiceAccount a pull secret for this registry.",
    ),
    (
        "pod/ImagePullBackOff",
        "not found|manifest unknown|name unknown|no such image",
        "Correct the image's name, tag or digest, or bring it into the registry or mirror.",
    ),
    (
        "pod/ImagePullBackOff",
        "no such host|timeout|timed out|refused|unreachable",
        "The node does not reach the registry: check network, proxy and mirror.",
    ),
    (
        "pod/CreateContainerConfigError",
        "couldn't find key|non-existent (config|secret) key",
        "Put the missing key into it, or name the right one; the pod goes on by itself.",
    ),
    (
        "pod/CreateContainerConfigError",
        "runAsNonRoot|run as root|non-numeric user",
        "Use an image with a numeric user that is not root, or set runAsUser.",
    ),
    (
        "pod/CrashLoopBackOff",
        "password authentication failed",
        "The Secret is not what the server knows: old volume with a new password?",
    ),
    (
        "pod/CrashLoopBackOff",
        r'database "[^"]*" does not exist',
        "Create the database: module orchestrator_database does it.",
    ),
    (
        "pod/CrashLoopBackOff",
        "UnknownHost|no such host|could not translate host name|Name or service not known|ENOTFOUND",
        "The host name that it uses does not resolve in the cluster.",
    ),
    (
        "pod/CrashLoopBackOff",
        "[Cc]onnection (to .* )?refused|ECONNREFUSED",
        "What it connects to does not listen there: look at that pod or server.",
    ),
    ("pod/CrashLoopBackOff", "exec format error", "The image is for another processor architecture."),
)


def hint(key: str, text: str) -> str:
    """Return the remedy that a text calls for, or an empty string for the row's own."""
    return next((remedy for row, pattern, remedy in HINTS if row == key and re.search(pattern, text)), "")
