# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Backstage with the orchestrator: its spec, what forbids it, what ready means, why it fails. PRIVATE.

Decisions are pure functions over plain dicts. What differs between releases comes from the release table's row.
"""

from __future__ import annotations

import copy
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import (
    hub_database,
    uses,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Verdict,
    condition,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import (
    workload,
)

PLATFORM = "sonataflow-platform"
POLICIES = (
    "allow-external-communication",
    "allow-infra-ns-to-workflow-ns",
    "allow-intra-network",
    "allow-monitoring-to-sonataflow-and-workflows",
)
# Goes through the custom resource to the Deployment without a rollout: on it, the operator has seen our change.
HANDSHAKE = "rhdh.orchestrator/seen"
# On a platform that was taken out of a Backstage's ownership, with that one's name: it may have it back.
RELEASED = "rhdh.orchestrator/released-by"
TOUCHED = "rhdh.orchestrator/touched"  # any change of the custom resource makes the operator retry at once
APP_LABEL = "rhdh.redhat.com/app"
INSTALLER = "install-dynamic-plugins"  # the init container that downloads every plugin


class Names(t.NamedTuple):
    """What the operator calls its objects for one Backstage."""

    name: str
    namespace: str

    @property
    def workload(self) -> str:
        """Deployment (or StatefulSet), Service and Route."""
        return f"backstage-{self.name}"

    @property
    def database(self) -> str:
        """StatefulSet and Service of the local database."""
        return f"backstage-psql-{self.name}"

    @property
    def database_secret(self) -> str:
        """Secret of the local database."""
        return f"backstage-psql-secret-{self.name}"

    @property
    def database_claim(self) -> str:
        """PersistentVolumeClaim of the local database; outlives the Backstage."""
        return f"data-backstage-psql-{self.name}-0"

    @property
    def plugins(self) -> str:
        """Our own plugin ConfigMap, where the user has none."""
        return f"{self.name}-orchestrator-plugins"


# -- the spec -------------------------------------------------------------------------------------------------------


def merged(base: t.Any, over: t.Any) -> t.Any:
    """Merge two specs: mappings by key, everything else of `over` wins."""
    if isinstance(base, dict) and isinstance(over, dict):
        result = dict(base)
        for key, value in over.items():
            result[key] = merged(base[key], value) if key in base else copy.deepcopy(value)
        return result
    return copy.deepcopy(over)


def merge_flavours(current: list[Object] | None, orchestrator: bool, lightspeed: bool | None) -> list[Object]:
    """Return the list of flavours to write: what is there, with ours put right and each name once.

    The list is written as a whole. Lightspeed is on where it is not listed, except where the list was empty on
    purpose; `lightspeed` None keeps that as it was.
    """
    wanted: dict[str, Object] = {}  # of two with one name the operator takes the last
    for flavour in current or []:
        wanted[flavour["name"]] = {"name": flavour["name"], "enabled": flavour.get("enabled", True)}
    wanted["orchestrator"] = {"name": "orchestrator", "enabled": orchestrator}
    if lightspeed is None and current == []:
        lightspeed = False
    if lightspeed is not None:
        wanted["lightspeed"] = {"name": "lightspeed", "enabled": lightspeed}
    return list(wanted.values())


def desired_spec(
    row: Object,
    live: Object | None,
    *,
    user: Object,
    orchestrator: bool,
    lightspeed: bool | None,
    replicas: int | None,
    plugins_config_map: str | None,
    token: str | None,
) -> Object:
    """Return the part of a Backstage's spec that we own."""
    spec = copy.deepcopy(user)
    if row["behaviour"]["flavours"]:
        current = user["flavours"] if "flavours" in user else ((live or {}).get("spec") or {}).get("flavours")
        spec["flavours"] = merge_flavours(current, orchestrator, lightspeed)
    if plugins_config_map:
        spec = merged(spec, {"application": {"dynamicPluginsConfigMapName": plugins_config_map}})
    if replicas is not None:
        spec = merged(spec, {"deployment": {"patch": {"spec": {"replicas": replicas}}}})
    if token:
        spec = merged(spec, {"deployment": {"patch": {"metadata": {"annotations": {HANDSHAKE: token}}}}})
    return spec


def token_of(backstage: Object | None) -> str | None:
    """Return the handshake token that a Backstage carries for its Deployment."""
    node: t.Any = (backstage or {}).get("spec") or {}
    for step in ("deployment", "patch", "metadata", "annotations", HANDSHAKE):
        node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None


def plugins_config_map(spec: Object) -> str | None:
    """Return the name of the plugin ConfigMap that a spec refers to."""
    return (spec.get("application") or {}).get("dynamicPluginsConfigMapName") or None


def local_database(spec: Object) -> bool:
    """Tell whether the operator runs the database."""
    return (spec.get("database") or {}).get("enableLocalDb", True) is not False


def workload_kind(spec: Object) -> k.Kind:
    """Return the kind of workload that runs the Hub."""
    return k.STATEFUL_SET if (spec.get("deployment") or {}).get("kind") == "StatefulSet" else k.DEPLOYMENT


def references(spec: Object) -> list[tuple[k.Kind, str]]:
    """Return the ConfigMaps and Secrets that a spec refers to; each must exist before the operator reads it."""
    application = spec.get("application") or {}
    found: list[tuple[k.Kind, str]] = []
    for part in ("appConfig", "extraFiles", "extraEnvs"):
        for key, kind in (("configMaps", k.CONFIG_MAP), ("secrets", k.SECRET)):
            for reference in (application.get(part) or {}).get(key) or []:
                if isinstance(reference, dict) and reference.get("name"):
                    found.append((kind, reference["name"]))
    return list(dict.fromkeys(found))


# -- what forbids it ------------------------------------------------------------------------------------------------


def spec_problems(row: Object, user: Object) -> list[str]:
    """Return what is wrong with the user's spec for a release."""
    problems = []
    if "flavours" in user and not row["behaviour"]["flavours"]:
        problems.append(
            f"spec.flavours: Developer Hub {row['name']} has no flavours; list plugins in a ConfigMap and name it in "
            "spec.application.dynamicPluginsConfigMapName."
        )
    if "flavours" in user and not (
        isinstance(user["flavours"], list) and all(isinstance(f, dict) and f.get("name") for f in user["flavours"])
    ):
        problems.append("spec.flavours must be a list of mappings with a name.")
    for path in ("application", "database", "deployment"):
        if path in user and not isinstance(user[path], dict):
            problems.append(f"spec.{path} must be a mapping.")
    if isinstance(user.get("deployment"), dict) and not isinstance(user["deployment"].get("patch", {}), dict):
        problems.append("spec.deployment.patch must be a mapping.")
    return problems


def served_problem(row: Object, served: t.Sequence[str]) -> str:
    """Say what is wrong with the API versions in which Backstage is served; empty when the release's is there."""
    wanted = row["backstage_api"]
    hub = row["operators"]["hub"]
    if not served:
        return (
            f"Backstage is not served: install the Developer Hub operator first (package {hub['package']}, "
            f"channel {hub['channel']})."
        )
    if wanted in served:
        return ""
    return (
        f"Backstage is served as {', '.join(served)}, not as {wanted}, which Developer Hub {row['name']} needs: "
        "another release of the operator is installed. Set `release` to it, or move the operator to channel "
        f"{hub['channel']}."
    )


def owner_of(obj: Object | None) -> tuple[str, str, str] | None:
    """Return kind, name and uid of an object's controller."""
    for reference in ((obj or {}).get("metadata") or {}).get("ownerReferences") or []:
        if reference.get("controller"):
            return reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
    return None


def release(platform: Object, uid: str) -> Object:
    """Return the patch that takes a platform out of the ownership of the Backstage with this uid."""
    metadata = platform["metadata"]
    ours = [each for each in metadata.get("ownerReferences") or [] if each.get("uid") == uid]
    rest = [each for each in metadata.get("ownerReferences") or [] if each.get("uid") != uid]
    return {
        "metadata": {
            "ownerReferences": rest or None,
            "annotations": {RELEASED: ours[0]["name"]} if ours else {},
        }
    }


def taken_back(platform: Object, names: Names) -> bool:
    """Tell whether a platform without an owner was this Backstage's, and still is on its PostgreSQL."""
    annotations = platform["metadata"].get("annotations") or {}
    was_ours = owner_of(platform) is None and annotations.get(RELEASED) == names.name
    return was_ours and uses(platform, hub_database(names.name, names.namespace))


def dependency_problems(backstage: Object | None, dependencies: t.Iterable[Object], names: Names) -> list[str]:
    """Return one problem per platform or policy that the operator would take over, and delete with the Backstage."""
    problems = []
    ours = ("Backstage", backstage["metadata"]["name"], backstage["metadata"]["uid"]) if backstage else None
    for obj in dependencies:
        owner = owner_of(obj)
        if (owner is not None and owner == ours) or (obj["kind"] == "SonataFlowPlatform" and taken_back(obj, names)):
            continue
        kind, name, namespace = obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
        whose = f"it belongs to {owner[0]} {owner[1]}" if owner else "it has no owner"
        problems.append(
            f"{kind} {name} exists in {namespace} and {whose}: the Developer Hub operator would take it over by force "
            f"and delete it with this Backstage. Use another namespace, or remove it: oc delete {kind.lower()} {name} "
            f"-n {namespace}"
            + (" (or keep it, with orchestrator.platform: self)" if kind == "SonataFlowPlatform" else "")
        )
    return problems


def has_orchestrator(backstage: Object, dependencies: t.Iterable[Object], asks_by_plugins: bool) -> bool:
    """Tell whether another Backstage runs the orchestrator: by flavour, by plugins, or by what it owns."""
    for flavour in (backstage.get("spec") or {}).get("flavours") or []:
        if flavour.get("name") == "orchestrator" and flavour.get("enabled", True):
            return True
    uid = backstage["metadata"]["uid"]
    return asks_by_plugins or any((owner_of(obj) or ("", "", ""))[2] == uid for obj in dependencies)


def second_problem(name: str, namespace: str) -> str:
    """Say why two Backstages with the orchestrator cannot share a namespace."""
    return (
        f"Backstage {name} in {namespace} has the orchestrator already: two in one namespace take the platform and its "
        "network policies from each other without an error, and deleting one deletes them for both. Use another "
        "namespace."
    )


def external_database_problem(row: Object, names: Names, secret_exists: bool) -> str:
    """Say what is wrong with an external database next to the operator's own platform; empty when it can work."""
    if not row["behaviour"]["cleans_by_name"] and secret_exists:
        return ""
    reason = (
        f"the operator deletes a Secret of that name whenever enableLocalDb is false on Developer Hub {row['name']}"
        if row["behaviour"]["cleans_by_name"]
        else "which does not exist"
    )
    return (
        f"spec.database.enableLocalDb is false, but the platform that comes with the orchestrator's plugins reads its "
        f"credentials from Secret {names.database_secret}: {reason}. Say orchestrator.platform: self, and let "
        "rhdh.orchestrator.sonataflow_platform make the platform (managed_by: self)."
    )


# -- what ready means -----------------------------------------------------------------------------------------------


class Failure(t.NamedTuple):
    """A known cause of reason DeployFailed."""

    key: str  # row of the table of states
    summary: str
    missing: tuple[str, str] | None = None  # kind and name of what must appear


_FAILURES: tuple[tuple[str, str, str], ...] = (
    (
        r'no matches for kind "(?P<kind>\w+)" in version "(?P<name>[^"]+)"',
        "backstage/KindNotServed",
        "a kind that the operator needs is not served",
    ),
    (
        r'(?P<kind>ConfigMap|Secret) "(?P<name>[^"]+)" not found',
        "backstage/ObjectMissing",
        "an object that the spec refers to does not exist",
    ),
    (r"flavour '(?P<name>[^']+)' not found", "backstage/UnknownFlavour", "the operator does not know a flavour"),
    (
        r"failed to unmarshal|cannot unmarshal|did not find expected",
        "backstage/BadPlugins",
        "the plugin ConfigMap is not what the operator expects",
    ),
    (
        r"expects 'dynamic-plugins.yaml' Data key",
        "backstage/WrongKey",
        "the plugin ConfigMap has the wrong key",
    ),
    (
        r'SonataFlowPlatform\S* "sonataflow-platform" is invalid',
        "backstage/PlatformInvalid",
        "the platform holds fields that the operator cannot combine with its own (a jdbcUrl, say)",
    ),
)


def explain_failure(message: str) -> Failure:
    """Classify the message of reason DeployFailed. Nothing here is final at once: the operator retries."""
    for pattern, key, summary in _FAILURES:
        found = re.search(pattern, message)
        if found:
            groups = found.groupdict()
            return Failure(key, summary, (groups["kind"], groups["name"]) if "kind" in groups else None)
    return Failure("backstage/DeployFailed", "the operator cannot apply it")


def judge_backstage(backstage: Object | None) -> Verdict:
    """Judge the custom resource. Its condition proves little when True: the workload is judged beside it."""
    if backstage is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if backstage["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    deployed = condition(backstage, "Deployed")
    if deployed is None:
        return Verdict.pending("NoStatus", "the operator has not reported yet")
    message = " ".join((deployed.get("message") or "").split())
    if deployed.get("status") == "True":
        return Verdict.ready(message)
    if deployed.get("reason") == "DeployFailed":
        failure = explain_failure(message)
        return terminal(failure.key).verdict(f"{failure.summary}: {message}")
    return terminal("backstage/DeployInProgress").verdict(message)


def touch_due(failure: Failure, cause_gone: bool, since_touch: float) -> bool:
    """Tell whether to make the operator retry now instead of after its back-off, which doubles up to a quarter hour.

    `since_touch` is in seconds. A cause that can be checked is waited for; any other is tried now and then.
    """
    if failure.missing is not None:
        return cause_gone and since_touch >= 10.0
    return since_touch >= 60.0


def judge_seen(obj: Object | None, token: str | None) -> Verdict:
    """Judge whether the operator has acted on a change: its token arrived on the Hub's workload."""
    if obj is None:
        return Verdict.pending("NotCreated", "the operator has not created it yet")
    annotations = obj["metadata"].get("annotations") or {}
    if token and annotations.get(HANDSHAKE) != token:
        return Verdict.pending("NotSeen", "the operator has not acted on the last change yet")
    return Verdict.ready("the operator has acted on the last change")


def judge_workload(
    obj: Object | None, token: str | None, installer: Verdict | None = None, pods: t.Sequence[Object] = ()
) -> Verdict:
    """Judge the Hub's workload: our change arrived on it, and it is rolled out.

    `installer` is what the log of its plugin installation says, which tells more than its pods do.
    """
    seen = judge_seen(obj, token)
    if seen.state != READY:
        return seen
    verdict = workload(obj, pods)
    return installer if verdict.state != READY and installer is not None else verdict


def judge_platform(platform: Object | None, backstage: Object | None, names: Names, local: bool) -> Verdict:
    """Judge what the operator makes for the orchestrator: there, owned by our Backstage, on our database."""
    if platform is None:
        return Verdict.pending("NotCreated", "the operator has not created it yet")
    if backstage is None:
        return Verdict.pending("NoBackstage", "the Backstage is not there")
    owner = owner_of(platform)
    if owner is None or owner[0] != "Backstage" or owner[2] != backstage["metadata"]["uid"]:
        whose = f"{owner[0]} {owner[1]}" if owner else "nobody"
        return terminal("platform/NotOurs").verdict(f"is owned by {whose}, not by Backstage {names.name}")
    services = (platform.get("spec") or {}).get("services") or {}
    for service in ("dataIndex", "jobService"):
        postgresql = ((services.get(service) or {}).get("persistence") or {}).get("postgresql") or {}
        secret = (postgresql.get("secretRef") or {}).get("name")
        if local and secret != names.database_secret:
            return Verdict.pending("OtherDatabase", f"{service} uses Secret {secret}, not {names.database_secret}")
    return Verdict.ready(f"owned by Backstage {names.name}")


def judge_gone(obj: Object | None) -> Verdict:
    """Judge a removal."""
    if obj is None:
        return Verdict.ready("gone")
    left = obj["metadata"].get("finalizers") or []
    if left:
        return Verdict.pending("Finalizers", f"waits for finalizer {', '.join(left)}")
    return Verdict.pending("Deleting", "still there")


def stuck_in_foreground(backstage: Object | None) -> bool:
    """Tell whether a Backstage is being deleted in the foreground: that never ends, its operator recreates children."""
    metadata = (backstage or {}).get("metadata") or {}
    return bool(metadata.get("deletionTimestamp")) and "foregroundDeletion" in (metadata.get("finalizers") or [])


# -- why the plugins do not come ------------------------------------------------------------------------------------

# What its log says -> row of the table of states.
_INSTALLER_CAUSES: tuple[tuple[str, str], ...] = (
    (r"No integrity hash", "installer/NoIntegrity"),
    (
        r"integrity (?:check|verification)|[Hh]ash mismatch|does not match the provided integrity",
        "installer/WrongIntegrity",
    ),
    (r"[Zz]ip bomb", "installer/TooLarge"),
    (r"ENOSPC|[Nn]o space left", "installer/NoSpace"),
    (r"\b401\b|\b403\b|[Uu]nauthorized|authentication required|denied: ", "installer/NotAllowed"),
    (r"inherit", "installer/CannotInherit"),
    (r"manifest unknown|\b404\b|E404|not found", "installer/NoSuchPackage"),
    (
        r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|[Tt]imed? ?out|no such host|onnection refused|x509|certificate",
        "installer/RegistryUnreachable",
    ),
)


def classify_installer_log(log: str) -> Verdict:
    """Turn the last lines of the init container's log into a verdict with a remedy."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"InstallException|[Ee]rror|[Ff]ail", line)]
    last = " | ".join((telling or lines)[-2:])[:400]
    for pattern, key in _INSTALLER_CAUSES:
        if any(re.search(pattern, line) for line in telling):
            return terminal(key).verdict(f"init container {INSTALLER}: {last}")
    return terminal("installer/PluginsNotInstalled").verdict(f"init container {INSTALLER}: {last or 'no log'}")


def failing_installer(pods: t.Iterable[Object]) -> tuple[str, int] | None:
    """Return the newest pod whose plugin installation failed, with the number of its restarts; None when none did."""
    failing = []
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for status in (pod.get("status") or {}).get("initContainerStatuses") or []:
            state = status.get("state") or {}
            ended = state.get("terminated") or (
                (status.get("lastState") or {}).get("terminated") if "waiting" in state else None
            )
            if status.get("name") == INSTALLER and ended and ended.get("exitCode"):
                created = pod["metadata"].get("creationTimestamp", "")
                failing.append((created, pod["metadata"]["name"], status.get("restartCount", 0)))
    if not failing:
        return None
    newest = max(failing)
    return newest[1], newest[2]
