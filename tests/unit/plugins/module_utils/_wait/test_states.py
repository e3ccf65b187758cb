"""Every row of the table of states, on an object set that shows it: verdict, time to stop, reason and remedy."""

from __future__ import annotations

import string
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import job as database_job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import judge as database_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import installer as installer_log
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import approval as olm_approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import judge as olm_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import removed as olm_removed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import view as olm_view
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as sf
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.probe import Probe
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import _Judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import (
    HINTS,
    STATES,
    find,
    hint,
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, PENDING, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import claims, rollout
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import jobs as job_states
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import pods as pod_states

from .. import objects as o

Object = dict[str, t.Any]
WANTED = Wanted("thing", o.NAMESPACE, catalog="cat", catalog_namespace="market")
TARGET = Target("stable", "thing.v1", "1.0.0", (("thing.v1", "1.0.0"),), "thing.v1", None, (), None, ())
ORPHAN = "originate from package thing, clusterserviceversion old.v1 exists and is not referenced by a subscription"


def installing(sub: Object | None = None, **parts: t.Any) -> Verdict:
    """The verdict on an operator that is not installed."""
    refusal = parts.pop("refusal", None)
    defaults = {"plan": None, "csvs": [], "deployments": {}, "groups": [o.group()], "catalogs": [o.catalog()]}
    sub = None if parts.pop("gone", False) else sub or o.subscription()
    return olm_judge.judge(WANTED, TARGET, olm_view.View(sub, **{**defaults, **parts}), refusal)


def csv(reason: str, phase: str = "Failed", **more: t.Any) -> t.Callable[[], Verdict]:
    return lambda: installing(csvs=[o.csv(phase, reason, **more)])


def unresolved(message: str, **parts: t.Any) -> t.Callable[[], Verdict]:
    return lambda: installing(
        o.subscription(("ResolutionFailed", "True", "ConstraintsNotSatisfiable", message)), **parts
    )


def workload(obj: Object, *pods: Object) -> t.Callable[[], Verdict]:
    return lambda: rollout.workload(obj, pods)


def refused(message: str) -> t.Callable[[], Verdict]:
    return workload(o.deployment(**o.conditions(("ReplicaFailure", "True", "FailedCreate", message))))


def platform(*found: tuple[str, ...], **parts: t.Any) -> t.Callable[[], Verdict]:
    obj = o.custom("SonataFlowPlatform", "p", *found, **parts)
    return lambda: sf.judge_platform(obj, [obj, o.custom("SonataFlowPlatform", "other")], "p")


def eventing(broker: Object | None, binding: Object | None = None) -> t.Callable[[], Verdict]:
    spec = {"services": {"jobService": {}}, "eventing": {"broker": {"ref": {"name": "b"}}}}
    return lambda: sf.judge_eventing(o.custom("SonataFlowPlatform", "p", spec=spec), broker, binding, [])


def unmigrated() -> Verdict:
    owner = o.custom("SonataFlowPlatform", "p")
    failed = o.job(("Failed", "True"), name="sonataflow-db-migrator-job-1", ownerReferences=[{"uid": "uid-p"}])
    return sf.judge_migration([failed], owner)


def badly_answering() -> Verdict:
    class Session:
        def service_proxy(self, method: str, *args: t.Any, **kwargs: t.Any) -> tuple[int, str]:
            return (200, '{"status": "UP"}') if method == "GET" else (200, '{"errors": [{"message": "no table"}]}')

    call = SimpleNamespace(left=lambda: 5.0)
    wanted = SimpleNamespace(name="p", namespace=o.NAMESPACE, call=call, session=Session())
    return Probe(t.cast(t.Any, wanted)).ask(("data_index",)).verdict


def stolen() -> Verdict:
    owner = {"kind": "Backstage", "name": "other", "uid": "x", "controller": True}
    taken = o.custom("SonataFlowPlatform", "p", metadata={"ownerReferences": [owner]})
    return hub_judge.judge_platform(taken, o.custom("Backstage", "dh"), hub_spec.Names("dh", o.NAMESPACE), True)


def knative(*found: tuple[str, ...]) -> t.Callable[[], Verdict]:
    obj = o.custom("KnativeEventing", "knative-eventing", *found, status={"observedGeneration": 1})
    return lambda: knative_judge.judge(knative_judge.EVENTING, obj)


def broker(*found: tuple[str, ...]) -> t.Callable[[], Verdict]:
    return lambda: knative_judge.judge_broker(o.custom("Broker", "b", *found))


def hub(message: str, reason: str = "DeployFailed") -> t.Callable[[], Verdict]:
    return lambda: hub_judge.judge_backstage(o.custom("Backstage", "dh", ("Deployed", "False", reason, message)))


def installer(log: str) -> t.Callable[[], Verdict]:
    return lambda: installer_log.classify_installer_log(log)


def without_keys() -> Verdict:
    database = database_options.hub_database("dh", o.NAMESPACE)
    return database_judge.judge_hub_server(None, {"metadata": o.meta("s"), "data": {}}, database)["secret"]


def deleted_check() -> Verdict:
    class Session:
        def create(self, *args: t.Any) -> None:
            pass

    class Snapshot:
        def get(self, *args: t.Any) -> None:
            return None

    check = database_job.Check(
        t.cast(t.Any, Session()), database_options.hub_database("dh", o.NAMESPACE), lambda name: {}
    )
    check._seen = True
    return check.judge(t.cast(t.Any, Snapshot()))["connection"]


UNSCHEDULED = ("PodScheduled", "False", "Unschedulable", "0/3 nodes are available: Insufficient cpu")
# A pod of a Deployment for each row of a pod.
PODS: dict[str, Object] = {
    "pod/InvalidImageName": o.pod(o.waiting("InvalidImageName", "couldn't parse image name")),
    "pod/ErrImageNeverPull": o.pod(o.waiting("ErrImageNeverPull")),
    "pod/ImagePullBackOff": o.pod(o.waiting("ErrImagePull", "connection reset")),
    "pod/CreateContainerConfigError": o.pod(o.waiting("CreateContainerConfigError", 'secret "db" not found')),
    "pod/CreateContainerError": o.pod(o.waiting("RunContainerError", "exec: not found")),
    "pod/CrashLoopBackOff": o.pod(o.crashed(3)),
    "pod/OOMKilled": o.pod(o.crashed(137, "OOMKilled")),
    "pod/Unschedulable": o.pod(**o.conditions(UNSCHEDULED)),
    "pod/SchedulingGated": o.pod(**o.conditions(("PodScheduled", "False", "SchedulingGated"))),
    "pod/Evicted": o.pod(phase="Failed", reason="Evicted", message="low on memory"),
    "pod/Failed": o.pod(phase="Failed", message="node shut down"),
    "pod/NodeLost": o.pod(phase="Running", reason="NodeLost"),
    "pod/Terminating": o.pod(metadata={"deletionTimestamp": "now"}),
    "pod/ContainerCreating": o.pod(o.waiting("ContainerCreating")),
    "pod/Initializing": o.pod(o.waiting("PodInitializing"), init=(o.RUNNING,)),
    "pod/NotReady": o.pod(o.RUNNING, phase="Running"),
}
CASES: dict[str, t.Callable[[], Verdict]] = {
    "csv/UnsupportedOperatorGroup": csv("UnsupportedOperatorGroup"),
    "csv/TooManyOperatorGroups": lambda: installing(
        csvs=[o.csv("Failed", "TooManyOperatorGroups")], groups=[o.group(), o.group()]
    ),
    "csv/NoOperatorGroup": lambda: installing(csvs=[o.csv("Failed", "NoOperatorGroup")], groups=[]),
    "csv/OperatorGroupMended": csv("TooManyOperatorGroups"),
    "csv/NoTargetNamespaces": csv("NoTargetNamespaces"),
    "csv/InterOperatorGroupOwnerConflict": csv("InterOperatorGroupOwnerConflict"),
    "csv/OwnerConflict": csv("OwnerConflict"),
    "csv/CannotModifyStaticOperatorGroupProvidedAPIs": csv("CannotModifyStaticOperatorGroupProvidedAPIs"),
    "csv/InvalidInstallModes": csv("InvalidInstallModes"),
    "csv/InvalidInstallStrategy": csv("InvalidInstallStrategy"),
    "csv/InvalidWebhookDescription": csv("InvalidWebhookDescription"),
    "csv/Copied": lambda: olm_judge.judge_csv(
        {"metadata": o.meta("thing.v1", labels={"olm.copiedFrom": "elsewhere"}), "spec": {}, "status": {}}, {}
    ),
    "csv/MinKubeVersion": csv(
        "RequirementsNotMet",
        "Pending",
        requirementStatus=[{"kind": "CSV", "name": "x", "status": "Not", "message": "minKubeVersion (1.99.0) > 1.36"}],
    ),
    "csv/RequirementsNotMet": csv("RequirementsNotMet", "Pending"),
    "csv/OperatorConditionNotUpgradeable": csv("OperatorConditionNotUpgradeable", "Pending"),
    "csv/InstallCheckFailed": csv("InstallCheckFailed"),
    "csv/ComponentUnhealthy": csv("ComponentUnhealthy"),
    "csv/DeploymentNotReady": lambda: installing(csvs=[o.csv("Succeeded")], deployments={"web": o.deployment()}),
    "csv/CleanupHeld": lambda: olm_removed.judge_removal(
        ["ClusterServiceVersion thing.v1"],
        [{"metadata": {"name": "thing.v1", "deletionTimestamp": "2026-11-24T00:00:00Z"}}],
    ),
    "plan/InstallPlanFailed": lambda: installing(plan=o.plan("Failed", "it is invalid")),
    "plan/InstallPlanRetrying": lambda: installing(plan=o.plan("Installing", "retrying execution due to error: x")),
    "plan/WrongVersion": lambda: installing(
        refusal=olm_approval.Approval("refuse", "WrongVersion", "would install thing.v9")
    ),
    "plan/StoredVersionDropped": lambda: installing(
        refusal=olm_approval.Approval("refuse", "StoredVersionDropped", "takes away v1alpha1")
    ),
    "plan/CollateralUpgrade": lambda: installing(
        refusal=olm_approval.Approval("refuse", "CollateralUpgrade", "also other.v2")
    ),
    "plan/ApprovalNeeded": lambda: installing(
        refusal=olm_approval.Approval("refuse", "ApprovalNeeded", "waits for approval")
    ),
    "subscription/SubscriptionGone": lambda: installing(gone=True),
    "subscription/DeadSubscription": lambda: installing(
        o.subscription(state="UpgradePending", currentCSV="thing.v1"), plan=o.plan("Complete")
    ),
    "subscription/BundleUnpackFailed": lambda: installing(
        o.subscription(("BundleUnpackFailed", "True", "BundleUnpackFailed", "BackoffLimitExceeded"))
    ),
    "subscription/EnsureInstallPlanFailed": lambda: installing(
        o.subscription(("BundleUnpackFailed", "True", "EnsureInstallPlanFailed", "has been modified"))
    ),
    "subscription/BundleUnpacking": lambda: installing(
        o.subscription(("BundleUnpacking", "True", "UnpackingInProgress"))
    ),
    "subscription/OperatorGroups": lambda: installing(groups=[]),
    "subscription/NoWay": lambda: installing(o.subscription(state="AtLatestKnown", installedCSV="thing.v0")),
    "subscription/CatalogNotReady": lambda: installing(catalogs=[o.catalog("TRANSIENT_FAILURE")]),
    "resolution/CatalogUnhealthy": unresolved(
        "error using catalogsource market/cat: failed to list bundles", catalogs=[o.catalog("TRANSIENT_FAILURE")]
    ),
    "resolution/NoSuchCatalog": unresolved("no operators found from catalog nosuch in namespace market"),
    "resolution/NoSuchPackage": unresolved("no operators found in package thing in the catalog"),
    "resolution/NoSuchChannel": unresolved("no operators found in channel nosuch of package thing"),
    "resolution/NoSuchVersion": unresolved("no operators found with name thing.v9 in channel stable"),
    "resolution/MissingDependency": unresolved("requires an operator providing an API with group: a, kind: Nobody"),
    "resolution/OrphanCSV": unresolved(ORPHAN, csvs=[o.csv("Succeeded", name="old.v1")]),
    "resolution/ApiConflict": unresolved("a.v1, b.v1 provide Gadget (example.com/v1), subscription a exists"),
    "resolution/ConstraintsNotSatisfiable": unresolved("something new"),
    "resolution/UpgradeRunning": unresolved(ORPHAN, csvs=[o.csv("Replacing", name="old.v1")]),
    "workload/ProgressDeadlineExceeded": workload(
        o.deployment(**o.conditions(("Progressing", "False", "ProgressDeadlineExceeded", "timed out progressing")))
    ),
    "workload/Paused": workload(o.deployment(spec={"paused": True})),
    "workload/ScaledToZero": workload(o.deployment(spec={"replicas": 0})),
    "workload/ExceededQuota": refused('pods "web-1" is forbidden: exceeded quota: small'),
    "workload/Denied": refused('admission webhook "v.example" denied the request: no'),
    "workload/PodForbidden": refused('pods "web-1" is forbidden: violates PodSecurity "restricted:latest"'),
    "workload/WebhookDown": refused('failed calling webhook "v.example": connect: connection refused'),
    "workload/FailedCreate": refused("something new"),
    "job/BackoffLimitExceeded": lambda: job_states.job(o.job(("Failed", "True", "BackoffLimitExceeded"))),
    "job/DeadlineExceeded": lambda: job_states.job(o.job(("FailureTarget", "True", "DeadlineExceeded"))),
    "job/JobFailed": lambda: job_states.job(o.job(("Failed", "True", "PodFailurePolicy"))),
    "job/FailedAndDeleted": lambda: job_states.job(None, (), o.job(("Failed", "True", "BackoffLimitExceeded"))),
    "job/JobGone": lambda: job_states.job(None, (), o.job()),
    "job/Suspended": lambda: job_states.job(o.job(spec={"suspend": True})),
    "claim/Lost": lambda: claims.claim({"metadata": o.meta("data"), "status": {"phase": "Lost"}}),
    "claim/Unbound": lambda: claims.claim({"metadata": o.meta("data"), "status": {"phase": "Pending"}}),
    "platform/Duplicated": platform(("Succeed", "False", "Duplicated")),
    "platform/Deleting": platform(("Succeed", "True"), metadata={"deletionTimestamp": "now", "finalizers": ["f"]}),
    "platform/Failure": platform(("Succeed", "False", "Failure", "cannot")),
    "platform/MigrationFailed": unmigrated,
    "platform/GraphQL": badly_answering,
    "platform/NotOurs": stolen,
    "platform/GenerationLag": platform(
        ("Succeed", "True"), metadata={"generation": 2}, status={"observedGeneration": 1}
    ),
    "platform/BrokerMissing": eventing(None),
    "platform/SinkNotBound": eventing(o.custom("Broker", "b", ("Ready", "True")), o.custom("SinkBinding", "s")),
    "knative/VersionNotEligible": knative(("VersionMigrationEligible", "False", "Error", "skips 1.36")),
    "knative/Error": knative(
        ("InstallSucceeded", "False", "Error", "failed calling webhook"), ("Ready", "False", "Error")
    ),
    "knative/NotReady": knative(("DeploymentsAvailable", "False", "NotReady"), ("Ready", "False", "NotReady")),
    "broker/InvalidConfig": broker(("ConfigParsed", "False", "protocol FOO unsupported (key: protocol)")),
    "broker/TopicRefused": broker(
        ("TopicReady", "False", "Failed to create topic: t", "Replication-factor is invalid")
    ),
    "broker/ObjectMissing": broker(("ConfigParsed", "False", "failed to get configmap home/x")),
    "broker/KafkaUnreachable": broker(("ConfigParsed", "False", "client has run out of available brokers")),
    "broker/NoStatus": broker(),
    "broker/BrokerNotReady": broker(("ProbeSucceeded", "Unknown"), ("Ready", "Unknown")),
    "backstage/KindNotServed": hub('no matches for kind "SonataFlowPlatform" in version "sonataflow.org/v1alpha08"'),
    "backstage/ObjectMissing": hub('failed to get external config from nosuch: ConfigMap "nosuch" not found'),
    "backstage/UnknownFlavour": hub("flavour 'nosuch' not found in default-config/flavours"),
    "backstage/BadPlugins": hub("failed to unmarshal second ConfigMap data: yaml: line 1"),
    "backstage/WrongKey": hub("dynamic plugin configMap expects 'dynamic-plugins.yaml' Data key"),
    "backstage/PlatformInvalid": hub('SonataFlowPlatform.sonataflow.org "sonataflow-platform" is invalid: Too many'),
    "backstage/DeployFailed": hub("something new"),
    "backstage/DeployInProgress": hub("no conditions reported yet", "DeployInProgress"),
    "installer/NoIntegrity": installer("InstallException: No integrity hash provided"),
    "installer/WrongIntegrity": installer("Error: hash mismatch"),
    "installer/TooLarge": installer("Error: Zip bomb detected"),
    "installer/NoSpace": installer("Error: No space left on device"),
    "installer/NotAllowed": installer("Error: unauthorized: authentication required"),
    "installer/CannotInherit": installer("InstallException: cannot resolve {{inherit}}"),
    "installer/NoSuchPackage": installer("Error: manifest unknown"),
    "installer/RegistryUnreachable": installer("npm error ENOTFOUND registry.example"),
    "installer/PluginsNotInstalled": installer("Error: something new"),
    "database/KeyMissing": without_keys,
    "database/NoAnswer": lambda: database_job.judge(o.job(("Failed", "True")), [], {}),
    "database/JobDeleted": deleted_check,
}
# Rows whose state is borne without a word of its own: what the wait says meanwhile.
SILENT = {"subscription/EnsureInstallPlanFailed": "Resolving"}


def lasting(verdict: Verdict, seconds: float) -> str:
    """What the engine makes of a verdict that has lasted so long."""
    judge = _Judge(0.0, None)
    judge.settle({"target": verdict}, 0.0)
    return judge.settle({"target": verdict}, seconds)[0]


def remedy_pattern(text: str) -> list[str]:
    """The fixed parts of a remedy."""
    return [part for part, _name, _spec, _conversion in string.Formatter().parse(text) if part]


def test_every_row_has_an_object_set_and_every_object_set_a_row() -> None:
    assert set(CASES) | set(PODS) == {state.key for state in STATES}
    assert len({state.key for state in STATES}) == len(STATES)


@pytest.mark.parametrize("key", sorted(CASES))
def test_a_row_decides_after_its_grace_and_not_before(key: str) -> None:
    state, verdict = terminal(key), CASES[key]()
    assert verdict.reason == SILENT.get(key, state.reason), verdict
    assert verdict.message or key == "csv/RequirementsNotMet"
    if not state.ends:
        assert lasting(verdict, 1e6) == PENDING
        if key not in SILENT:
            assert all(part in verdict.remedy for part in remedy_pattern(state.remedy))
        return
    assert all(part in verdict.remedy for part in remedy_pattern(state.remedy))
    assert "{" not in verdict.remedy.replace("{{", "")
    if state.grace:
        assert lasting(verdict, state.grace - 0.1) == PENDING
    assert lasting(verdict, state.grace + 0.1) == FAILED


@pytest.mark.parametrize("key", sorted(PODS))
def test_a_pod_decides_about_its_workload_after_its_grace_and_not_before(key: str) -> None:
    state, pod = terminal(key), PODS[key]
    found = pod_states.finding(pod)
    assert found is not None
    assert (found.key, found.remedy) == (key, hint(key, found.message) or state.remedy)
    assert "web-1" in found.message
    verdict = rollout.workload(o.deployment(), [pod])
    if not state.ends:
        assert lasting(verdict, 1e6) == PENDING
        return
    assert (verdict.reason, verdict.remedy, verdict.message) == (state.reason, found.remedy, found.message)
    assert lasting(verdict, state.grace - 0.1) == PENDING
    assert lasting(verdict, state.grace + 0.1) == FAILED


@pytest.mark.parametrize("key", sorted(state.key for state in STATES if state.stale is not None))
def test_a_text_that_was_there_before_our_change_is_borne_longer(key: str) -> None:
    state = terminal(key)
    assert state.grace < state.stale
    names = {name: "x" for _text, name, _spec, _conversion in string.Formatter().parse(state.remedy) if name}
    verdict = state.verdict("old news", stale=True, **names)
    assert lasting(verdict, state.stale - 0.1) == PENDING
    assert lasting(verdict, state.stale + 0.1) == FAILED


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.key)
def test_rows_are_complete(state: t.Any) -> None:
    assert state.source
    assert state.why.endswith(".")
    assert state.remedy.endswith(".") or (not state.ends and not state.remedy) or state.remedy.endswith("'.")
    assert state.ends or state.stale is None


def test_reasons_that_the_table_does_not_know() -> None:
    assert find("csv", "NeedsReinstall") is None
    assert find("csv", "TooManyOperatorGroups") is terminal("csv/TooManyOperatorGroups")
    with pytest.raises(KeyError):
        terminal("csv/NoSuchThing")


def test_deploy_failed_alone_is_never_final() -> None:
    """Observed: the operator tries everything again, and heals as soon as the cause is gone."""
    assert not terminal("backstage/DeployFailed").ends


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("pod/ImagePullBackOff", "toomanyrequests: You have reached your pull rate limit", "limits pulls"),
        ("pod/ImagePullBackOff", "failed to verify certificate: x509: unknown authority", "trust"),
        ("pod/ImagePullBackOff", "unauthorized: authentication required", "pull secret"),
        ("pod/ImagePullBackOff", "manifest unknown", "tag or digest"),
        ("pod/ImagePullBackOff", "dial tcp: lookup r: no such host", "does not reach"),
        ("pod/CreateContainerConfigError", "couldn't find key PASSWORD in Secret home/db", "missing key"),
        ("pod/CreateContainerConfigError", "container has runAsNonRoot and image will run as root", "not root"),
        ("pod/CrashLoopBackOff", 'FATAL: password authentication failed for user "x"', "old volume"),
        ("pod/CrashLoopBackOff", 'FATAL: database "orch" does not exist', "orchestrator_database"),
        ("pod/CrashLoopBackOff", "java.net.UnknownHostException: pg", "does not resolve"),
        ("pod/CrashLoopBackOff", "Connection to pg:5432 refused", "does not listen"),
        ("pod/CrashLoopBackOff", "exec /app: exec format error", "architecture"),
        ("pod/CrashLoopBackOff", "something new", ""),
    ],
)
def test_texts_lead_to_a_better_remedy(key: str, text: str, says: str) -> None:
    assert says in hint(key, text)
    assert bool(hint(key, text)) == bool(says)


def test_hints_belong_to_rows() -> None:
    assert {row for row, _pattern, _remedy in HINTS} <= {state.key for state in STATES}
