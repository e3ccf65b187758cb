"""What the tests of this folder do to the sandbox's cluster, and how they call the module."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import http.client
import itertools
import json
import subprocess
import tempfile
import threading
import time
import typing as t
import uuid
from concurrent import futures
from pathlib import Path

import yaml

from sandbox import audit, settings
from sandbox.catalog import build
from sandbox.cluster import lifecycle, supervise, tools
from sandbox.cluster.api import ApiError, Client
from sandbox.faults import switches
from sandbox.paths import Instance

from . import packages

Object = dict[str, t.Any]
CATALOG, CATALOGS = "redhat-operators", "openshift-marketplace"
CREATED = "rhdh.orchestrator/created"
KINDS = {  # kind: (group and version, plural)
    "Namespace": ("v1", "namespaces"),
    "Pod": ("v1", "pods"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Deployment": ("apps/v1", "deployments"),
    "Job": ("batch/v1", "jobs"),
    "CatalogSource": ("operators.coreos.com/v1alpha1", "catalogsources"),
    "ClusterServiceVersion": ("operators.coreos.com/v1alpha1", "clusterserviceversions"),
    "InstallPlan": ("operators.coreos.com/v1alpha1", "installplans"),
    "OperatorGroup": ("operators.coreos.com/v1", "operatorgroups"),
    "OperatorCondition": ("operators.coreos.com/v2", "operatorconditions"),
    "Subscription": ("operators.coreos.com/v1alpha1", "subscriptions"),
    "PackageManifest": ("packages.operators.coreos.com/v1", "packagemanifests"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
}
CSV = "ClusterServiceVersion"
OPTIONS: Object = {
    "state": "present",
    "wait": True,
    "wait_timeout": 240,
    "manage_adopted": False,
    "replace_orphan": False,
    "reset_failed_plan": False,
    "recreate_dead_subscription": False,
    "ignore_custom_resources": False,
    "delete_crds": False,
}


_NUMBERS = itertools.count(1)  # of namespaces without a name
_SETTINGS = threading.Lock()  # read, change, write


@dataclasses.dataclass
class Outcome:
    """How one call of the module ended: `ok`, `refused` (before the first write) or `failed`."""

    ending: str
    message: str
    result: Object
    seconds: float
    requests: list[str]  # `verb URI` of each, as the API server's audit log has them
    writes: list[str]
    warnings: list[str]

    @property
    def operator(self) -> Object:
        """The result's only operator."""
        (found,) = self.result["operators"]
        return t.cast(Object, found)

    def wrote(self, verb: str, plural: str) -> list[str]:
        """The writes of one verb to one kind."""
        return [uri for uri in self.writes if uri.startswith(f"{verb} ") and f"/{plural}" in uri]


class Fake:
    """What the module's function needs of AnsibleModule."""

    def __init__(self, params: Object) -> None:
        self.params, self.warnings = params, []
        self.warn = self.warnings.append


def where(kind: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """REST path of a kind."""
    version, plural = KINDS[kind]
    parts = ["", "apis" if "/" in version else "api", version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (plural, name, subresource) if part]
    return "/".join(parts)


class Hands:
    """Everything is done with the sandbox's own client, which the audit log leaves out; only module calls are in it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._clients = threading.local()
        self._homes: set[str] = set()
        self._at_first = {item["metadata"]["name"] for item in self.list("Namespace")}

    @property
    def api(self) -> Client:
        """A client of this thread."""
        if not hasattr(self._clients, "api"):
            self._clients.api = lifecycle.client(self.instance)
        return t.cast(Client, self._clients.api)

    # -- objects ---------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        return self.api.get(where(kind, namespace, name))

    def there(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object that must exist."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"{kind} {namespace}/{name} is missing"
        return found

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind."""
        return list((self.api.get(where(kind, namespace)) or {}).get("items", []))

    def create(self, kind: str, name: str, namespace: str | None = None, **content: t.Any) -> Object:
        """Create an object; `status` of a kind whose status is a subresource is written after it."""
        labels = {key: content.pop(key) for key in ("labels", "annotations", "ownerReferences") if key in content}
        body = {
            "apiVersion": content.pop("apiVersion", KINDS[kind][0]),
            "kind": kind,
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), **labels},
            **content,
        }
        made = self.api.request("POST", where(kind, namespace), body)
        if "status" in content:
            made = self.patch(kind, name, namespace, {"status": content["status"]}, "status")
        return t.cast(Object, made)

    def patch(self, kind: str, name: str, namespace: str | None, change: Object, subresource: str = "") -> Object:
        """Merge-patch an object."""
        path = where(kind, namespace, name, subresource)
        return t.cast(Object, self.api.request("PATCH", path, change, "application/merge-patch+json"))

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: t.Any) -> None:
        """Delete an object if it is there."""
        with contextlib.suppress(ApiError):
            self.api.request("DELETE", where(kind, namespace, name), options or None)

    def phase(self, kind: str, name: str, namespace: str) -> str:
        """Phase of an object; empty when it has none or is not there."""
        return str(((self.get(kind, name, namespace) or {}).get("status") or {}).get("phase") or "")

    def define(self, kind: str, group: str) -> None:
        """Bring a CRD into the cluster, and wait until it is served."""
        body = build.crd({"kind": kind, "group": group, "versions": {"v1": "storage"}})
        self.post(where("CustomResourceDefinition"), body)
        self.until(f"{kind} is served", lambda: self.api.get(f"/apis/{group}/v1"))

    def post(self, path: str, body: Object) -> Object:
        """Create an object of any kind."""
        return t.cast(Object, self.api.request("POST", path, body))

    def until(self, what: str, look: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
        """Call `look` until it is true and return its answer."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, ApiError, http.client.HTTPException):
                if answer := look():
                    return answer
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
            time.sleep(0.1)

    # -- OLM -------------------------------------------------------------------------------------------------------

    def namespace(self, name: str = "", *groups: t.Any) -> str:
        """A new namespace with an OperatorGroup for each of `groups`: its target namespaces, () for all, None: own."""
        name = name or f"t{next(_NUMBERS)}"
        self._homes.add(name)
        self.create("Namespace", name)
        for number, targets in enumerate(groups):
            targets = [name] if targets is None else list(targets)
            spec = {"targetNamespaces": targets} if targets else {}
            self.create("OperatorGroup", f"group-{number}", name, spec=spec)
        return name

    def subscribe(self, package: str, namespace: str, *, name: str = "", ours: bool = False, **spec: t.Any) -> Object:
        """A Subscription made by hand: Manual, of the sandbox's catalog, channel stable."""
        spec = {
            "name": package,
            "channel": "stable",
            "source": CATALOG,
            "sourceNamespace": CATALOGS,
            "installPlanApproval": "Manual",
            **spec,
        }
        labels = {"labels": {CREATED: "true"}} if ours else {}
        return self.create("Subscription", name or package, namespace, spec=spec, **labels)

    def status(self, name: str, namespace: str) -> Object:
        """Status of a Subscription."""
        return (self.get("Subscription", name, namespace) or {}).get("status") or {}

    def pending_plan(self, name: str, namespace: str, csv: str = "", seconds: float = 120) -> str:
        """Wait until a Subscription refers to a plan that waits for approval (of a CSV); return its name."""

        def look() -> str:
            status = self.status(name, namespace)
            plan = self.get("InstallPlan", (status.get("installPlanRef") or {}).get("name", "-"), namespace) or {}
            waits = (plan.get("status") or {}).get("phase") == "RequiresApproval"
            wanted = not csv or csv in plan.get("spec", {}).get("clusterServiceVersionNames", [])
            noted = "InstallPlanPending" in [found["type"] for found in status.get("conditions", [])]
            fits = status.get("state") == "UpgradePending" and waits and wanted and noted
            return plan["metadata"]["name"] if fits else ""

        return t.cast(str, self.until(f"a pending plan of {namespace}/{name} {csv}", look, seconds))

    def approve(self, plan: str, namespace: str) -> None:
        """Approve a plan."""
        self.patch("InstallPlan", plan, namespace, {"spec": {"approved": True}})

    def succeeded(self, csv: str, namespace: str, seconds: float = 120) -> Object:
        """Wait until a CSV has Succeeded."""

        def look() -> Object | None:
            found = self.get(CSV, csv, namespace)
            return found if ((found or {}).get("status") or {}).get("phase") == "Succeeded" else None

        return t.cast(Object, self.until(f"{csv} Succeeded in {namespace}", look, seconds))

    def installed(self, package: str, namespace: str, version: str = "1.0.0") -> str:
        """Install in an exact version, by the module; return the CSV's name."""
        done = self.call(operator(package, namespace, version=version))
        assert done.ending == "ok", done.message
        return f"{package}.v{version}"

    def installed_by_hand(self, package: str, namespace: str, name: str) -> None:
        """Install version 1.0.0 as somebody else would, under another name of the Subscription."""
        csv = f"{package}.v1.0.0"
        self.subscribe(package, namespace, name=name, startingCSV=csv)
        self.approve(self.pending_plan(name, namespace, csv), namespace)
        self.succeeded(csv, namespace)
        self.until(f"{csv} noted", lambda: self.status(name, namespace).get("installedCSV") == csv)

    def begun(self, package: str, namespace: str, version: str = "1.0.0") -> str:
        """Write everything by the module, approve by hand, and wait until the CSV is there; return its name."""
        csv = f"{package}.v{version}"
        done = self.call(operator(package, namespace, version=version), wait=False)
        assert done.ending == "ok", done.message
        self.approve(self.pending_plan(package, namespace, csv), namespace)
        self.until(f"{csv} is there", lambda: self.get(CSV, csv, namespace))
        return csv

    def leave(self) -> None:
        """Take away the operators that were installed through these hands: the more there are, the slower OLM is."""
        for home in self._homes:
            for kind in ("Subscription", CSV):
                for found in self.list(kind, home):
                    self.delete(kind, found["metadata"]["name"], home)

    def clean(self) -> None:
        """Take all operators of the traps away, and start to take away the namespaces of the test before."""
        for found in self.list("Subscription"):
            self.delete("Subscription", found["metadata"]["name"], found["metadata"]["namespace"])

        def none_left() -> bool:
            csvs = self.list(CSV)
            for csv in csvs:
                if "olm.copiedFrom" not in csv["metadata"].get("labels", {}):
                    self.delete(CSV, csv["metadata"]["name"], csv["metadata"]["namespace"])
            return not csvs

        self.until("all CSVs are gone", none_left)
        for namespace in self.list("Namespace"):
            if namespace["metadata"]["name"] not in self._at_first:
                self.delete("Namespace", namespace["metadata"]["name"])

    def unpack(self, name: str, version: str) -> None:
        """Do what the pod of an unpack Job would have done, with the same program, as soon as OLM has made the Job."""
        (package,) = (found for found in packages.PACKAGES if found["name"] == name)
        image = package["bundle_image"].replace("@VERSION@", version)

        def look() -> str:
            jobs = [job for job in self.list("Job", CATALOGS) if image in json.dumps(job["spec"])]
            return jobs[0]["metadata"]["name"] if jobs else ""

        job = self.until(f"a Job unpacks {image}", look)
        with tempfile.TemporaryDirectory() as folder:
            for place in ("manifests", "metadata"):
                (Path(folder) / place).mkdir()
            for number, manifest in enumerate(build.bundle_objects(package, {"version": version})):
                (Path(folder) / "manifests" / f"{number}.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
            command = [str(tools.directory() / "bin" / "opm"), "alpha", "bundle", "extract", "-m", f"{folder}/", "-z"]
            where_to = ["-n", CATALOGS, "-c", job, "-k", str(self.instance.kubeconfig)]
            done = subprocess.run([*command, *where_to], text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr

    # -- played by hand, while OLM itself is stopped -----------------------------------------------------------------

    def play_csv(
        self,
        name: str,
        namespace: str,
        phase: str = "Succeeded",
        reason: str = "",
        *,
        crds: t.Sequence[str] = (),
        **more: t.Any,
    ) -> Object:
        """A CSV with one Deployment, as OLM would have made it."""
        package, _dot, version = name.partition(".v")
        pod = {"metadata": {"labels": {"name": package}}, "spec": {"containers": [{"name": "manager", "image": "x"}]}}
        deployment = {
            "name": f"{package}-manager",
            "spec": {"selector": {"matchLabels": {"name": package}}, "template": pod},
        }
        owned = [{"name": crd, "version": "v1", "kind": "Thing"} for crd in crds]
        return self.create(
            CSV,
            name,
            namespace,
            spec={
                "displayName": name,
                "version": version,
                "replaces": more.pop("replaces", None),
                "installModes": [{"type": mode, "supported": True} for mode in packages.EVERYWHERE],
                "install": {"strategy": "deployment", "spec": {"deployments": [deployment]}},
                "customresourcedefinitions": {"owned": owned},
            },
            status={"phase": phase, "reason": reason, "message": more.pop("message", "")},
            **more,
        )

    def play_deployment(self, csv: str, namespace: str) -> None:
        """The Deployment of a played CSV; its pod runs at once."""
        name = csv.partition(".v")[0]
        labels = {"name": name}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "manager", "image": "x"}]}}
        spec = {"selector": {"matchLabels": labels}, "template": pod}
        self.create("Deployment", f"{name}-manager", namespace, labels={"olm.owner": csv}, spec=spec)
        self.until(
            f"{name} runs",
            lambda: (self.there("Deployment", f"{name}-manager", namespace).get("status") or {}).get("readyReplicas"),
        )

    def play_status(self, subscription: str, namespace: str, **status: t.Any) -> None:
        """What OLM says of a Subscription; `plan` is the name of the plan that it refers to."""
        plan = status.pop("plan", None)
        if plan:
            reference = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "InstallPlan", "name": plan}
            status["installPlanRef"] = {**reference, "namespace": namespace}
        status["lastUpdated"] = "2026-11-24T12:00:00Z"
        self.patch("Subscription", subscription, namespace, {"status": status}, "status")

    def play_plan(
        self, name: str, namespace: str, *csvs: str, phase: str = "RequiresApproval", generation: int = 1, **more: t.Any
    ) -> Object:
        """A plan, as OLM would have made it."""
        spec = {
            "approval": "Manual",
            "approved": more.pop("approved", False),
            "clusterServiceVersionNames": list(csvs),
            "generation": generation,
        }
        status = {"phase": phase, "catalogSources": [], "plan": [], **more} if phase else {}
        return self.create("InstallPlan", name, namespace, spec=spec, **({"status": status} if status else {}))

    def play_installed(self, package: str, namespace: str, version: str = "1.0.0") -> None:
        """A Subscription of ours with everything that it has installed."""
        csv = f"{package}.v{version}"
        done = self.call(operator(package, namespace, version=version), wait=False)
        assert done.ending == "ok", done.message
        self.play_csv(csv, namespace)
        self.play_deployment(csv, namespace)
        self.play_status(package, namespace, state="AtLatestKnown", currentCSV=csv, installedCSV=csv)

    def play_catalog_state(self, state: str) -> None:
        """What the catalog operator says of the connection to the sandbox's catalog."""
        change = {"status": {"connectionState": {"lastObservedState": state}}}
        self.patch("CatalogSource", CATALOG, CATALOGS, change, "status")

    def token(self, account: str, namespace: str, file: Path) -> str:
        """A kubeconfig with the token of a new ServiceAccount that has no rights."""
        self.create("ServiceAccount", account, namespace)
        path = where("ServiceAccount", namespace, account, "token")
        answer = self.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        config = yaml.safe_load(self.instance.kubeconfig.read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": answer["status"]["token"]}
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return str(file)

    # -- parts of the sandbox --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def stopped(self, *parts: str) -> t.Iterator[None]:
        """Run with some of the sandbox's parts stopped (`olm`, `catalog`: OLM's two operators; `opm`: the catalog)."""
        supervisor = supervise.Supervisor(self.instance)
        for part in parts:
            supervisor.stop_part(part)
        try:
            yield
        finally:
            for part in parts:
                supervisor.start_part(part)
            if "opm" in parts:
                self.until("the catalog is back", lambda: self.catalog_state() == "READY", 120)
                self.until("its packages are back", lambda: self.list("PackageManifest", CATALOGS), 60)

    def catalog_state(self) -> str:
        """Connection state of the sandbox's catalog."""
        found = self.there("CatalogSource", CATALOG, CATALOGS)
        return str(((found.get("status") or {}).get("connectionState") or {}).get("lastObservedState"))

    def serve(self, extra: list[Object]) -> None:
        """Serve a catalog with other packages, as a catalog's new image would."""
        switches.stop_catalog(self.instance)
        build.write(self.instance.root / "catalog", extra=extra)
        switches.start_catalog(self.instance)

    def channels(self, package: str) -> set[str]:
        """Channels of a package, as they are served now."""
        found = self.get("PackageManifest", package, CATALOGS) or {}
        return {channel["name"] for channel in (found.get("status") or {}).get("channels", [])}

    def heal_image(self, image: str) -> None:
        """Make one of the images that cannot be pulled possible to pull."""
        with _SETTINGS:
            bad = settings.load(self.instance.settings_file)["runtime.bad_images"]
            self.set(runtime__bad_images=[other for other in bad if other != image])

    def set(self, **values: t.Any) -> None:
        """Change switches of the sandbox; `__` stands for the dot in their names."""
        settings.update(self.instance.settings_file, {key.replace("__", "."): value for key, value in values.items()})

    # -- the module ------------------------------------------------------------------------------------------------

    def session(self, agent: str, *, check: bool = False, deadline: float = 120, kubeconfig: str = "") -> t.Any:
        """A session of the collection, with a user agent by which its requests are found in the audit log."""
        import kubernetes.config
        from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import Session

        client = kubernetes.config.new_client_from_config(kubeconfig or str(self.instance.kubeconfig))
        client.user_agent = agent
        return Session(client, check_mode=check, deadline=time.monotonic() + deadline)

    def call(self, *operators: Object, check: bool = False, kubeconfig: str = "", **options: t.Any) -> Outcome:
        """Call the module's function in this process, as the module does."""
        from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import InputError, WaitFailed
        from ansible_collections.rhdh.orchestrator.plugins.modules import olm_operator

        self._homes |= {item["namespace"] for item in operators}
        agent, mark = f"trap/{uuid.uuid4().hex}", audit.mark(self.instance.audit_log)
        module = Fake({**OPTIONS, "operators": copy.deepcopy(list(operators)), **options})
        session = self.session(agent, check=check, deadline=module.params["wait_timeout"], kubeconfig=kubeconfig)
        started = time.monotonic()
        ending, message, result = "ok", "", {}
        try:
            result = olm_operator.operators(module, session)
        except InputError as exc:
            ending, message, result = "refused", "\n".join(exc.problems), {"problems": exc.problems, **exc.extra}
        except WaitFailed as exc:
            ending, message = "failed", str(exc)
            result = {"wait": exc.result.to_dict(), "timeline": exc.result.timeline, **exc.extra}
        seconds = time.monotonic() - started
        time.sleep(0.3)  # an answer comes before its line in the audit log
        events = self._events(mark, agent)
        requests = [f"{event['verb']} {event['requestURI']}" for event in events]
        writes = [f"{event['verb']} {event['requestURI']}" for event in events if audit.is_mutating(event)]
        return Outcome(ending, message, result, seconds, requests, writes, module.warnings)

    def waits(self, namespace: str, mark: int) -> None:
        """Wait until a call has begun to wait for an operator in a namespace: nobody lists plans before that."""
        plans = where("InstallPlan", namespace)

        def look() -> bool:
            seen = audit.requests(self.instance.audit_log, mark)
            return any(event["verb"] == "list" and event["requestURI"].startswith(plans) for event in seen)

        self.until(f"a call waits in {namespace}", look)

    def _events(self, mark: int, agent: str) -> list[Object]:
        found = []
        with self.instance.audit_log.open("rb") as stream:
            stream.seek(mark)
            for line in stream:
                if agent.encode() in line and line.endswith(b"\n"):
                    found.append(json.loads(line))
        return found

    def side_by_side(self, **calls: t.Callable[[], t.Any]) -> dict[str, t.Any]:
        """Run calls at the same time; return their answers by name. The first that raises is raised."""
        answers: dict[str, t.Any] = {}
        errors: list[BaseException] = []

        def run(name: str, call: t.Callable[[], t.Any]) -> None:
            try:
                answers[name] = call()
            except BaseException as exc:  # raised again below, in the test's own thread
                errors.append(exc)

        threads = [threading.Thread(target=run, args=item) for item in calls.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in errors:
            raise error
        return answers


class Stage:
    """Scenes that are played at the same time: OLM takes its time for each."""

    def __init__(self, pool: futures.Executor, begun: dict[str, futures.Future[None]]) -> None:
        self._pool, self._begun = pool, begun

    @classmethod
    def begin(cls, hands: Hands, scenes: t.Sequence[t.Any]) -> Stage:
        """Begin all scenes."""
        pool = futures.ThreadPoolExecutor(max_workers=12)

        def play(scene: t.Any) -> None:
            mine = Hands(hands.instance)
            try:
                scene.scene(mine)
            finally:
                mine.leave()

        return cls(pool, {scene.__name__: pool.submit(play, scene) for scene in scenes})

    def of(self, name: str) -> futures.Future[None]:
        """One scene."""
        return self._begun[name]

    def end(self) -> None:
        """Wait for those that have begun, and begin no more."""
        self._pool.shutdown(cancel_futures=True)


def scene(function: t.Callable[[Hands], None]) -> t.Callable[[Stage], None]:
    """Make a test of a function that uses packages and namespaces of its own, and stops nothing that others need."""

    def test(stage: Stage) -> None:
        stage.of(function.__name__).result()

    test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
    test.scene = function  # type: ignore[attr-defined]
    return test


def operator(package: str, namespace: str, **more: t.Any) -> Object:
    """One entry of the module's `operators`."""
    return {"name": package, "namespace": namespace, **more}


BAD_IMAGES = [packages.NO_IMAGE, packages.HELD_IMAGE, packages.LATE_IMAGE]
SETTINGS = {"catalog.extra": packages.PACKAGES, "runtime.bad_images": BAD_IMAGES}
