"""From an unready object to the deepest cause: every path as a small object set, with remedy and command."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import causes as known_causes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import reader, steps
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text import lines as text_lines

from .. import objects as o
from ..fake_cluster import FakeCluster

Object = dict[str, t.Any]
PULL = o.pod(o.waiting("ImagePullBackOff", "manifest unknown"))
UNSCHEDULED = ("PodScheduled", "False", "Unschedulable", "0/3 nodes are available: Insufficient cpu")


def node(ready: str = "False") -> Object:
    found = o.conditions(("Ready", ready, "NodeStatusUnknown", "Kubelet stopped posting node status."))
    return {"kind": "Node", "metadata": {"name": "worker-0"}, "status": found}


def claim(**spec: t.Any) -> Object:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": o.meta("data"),
        "spec": spec,
        "status": {"phase": "Pending"},
    }


def storage_class(name: str, default: bool = False) -> Object:
    mark = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {"kind": "StorageClass", "metadata": {"name": name, "annotations": mark}}


def namespace(name: str = o.NAMESPACE, *found: tuple[str, ...]) -> Object:
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if found else {}
    return {"kind": "Namespace", "metadata": {"name": name, **going}, "status": o.conditions(*found)}


MOUNTS_CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
NEEDS_SECRET = {"containers": [{"name": "main", "env": [{"valueFrom": {"secretKeyRef": {"name": "db", "key": "P"}}}]}]}
CRASH = o.pod(o.crashed(137, "OOMKilled"))


def operator(name: str, ready: int, where: str = "operators") -> Object:
    return o.deployment(ready, name=name, metadata={"namespace": where, "uid": f"uid-{name}"})


def workload_pod(name: str, *containers: Object, where: str = o.NAMESPACE) -> Object:
    more = {"namespace": where}
    return o.pod(*containers, name=f"{name}-1", labels={"app": name, "pod-template-hash": "1"}, metadata=more)


def platform(*found: tuple[str, ...], **parts: t.Any) -> Object:
    spec = {"services": {"dataIndex": {}, "jobService": {}}, **parts.pop("spec", {})}
    return o.custom("SonataFlowPlatform", "p", *(found or (("Succeed", "True"),)), spec=spec, **parts)


def service(short: str, ready: int = 0, **parts: t.Any) -> Object:
    name = f"p-{short}"
    return o.deployment(ready, name=name, metadata={"labels": {"sonataflow.org/service": name}}, **parts)


WITH_BROKER = {"eventing": {"broker": {"ref": {"name": "b"}}}}
BY_JOB = {"services": {"dataIndex": {"persistence": {"dbMigrationStrategy": "job"}}}}
ORPHAN = "clusterserviceversion old.v1 exists and is not referenced by a subscription, originate from package thing"
MIGRATION = "sonataflow-db-migrator-job-1"
UNPACK = {"labels": {"operatorframework.io/bundle-unpack-ref": "x"}, "namespace": "market"}
EVENTING_GOING = {"deletionTimestamp": "now", "finalizers": ["knativeeventings.operator.knative.dev"]}

# kind, name, the objects there are; what the message says, what the remedy says, and the command.
PATHS: dict[str, tuple[k.Kind, str, tuple[Object, ...], list[str], str, str]] = {
    # -- workloads and pods
    "image": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(), o.replica_set(), PULL),
        ["Deployment web: container main of pod web-1 cannot pull image registry.example/web:1", "manifest unknown"],
        "Correct the image's name, tag or digest",
        "oc describe pod web-1 -n home",
    ),
    "init container": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("PodInitializing"), init=(o.crashed(name="setup"),)),),
        ["init container setup of pod web-1 ended with exit code 3"],
        "Repair what its log says",
        "oc logs web-1 -c setup -n home --previous",
    ),
    "out of memory": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(), CRASH),
        ["exit code 137 (OOMKilled, 5 restarts)"],
        "Raise its memory limit",
        "oc logs web-1 -c main -n home --previous",
    ),
    "missing Secret": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("CreateContainerConfigError", 'secret "db" not found')),),
        ['secret "db" not found'],
        "Create Secret db in home",
        "oc get secrets -n home",
    ),
    "missing ConfigMap": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("CreateContainerConfigError", 'configmap "settings" not found')),),
        ['configmap "settings" not found'],
        "Create ConfigMap settings in home",
        "oc get configmaps -n home",
    ),
    "missing key": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("CreateContainerConfigError", "couldn't find key PASSWORD in Secret home/db")),),
        ["couldn't find key PASSWORD"],
        "Put the key PASSWORD into Secret db in home",
        "oc describe secret db -n home",
    ),
    "missing Secret that is not named": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("CreateContainerConfigError", "simulated"), spec=NEEDS_SECRET),),
        ["pod web-1: Secret db, which it needs, does not exist in home"],
        "Create Secret db in home",
        "oc get secrets -n home",
    ),
    "volume with a missing Secret": (
        k.POD,
        "web-1",
        (
            o.pod(o.waiting("ContainerCreating")),
            o.event("FailedMount", 'MountVolume.SetUp failed for volume "ca" : secret "ca" not found'),
        ),
        ["Pod web-1: FailedMount", '"ca" not found'],
        "Create Secret ca in home",
        "oc get secrets -n home",
    ),
    "volume with a missing Secret, its event lost": (
        k.POD,
        "web-1",
        (o.pod(o.waiting("ContainerCreating"), spec={"volumes": [{"name": "v", "secret": {"secretName": "ca"}}]}),),
        ["Secret ca, which it needs, does not exist"],
        "Create Secret ca in home",
        "oc get secrets -n home",
    ),
    "no resources": (
        k.POD,
        "web-1",
        (o.pod(**o.conditions(UNSCHEDULED)),),
        ["pod web-1 cannot be scheduled: 0/3 nodes are available: Insufficient cpu"],
        "Free or add resources",
        "oc describe pod web-1 -n home",
    ),
    "storage class that does not exist": (
        k.POD,
        "web-1",
        (o.pod(spec=MOUNTS_CLAIM, **o.conditions(UNSCHEDULED)), claim(storageClassName="fast"), storage_class("slow")),
        ["pod web-1: PersistentVolumeClaim data asks for storage class fast, which does not exist; there are: slow"],
        "Create the class",
        "oc get storageclass",
    ),
    "no default storage class": (
        k.PVC,
        "data",
        (claim(), storage_class("slow")),
        ["names no storage class, and the cluster has no default one; there are: slow"],
        "Mark a class as default",
        "oc describe pvc data -n home",
    ),
    "provisioner": (
        k.PVC,
        "data",
        (
            claim(),
            storage_class("slow", default=True),
            o.event("ProvisioningFailed", "backend is full", "data", "PersistentVolumeClaim"),
        ),
        ["PersistentVolumeClaim data: ProvisioningFailed: backend is full"],
        "its provisioner works",
        "oc get events -n home --sort-by=.lastTimestamp",
    ),
    "claim without a word": (
        k.PVC,
        "data",
        (claim(storageClassName="slow"), storage_class("slow")),
        ["PersistentVolumeClaim data is Pending, storage class slow"],
        "Check that the storage class exists",
        "oc describe pvc data -n home",
    ),
    "missing claim": (
        k.POD,
        "web-1",
        (o.pod(spec=MOUNTS_CLAIM, **o.conditions(UNSCHEDULED)),),
        ["PersistentVolumeClaim data does not exist in home"],
        "Create it",
        "oc get pvc -n home",
    ),
    "evicted": (
        k.POD,
        "web-1",
        (o.pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory"),),
        ["pod web-1 was evicted: The node was low on resource: memory"],
        "Free the resource",
        "oc describe pod web-1 -n home",
    ),
    "node": (
        k.POD,
        "web-1",
        (o.pod(o.container({"running": {}}), phase="Running", spec={"nodeName": "worker-0"}), node()),
        ["pod web-1: its node worker-0 is not ready", "Kubelet stopped posting"],
        "Repair the node",
        "oc describe node worker-0",
    ),
    "node that is gone": (
        k.POD,
        "web-1",
        (o.pod(metadata={"deletionTimestamp": "now"}, spec={"nodeName": "worker-0"}),),
        ["its node worker-0 is gone"],
        "replaced after five minutes",
        "oc get nodes",
    ),
    "readiness probe": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(), o.pod(o.RUNNING, phase="Running")),
        ["container main of pod web-1 runs, but its readiness probe does not pass"],
        "Read what the container says",
        "oc logs web-1 -c main -n home",
    ),
    "old pods that do not go": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(), o.pod(o.RUNNING, metadata={"deletionTimestamp": "now"})),
        ["Deployment web: pod web-1 is being deleted"],
        "finalizers",
        "oc describe pod web-1 -n home",
    ),
    "quota": (
        k.DEPLOYMENT,
        "web",
        (
            o.deployment(),
            o.replica_set(1, **o.conditions(("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small"))),
        ),
        ["Deployment web: pods cannot be created: exceeded quota: small"],
        "Raise the quota",
        "oc describe quota -n home",
    ),
    "webhook that denies": (
        k.DEPLOYMENT,
        "web",
        (
            o.deployment(),
            o.replica_set(),
            o.event("FailedCreate", 'admission webhook "v.example" denied the request: no', "web-1", "ReplicaSet"),
        ),
        ["ReplicaSet web-1: pods cannot be created", "denied the request: no"],
        "Change what the admission webhook",
        known_causes.WEBHOOKS,
    ),
    "webhook that is down": (
        k.STATEFUL_SET,
        "web",
        (
            o.deployment(kind="StatefulSet"),
            o.event("FailedCreate", 'failed calling webhook "v.example": refused', "web", "StatefulSet"),
        ),
        ["StatefulSet web: pods cannot be created", "failed calling webhook"],
        "The webhook's pod must answer",
        known_causes.WEBHOOKS,
    ),
    "service account": (
        k.DEPLOYMENT,
        "web",
        (
            o.deployment(),
            o.replica_set(),
            o.event("FailedCreate", 'error looking up service account home/sa: serviceaccount "sa" not found', "web-1"),
        ),
        ['serviceaccount "sa" not found'],
        "ServiceAccount",
        "oc get events -n home --sort-by=.lastTimestamp",
    ),
    "deadline without a word": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(**o.conditions(("Progressing", "False", "ProgressDeadlineExceeded", "timed out"))),),
        ["Deployment web: timed out"],
        "See its pods and events",
        "oc describe deployment web -n home",
    ),
    "zero replicas": (
        k.DEPLOYMENT,
        "web",
        (o.deployment(spec={"replicas": 0}),),
        ["scaled to 0 replicas"],
        "oc scale deployment/web --replicas=1 -n home",
        "oc describe deployment web -n home",
    ),
    # -- Jobs
    "Job's pod": (
        k.JOB,
        "work",
        (
            o.job(("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")),
            o.job_pod(o.container({"terminated": {"exitCode": 1, "reason": "Error"}}), phase="Failed"),
        ),
        ["Job work failed (BackoffLimitExceeded)", "exit code 1"],
        "Repair what its log says",
        "oc logs work-x -c main -n home",
    ),
    "Job without its pod": (
        k.JOB,
        "work",
        (o.job(("Failed", "True", "DeadlineExceeded", "was active too long")),),
        ["Job work failed (DeadlineExceeded): was active too long"],
        "delete the Job to have it run again",
        "oc logs job/work -n home",
    ),
    "Job that is deleted already": (
        k.JOB,
        "work",
        (namespace(), o.event("BackoffLimitExceeded", "Job has reached the backoff limit", "work", "Job")),
        ["Job work is not there any more, its events say: BackoffLimitExceeded: Job has reached the backoff limit"],
        "Read its pod's log",
        "oc get events -n home --field-selector involvedObject.name=work",
    ),
    "suspended Job": (
        k.JOB,
        "work",
        (o.job(spec={"suspend": True}),),
        ["Job work is suspended"],
        '"suspend":false',
        "oc describe job work -n home",
    ),
    # -- deletion
    "namespace": (
        k.NAMESPACE,
        "home",
        (
            namespace(
                "home",
                ("NamespaceContentRemaining", "True", "SomeResourcesRemain", "Some resources are remaining: x has 2"),
                ("NamespaceFinalizersRemaining", "True", "", "finalizers remaining: sinkbindings.sources.knative.dev"),
                ("NamespaceDeletionContentFailure", "False", "ContentDeleted", "All content deleted"),
            ),
            operator("eventing-webhook", 1),
        ),
        ["Namespace home is being deleted", "Some resources are remaining: x has 2", "sinkbindings"],
        "KnativeEventing must still be there",
        "oc get namespace home -o yaml",
    ),
    "object in a namespace that is going": (
        k.DEPLOYMENT,
        "web",
        (namespace("home", ("NamespaceContentRemaining", "True", "x", "pods. has 1 resource instances")),),
        ["Namespace home is being deleted; pods. has 1 resource instances"],
        "Delete what is named",
        "oc get namespace home -o yaml",
    ),
    "object in a namespace that does not exist": (
        k.DEPLOYMENT,
        "web",
        (),
        ["Namespace home does not exist"],
        "Create it",
        "oc get namespace home",
    ),
    "foreign finalizer": (
        k.CONFIG_MAP,
        "held",
        ({"kind": "ConfigMap", "metadata": o.meta("held", deletionTimestamp="T1", finalizers=["example.com/hold"])},),
        ["ConfigMap held is being deleted since T1, held by example.com/hold"],
        "Whoever set the finalizer",
        "oc get configmap held -n home -o yaml",
    ),
    "finalizer whose operator is down": (
        k.KNATIVE_EVENTING,
        "knative-eventing",
        (
            o.custom("KnativeEventing", "knative-eventing", ("Ready", "True"), metadata=EVENTING_GOING),
            operator("knative-openshift", 0),
            workload_pod("knative-openshift", o.waiting("ErrImagePull"), where="operators"),
            operator("knative-operator-webhook", 1),
        ),
        ["held by knativeeventings.operator.knative.dev", "that takes it off does not run", "cannot pull image"],
        "Check that the image exists",
        "oc describe pod knative-openshift-1 -n operators",
    ),
    # -- OLM
    "plan that failed": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(installPlanRef={"name": "install-a"}), o.plan("Failed", "api-server resource not found")),
        ["InstallPlan install-a (Failed): api-server resource not found"],
        "reset_failed_plan",
        "oc get installplan install-a -n home -o yaml",
    ),
    "plan with a CRD that drops a version": (
        k.INSTALL_PLAN,
        "install-a",
        (
            o.plan(
                "Installing",
                'retrying execution due to error: risk of data loss updating "things.example.com": new CRD removes '
                "version v1alpha1 that is listed as a stored version on the existing CRD",
            ),
        ),
        ["the new CRD things.example.com no longer has version v1alpha1"],
        "while OLM still tries again",
        "oc get installplan install-a -n home -o yaml",
    ),
    "plan that waits for approval": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(installPlanRef={"name": "install-a"}), o.plan("RequiresApproval", approved=False)),
        ["InstallPlan install-a for thing.v1 waits for approval"],
        "Approve it",
        "oc describe installplan install-a -n home",
    ),
    "dead Subscription": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(installPlanRef={"name": "install-a"}, currentCSV="thing.v1"), o.plan("Complete")),
        ["InstallPlan install-a is Complete but thing.v1 is not installed; OLM will not go on"],
        "Delete the Subscription of thing in home",
        "oc get subscription thing -n home -o yaml",
    ),
    "unpack Job": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(("BundleUnpacking", "True", "UnpackingInProgress")),
            o.job(("Complete", "True"), name="done", **UNPACK),
            o.job(name="abc", **UNPACK),
            o.job_pod(o.waiting("ImagePullBackOff", "unauthorized"), name="abc", metadata={"namespace": "market"}),
        ),
        ["bundle unpacking: Job abc: container main of pod abc-x cannot pull image"],
        "pull secret",
        "oc describe pod abc-x -n market",
    ),
    "unpacking without its Job": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(("BundleUnpackFailed", "True", "BundleUnpackFailed", "BackoffLimitExceeded")),),
        ["bundle unpacking: BackoffLimitExceeded"],
        "delete the failed unpack Job: oc get jobs -n market",
        "oc get jobs,pods -n market -l operatorframework.io/bundle-unpack-ref",
    ),
    "no way to install it": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(("ResolutionFailed", "True", "x", "no operators found in channel nosuch of package thing")),),
        ["no operators found in channel nosuch"],
        "Name one that the package has",
        "oc describe subscription thing -n home",
    ),
    "catalog that the text names": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(("ResolutionFailed", "True", "x", "error using catalogsource market/cat: failed to list")),
            o.catalog("TRANSIENT_FAILURE"),
            o.pod(
                o.waiting("ErrImagePull"),
                name="cat-x",
                labels={"olm.catalogSource": "cat"},
                metadata={"namespace": "market"},
            ),
        ),
        ["CatalogSource market/cat is TRANSIENT_FAILURE: container main of pod cat-x cannot pull image"],
        "Check that the image exists",
        "oc describe pod cat-x -n market",
    ),
    "silence: no OperatorGroup": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(("CatalogSourcesUnhealthy", "False")), o.catalog()),
        ["namespace home needs exactly one OperatorGroup for OLM to act, it has: none"],
        "Leave exactly one",
        "oc get operatorgroups -n home",
    ),
    "silence: two OperatorGroups": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(), o.group("one"), o.group("two")),
        ["it has: one, two"],
        "Leave exactly one",
        "oc get operatorgroups -n home",
    ),
    "silence: a catalog does not answer": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(), o.group(), o.catalog("CONNECTING")),
        ["CatalogSource market/cat is CONNECTING"],
        "Repair the catalog's pod",
        "oc get pods -n market -l olm.catalogSource=cat",
    ),
    "Subscription whose plan and CSV were deleted": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(installPlanRef={"name": "x"}, currentCSV="thing.v1", state="UpgradePending"),),
        ["InstallPlan x is gone but thing.v1 is not installed; OLM will not go on"],
        "Delete the Subscription of thing in home",
        "oc get subscription thing -n home -o yaml",
    ),
    "failed plan that was deleted": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(("InstallPlanMissing", "True"), installPlanRef={"name": "x"}, currentCSV="thing.v1"),
            o.csv("Failed", "InvalidInstallModes"),
        ),
        ["thing.v1 Failed (InvalidInstallModes)"],
        "Its InstallPlan is gone: if that had failed, delete Subscription and CSV",
        "oc get clusterserviceversion thing.v1 -n home -o yaml",
    ),
    "silence: an orphan": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(), o.group(), o.catalog(), o.csv("Succeeded")),
        ["ClusterServiceVersion thing.v1 is there and belongs to no Subscription: OLM never adopts it"],
        "Delete ClusterServiceVersion thing.v1 in home",
        "oc get clusterserviceversions,subscriptions.operators.coreos.com -n home",
    ),
    "orphan": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(("ResolutionFailed", "True", "x", ORPHAN)), o.csv("Succeeded", name="old.v1")),
        ["ClusterServiceVersion old.v1 is there and belongs to no Subscription: clusterserviceversion old.v1 exists"],
        "Delete ClusterServiceVersion old.v1 in home",
        "oc get clusterserviceversions,subscriptions.operators.coreos.com -n home",
    ),
    "CSV that another Subscription holds, which is no orphan": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(("ResolutionFailed", "True", "x", ORPHAN)),
            {**o.subscription(installedCSV="old.v1"), "metadata": o.meta("other")},
            o.csv("Succeeded", name="old.v1"),
        ),
        ["OLM finds no way to install it"],
        "Remove what the message names",
        "oc describe subscription thing -n home",
    ),
    "old half of an upgrade, which is no orphan": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(("ResolutionFailed", "True", "x", ORPHAN)),
            o.csv("Replacing", name="old.v1"),
            o.csv("Pending", "OperatorConditionNotUpgradeable", "migrating", name="thing.v2"),
        ),
        ["thing.v2 is not installed yet: migrating"],
        "The operator itself says not now",
        "oc get operatorconditions -n home -o yaml",
    ),
    "upgrade without a word": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(("ResolutionFailed", "True", "x", ORPHAN)), o.csv("Replacing", name="old.v1")),
        ["OLM finds no way to install it"],
        "Wait for the upgrade that is running",
        "oc describe subscription thing -n home",
    ),
    "copied CSV": (
        k.SUBSCRIPTION,
        "thing",
        (
            o.subscription(currentCSV="thing.v1"),
            {**o.csv("Succeeded"), "metadata": o.meta("thing.v1", labels={"olm.copiedFrom": "elsewhere"})},
        ),
        ["thing.v1 is a copy from namespace elsewhere, which installs nothing here"],
        "Use the installation in namespace elsewhere",
        "oc get clusterserviceversion thing.v1 -n home -o yaml",
    ),
    "CSV whose Deployment is gone": (
        k.CSV,
        "thing.v1",
        (o.csv("Succeeded"),),
        ["Deployment web of thing.v1 does not exist"],
        "see whether OLM runs",
        "oc describe clusterserviceversion thing.v1 -n home",
    ),
    "CSV that only says what it waits for": (
        k.CSV,
        "thing.v1",
        (o.csv("Failed", "InstallCheckFailed", "install failed: deployment web not ready"),),
        ["thing.v1 is Failed (InstallCheckFailed): install failed: deployment web not ready"],
        "Repair the operator's Deployment",
        "oc describe clusterserviceversion thing.v1 -n home",
    ),
    "CSV requirement": (
        k.CSV,
        "thing.v1",
        (
            o.csv(
                "Pending",
                "RequirementsNotMet",
                requirementStatus=[
                    {"kind": "CustomResourceDefinition", "name": "nobodies.example.com", "status": "NotPresent"}
                ],
            ),
        ),
        ["thing.v1 misses: CustomResourceDefinition nobodies.example.com: NotPresent"],
        "Restore what is missing",
        "oc get clusterserviceversion thing.v1 -n home -o yaml",
    ),
    "CSV condition": (
        k.CSV,
        "thing.v1",
        (o.csv("Failed", "UnsupportedOperatorGroup", "OwnNamespace InstallModeType not supported"),),
        ["thing.v1 Failed (UnsupportedOperatorGroup): OwnNamespace InstallModeType not supported"],
        "Use an OperatorGroup whose install mode",
        "oc get clusterserviceversion thing.v1 -n home -o yaml",
    ),
    "Upgradeable": (
        k.CSV,
        "thing.v1",
        (o.csv("Pending", "OperatorConditionNotUpgradeable", "the operator is not upgradeable: migrating"),),
        ["thing.v1 is not installed yet", "migrating"],
        "The operator itself says not now",
        "oc get operatorconditions -n home -o yaml",
    ),
    "operator's pod": (
        k.SUBSCRIPTION,
        "thing",
        (o.subscription(currentCSV="thing.v1", state="AtLatestKnown"), o.csv("Installing"), o.deployment(), CRASH),
        ["Deployment web: container main of pod web-1 ended with exit code 137"],
        "Raise its memory limit",
        "oc logs web-1 -c main -n home --previous",
    ),
    # -- Developer Hub
    "Backstage refused": (
        k.BACKSTAGE,
        "dh",
        (o.custom("Backstage", "dh", ("Deployed", "False", "DeployFailed", "flavour 'nosuch' not found in x")),),
        ["Backstage dh: the operator does not know a flavour", "nosuch"],
        "Correct spec.flavours",
        "oc describe backstage dh -n home",
    ),
    "Backstage's database": (
        k.BACKSTAGE,
        "dh",
        (
            o.custom("Backstage", "dh", ("Deployed", "False", "DeployInProgress", "x")),
            o.deployment(name="backstage-dh"),
            workload_pod("backstage-dh", o.crashed()),
            o.deployment(name="backstage-psql-dh", kind="StatefulSet"),
            workload_pod("backstage-psql-dh", o.waiting("ErrImagePull")),
        ),
        ["StatefulSet backstage-psql-dh: container main of pod backstage-psql-dh-1 cannot pull image"],
        "Check that the image exists",
        "oc describe pod backstage-psql-dh-1 -n home",
    ),
    "Backstage's operator": (
        k.BACKSTAGE,
        "dh",
        (o.custom("Backstage", "dh"), operator("rhdh-operator", 0)),
        ["the Developer Hub operator does not run: Deployment rhdh-operator: 0 of 1 replicas ready"],
        "Repair that Deployment.",
        "oc describe deployment rhdh-operator -n operators",
    ),
    # -- Knative
    "KnativeServing waits for a Deployment": (
        k.KNATIVE_SERVING,
        "knative-serving",
        (
            o.custom(
                "KnativeServing",
                "knative-serving",
                ("DeploymentsAvailable", "False", "NotReady", "Waiting on deployments: activator, autoscaler"),
                ("InstallSucceeded", "Unknown"),
                ("Ready", "False", "NotReady", "Waiting on deployments: activator, autoscaler"),
            ),
            o.deployment(1, name="activator"),
            o.deployment(name="autoscaler"),
            workload_pod("autoscaler", o.waiting("ErrImagePull")),
        ),
        ["Deployment autoscaler: container main of pod autoscaler-1 cannot pull image"],
        "Check that the image exists",
        "oc describe pod autoscaler-1 -n home",
    ),
    "KnativeEventing meets an error": (
        k.KNATIVE_EVENTING,
        "knative-eventing",
        (
            o.custom(
                "KnativeEventing",
                "knative-eventing",
                ("DeploymentsAvailable", "True"),
                ("InstallSucceeded", "False", "Error", 'Install failed with message: failed calling webhook "x"'),
                ("Ready", "False", "Error", 'Install failed with message: failed calling webhook "x"'),
            ),
        ),
        ["InstallSucceeded is False: Error: Install failed"],
        "The webhook's pod must answer",
        known_causes.WEBHOOKS,
    ),
    "KnativeEventing in the wrong place": (
        k.KNATIVE_EVENTING,
        "mine",
        (
            o.custom(
                "KnativeEventing",
                "mine",
                ("Ready", "False", "Error", 'Knative Eventing must be installed into the namespace "knative-eventing"'),
            ),
        ),
        ["KnativeEventing mine is in namespace home, where the product does not install it"],
        "scale Deployment knative-openshift to 0",
        "oc describe knativeeventing mine -n home",
    ),
    "Knative's operator": (
        k.KNATIVE_SERVING,
        "knative-serving",
        (o.custom("KnativeServing", "knative-serving"),),
        ["the OpenShift Serverless operator is not installed: no Deployment knative-openshift exists"],
        "Install it",
        "oc get csv -A",
    ),
    "KnativeKafka waits for a StatefulSet": (
        k.KNATIVE_KAFKA,
        "knative-kafka",
        (
            o.custom(
                "KnativeKafka",
                "knative-kafka",
                ("Ready", "False", "NotReady", "Waiting on StatefulSets"),
                ("StatefulSetsAvailable", "False", "NotReady", "Waiting on StatefulSets"),
            ),
            o.deployment(name="idle", kind="StatefulSet", spec={"replicas": 0}),
            o.deployment(name="dispatcher", kind="StatefulSet"),
            o.event("FailedCreate", 'failed calling webhook "pods.defaulting"', "dispatcher", "StatefulSet"),
        ),
        ["StatefulSet dispatcher: pods cannot be created", "failed calling webhook"],
        "The webhook's pod must answer",
        known_causes.WEBHOOKS,
    ),
    "Broker": (
        k.BROKER,
        "b",
        (
            o.custom(
                "Broker",
                "b",
                ("TopicReady", "False", "Failed to create topic: t", "Replication-factor is invalid"),
                ("ConfigParsed", "True"),
                ("Ready", "False", "Failed to create topic: t", "Replication-factor is invalid"),
            ),
        ),
        ["Broker home/b: TopicReady: Failed to create topic: t: Replication-factor is invalid"],
        "replication factor",
        "oc describe broker b -n home",
    ),
    "Broker of a class that nobody works on": (
        k.BROKER,
        "b",
        (o.custom("Broker", "b", metadata={"annotations": {"eventing.knative.dev/broker.class": "kafka"}}),),
        ["nobody works on class 'kafka', which must be spelt Kafka"],
        "Delete the Broker",
        "oc describe broker b -n home",
    ),
    "Broker whose receiver is down": (
        k.BROKER,
        "b",
        (
            o.custom("Broker", "b", ("ProbeSucceeded", "Unknown"), ("Ready", "Unknown")),
            operator("kafka-controller", 1, "knative-eventing"),
            operator("kafka-broker-receiver", 0, "knative-eventing"),
            workload_pod("kafka-broker-receiver", o.crashed(1), where="knative-eventing"),
        ),
        ["Broker home/b", "Deployment kafka-broker-receiver", "exit code 1"],
        "Repair what its log says",
        "oc logs kafka-broker-receiver-1 -c main -n knative-eventing --previous",
    ),
    "Trigger": (
        k.TRIGGER,
        "t",
        (
            o.custom("Trigger", "t", ("BrokerReady", "False", "x"), ("Ready", "False"), spec={"broker": "b"}),
            o.custom("Broker", "b", ("ConfigParsed", "False", "client has run out of available brokers")),
        ),
        ["Trigger t: Broker home/b: ConfigParsed: client has run out of available brokers"],
        "Check the bootstrap address",
        "oc describe broker b -n home",
    ),
    "Trigger by itself": (
        k.TRIGGER,
        "t",
        (o.custom("Trigger", "t", ("BrokerReady", "True"), ("SubscriberResolved", "False", "Unable", "no service")),),
        ["Trigger t: SubscriberResolved is False: Unable: no service"],
        "",
        "oc describe trigger t -n home",
    ),
    "SinkBinding": (
        k.SINK_BINDING,
        "s",
        (o.custom("SinkBinding", "s"),),
        ["SinkBinding s is not bound: Deployment eventing-webhook, which does it, does not exist"],
        "Install KnativeEventing",
        "oc get knativeeventing,deployments -n knative-eventing",
    ),
    # -- SonataFlowPlatform, in the order of the operator's work
    "platform: duplicate": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (platform(("Succeed", "False", "Duplicated")),),
        ["SonataFlowPlatform p: active is another one"],
        "Only one platform of a namespace is active",
        "oc describe sonataflowplatform p -n home",
    ),
    "platform: operator down": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (o.custom("SonataFlowPlatform", "p"), operator("logic-operator-controller-manager", 0)),
        ["the Serverless Logic operator does not run"],
        "Repair that Deployment.",
        "oc describe deployment logic-operator-controller-manager -n operators",
    ),
    "platform: migration": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (
            platform(spec=BY_JOB),
            o.job(("Failed", "True", "BackoffLimitExceeded"), name=MIGRATION, ownerReferences=[{"uid": "uid-p"}]),
            o.job_pod(o.container({"terminated": {"exitCode": 1}}), name=MIGRATION, phase="Failed"),
        ),
        [f"Job {MIGRATION} failed (BackoffLimitExceeded)", "exit code 1"],
        "the operator never retries it",
        f"oc logs {MIGRATION}-x -c main -n home",
    ),
    "platform: no Broker": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (namespace(), platform(spec=WITH_BROKER), service("data-index-service", 1)),
        ["the Job Service is not made: Broker b does not exist in home"],
        "Create the Broker",
        "oc get events -n home --field-selector involvedObject.name=b",
    ),
    "platform: sink": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (
            platform(spec=WITH_BROKER),
            service("data-index-service", 1),
            service("jobs-service", spec={"replicas": 0}),
            o.custom("SinkBinding", "p-jobs-service-sb"),
        ),
        ["the Job Service stays at 0 replicas: SinkBinding p-jobs-service-sb is not bound"],
        "Install KnativeEventing",
        "oc get knativeeventing,deployments -n knative-eventing",
    ),
    "platform: generation": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (
            platform(metadata={"generation": 2}, status={"observedGeneration": 1}),
            service("data-index-service", 1),
            service("jobs-service", 1),
            operator("logic-operator-controller-manager", 1),
            o.event("Failed", "DB migration job failed", "p", "SonataFlowPlatform"),
        ),
        ["the operator meets an error", "Failed: DB migration job failed"],
        "",
        "oc get events -n home --sort-by=.lastTimestamp",
    ),
    "platform: generation, operator down": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (
            platform(metadata={"generation": 2}, status={"observedGeneration": 1}),
            service("data-index-service", 1),
            service("jobs-service", 1),
            operator("logic-operator-controller-manager", 0),
            o.event("Failed", "an old complaint", "p", "SonataFlowPlatform"),
        ),
        ["the Serverless Logic operator does not run"],
        "Repair that Deployment.",
        "oc describe deployment logic-operator-controller-manager -n operators",
    ),
    "platform: pod": (
        k.SONATAFLOW_PLATFORM,
        "p",
        (
            platform(),
            service("data-index-service", 1),
            service("jobs-service"),
            workload_pod("p-jobs-service", o.waiting("CreateContainerConfigError", 'secret "db" not found')),
        ),
        ["Deployment p-jobs-service: container main", 'secret "db" not found'],
        "Create Secret db in home",
        "oc get secrets -n home",
    ),
    # -- any custom resource
    "conditions": (
        k.SONATAFLOW,
        "flow",
        (o.custom("SonataFlow", "flow", ("Built", "Unknown"), ("Running", "False", "WaitingForPlatform", "none")),),
        ["SonataFlow flow: Running is False: WaitingForPlatform: none"],
        "",
        "oc describe sonataflow flow -n home",
    ),
    "owned Deployment": (
        k.SONATAFLOW,
        "flow",
        (
            o.custom("SonataFlow", "flow", ("Running", "False", "DeploymentIsUnavailable")),
            o.deployment(metadata={"ownerReferences": [{"uid": "uid-flow"}]}),
            PULL,
        ),
        ["SonataFlow flow: Deployment web: container main of pod web-1 cannot pull image"],
        "Correct the image's name",
        "oc describe pod web-1 -n home",
    ),
    "events": (
        k.SONATAFLOW,
        "flow",
        (o.custom("SonataFlow", "flow"), o.event("Odd", "old", "flow", at="11:00:00"), o.event("Odd", "new", "flow")),
        ["SonataFlow flow: Odd: new"],
        "",
        "oc get events -n home --sort-by=.lastTimestamp",
    ),
    "Kafka says NotReady": (
        k.ROUTE,
        "x",
        (o.custom("Route", "x", ("Warning", "True", "x"), ("NotReady", "True", "InvalidResource", "no listener")),),
        ["NotReady is True: InvalidResource: no listener"],
        "",
        "oc describe route x -n home",
    ),
}  # fmt: skip


def diagnose(cluster: FakeCluster, kind: k.Kind, name: str, where: str | None = o.NAMESPACE) -> Cause:
    return steps.diagnose(t.cast(t.Any, cluster), kind, name, where)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_ends_at_its_cause_with_remedy_and_command(path: str) -> None:
    kind, name, objects, says, remedy, command = PATHS[path]
    cluster = FakeCluster(*objects)
    cause = diagnose(cluster, kind, name, o.NAMESPACE if kind.namespaced else None)
    for text in says:
        assert text in cause.message
    assert remedy in cause.remedy
    assert bool(remedy) == bool(cause.remedy)
    assert re.sub(r"^(oc \w+ [a-z]+)\.[a-z.]+ ", r"\1 ", cause.command) == command
    assert len(cause.text().splitlines()) <= 4
    assert "less detail" not in cause.message
    assert len(cluster.asked) <= reader.MAX_REQUESTS


REFUSED = {
    "pods": "Pod",
    "events": "Event",
    "deployments": "Deployment",
    "jobs": "Job",
    "secrets": "Secret",
    "namespaces": "Namespace",
    "nodes": "Node",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "storageclasses": "StorageClass",
    "subscriptions": "Subscription",
    "clusterserviceversions": "ClusterServiceVersion",
    "installplans": "InstallPlan",
    "operatorgroups": "OperatorGroup",
    "brokers": "Broker",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_read_lowers_the_detail_and_says_so(path: str, refused: str) -> None:
    kind, name, objects, *_rest = PATHS[path]
    cluster = FakeCluster(*objects, refuse=(refused,))
    cause = diagnose(cluster, kind, name, o.NAMESPACE if kind.namespaced else None)
    assert (f"not allowed to read {refused}" in cause.message) == cluster.refused
    # What may not be read is not called missing.
    kind_name = REFUSED[refused]
    assert not re.search(
        rf"\b{kind_name} \S+( |, which [a-z ]+, )does not exist|no {kind_name} \S+ exists", cause.message
    )
    assert cause.command
    assert len(cause.text().splitlines()) <= 4


def test_the_command_names_the_group_of_a_kind_whose_short_name_others_have() -> None:
    cause = diagnose(FakeCluster(o.subscription(("ResolutionFailed", "True", "x", "odd"))), k.SUBSCRIPTION, "thing")
    assert cause.command == "oc describe subscription.operators.coreos.com thing -n home"


def test_a_server_that_does_not_answer_is_asked_once() -> None:
    cluster = FakeCluster(broken=True)
    cause = diagnose(cluster, k.DEPLOYMENT, "web")
    assert "connection refused" in cause.message
    assert cause.command == "oc get deployments.apps web -n home -o yaml"
    assert len(cluster.asked) == 1


def test_last_log_lines_are_shown_with_credentials_hidden() -> None:
    log = "one\ntwo\nstarting\nPOSTGRES_PASSWORD=hunter2\nFATAL: password authentication failed for user x\ndone"
    cause = diagnose(FakeCluster(o.pod(o.crashed()), log=log), k.POD, "web-1")
    lines = cause.text().splitlines()
    assert "hunter2" not in cause.text()
    assert lines[1].startswith("  Last log lines: starting | POSTGRES_PASSWORD=<redacted> | FATAL: password")
    assert "old volume" in cause.remedy  # what it said counts more than that it crashed
    assert len(lines) == 4


def test_a_private_key_in_a_log_is_hidden_over_all_its_lines() -> None:
    log = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBg\nkqhkiG9w0BAQEF"
    cause = diagnose(FakeCluster(o.pod(o.crashed()), log=log), k.POD, "web-1")
    assert "MIIEvg" not in cause.text()
    assert "kqhkiG" not in cause.text()


def test_credentials_in_messages_are_hidden() -> None:
    said = "cannot pull from https://me:hunter2@registry.example/web"
    cause = diagnose(FakeCluster(o.pod(o.waiting("ErrImagePull", said))), k.POD, "web-1")
    assert "registry.example/web" in cause.message
    assert "hunter2" not in cause.message


def test_the_log_of_the_ended_run_is_read() -> None:
    cluster = FakeCluster(o.pod(o.crashed()))
    diagnose(cluster, k.POD, "web-1")
    assert cluster.asked[-1] == "log web-1/main previous"
    cluster = FakeCluster(o.pod(o.container({"terminated": {"exitCode": 1}})))
    diagnose(cluster, k.POD, "web-1")
    assert cluster.asked[-1] == "log web-1/main"


def test_messages_are_cut_and_on_one_line() -> None:
    long = "x\n" * 2000
    cause = diagnose(FakeCluster(o.pod(o.waiting("ErrImagePull", long)), log=long), k.POD, "web-1")
    assert len(cause.message) <= text_lines.MAX_TEXT
    assert len(cause.text().splitlines()) <= 4


def test_a_thousand_pods_are_not_read() -> None:
    others = [o.pod(o.crashed(), name=f"other-{n}", labels={"app": "other"}) for n in range(1000)]
    # The pods of the old revision come first in the list, and fill more than a page.
    old = [o.pod(o.RUNNING, name=f"web-a{n}", labels={"app": "web", "pod-template-hash": "1"}) for n in range(200)]
    new = o.pod(o.waiting("ErrImagePull"), name="web-z", labels={"app": "web", "pod-template-hash": "2"})
    cluster = FakeCluster(o.deployment(), o.replica_set(1), o.replica_set(2), *others, *old, new)
    cause = diagnose(cluster, k.DEPLOYMENT, "web")
    assert "pod web-z cannot pull image" in cause.message
    assert len(cluster.asked) <= 4
    assert all("limit=100" in each for each in cluster.asked[1:])


def test_reads_are_bounded_and_the_bound_is_said() -> None:
    names = [f"d{number}" for number in range(40)]
    csv = o.csv("Installing")
    csv["spec"]["install"]["spec"]["deployments"] = [{"name": name} for name in names]
    cluster = FakeCluster(csv, *(o.deployment(1, name=name) for name in names))
    cause = diagnose(cluster, k.CSV, "thing.v1")
    assert len(cluster.asked) == reader.MAX_REQUESTS
    assert "no more than 15 reads" in cause.message


def test_a_healthy_object_has_no_cause_and_says_where_to_look() -> None:
    cause = diagnose(FakeCluster(o.deployment(1)), k.DEPLOYMENT, "web")
    assert cause.message == "nothing below Deployment web tells why"
    assert cause.command == "oc get deployments.apps web -n home -o yaml"


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ([("Ready", "False", "", "sum"), ("Part", "False", "", "detail")], "Part"),
        ([("Ready", "False", "", "sum"), ("Part", "False")], "Ready"),
        ([("Part", "Unknown", "", "may be"), ("Ready", "False", "", "sum")], "Ready"),
        ([("Ready", "True"), ("Degraded", "True", "", "half")], "Degraded"),
    ],
)
def test_the_condition_that_explains_is_taken(found: list[tuple[str, ...]], kind: str) -> None:
    cause = known_causes.conditions_cause(o.custom("Thing", "x", *found))
    assert cause is not None
    assert f"Thing x: {kind} is" in cause.message


def test_well_conditions_are_no_cause() -> None:
    assert known_causes.conditions_cause(o.custom("Thing", "x", ("Ready", "True"), ("Degraded", "False"))) is None


def test_the_newest_event_counts_however_it_tells_its_time() -> None:
    old = o.event("FailedCreate", "exceeded quota: small", at="12:00:00")
    new = o.event("FailedCreate", "serviceaccount x not found", at="00:00:00")
    new["lastTimestamp"], new["series"] = None, {"lastObservedTime": "2026-01-01T13:00:00Z"}
    cause = known_causes.event_cause([old, new], "ReplicaSet web-1")
    assert cause is not None
    assert "serviceaccount x" in cause.message
    assert known_causes.event_cause([{**old, "type": "Normal"}], "x") is None


def test_a_long_log_line_keeps_its_beginning_and_its_end():
    line = text_lines.log_line("2026-11-25 ERROR " + "x" * 400 + " FATAL: password authentication failed for user")
    assert len(line) == text_lines.MAX_LOG_LINE
    assert line.startswith("2026-11-25 ERROR xx")
    assert line.endswith(" FATAL: password authentication failed for user")
    assert text_lines.log_line("short") == "short"
