"""The cluster of the tests of this folder, with OLM in it, and how they call the module."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

import yaml

from sandbox import audit
from sandbox.catalog import build
from sandbox.cluster import tools
from sandbox.faults import switches
from sandbox.paths import Instance
from tests.toolkit import modules
from tests.toolkit.cluster import Cluster, Object, where
from tests.toolkit.modules import Outcome

from . import packages

CATALOG, CATALOGS = "redhat-operators", "openshift-marketplace"
CREATED = "rhdh.orchestrator/created"
CSV = "ClusterServiceVersion"
OPTIONS: Object = {
    "state": "present",
    "wait": True,
    "wait_timeout": 240,
    "manage_adopted": False,
    "delete_adopted": False,
    "replace_orphan": False,
    "reset_failed_plan": False,
    "recreate_dead_subscription": False,
    "ignore_custom_resources": False,
    "delete_crds": False,
}


_NUMBERS = itertools.count(1)  # of namespaces without a name


class OlmCluster(Cluster):
    """The cluster, with the traps' operators; it knows in which namespaces it has installed some."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self._homes: set[str] = set()
        self._at_first = {item["metadata"]["name"] for item in self.all("Namespace")}

    def phase(self, kind: str, name: str, namespace: str) -> str:
        """Phase of an object; empty when it has none or is not there."""
        return str(((self.get(kind, name, namespace) or {}).get("status") or {}).get("phase") or "")

    def define(self, kind: str, group: str) -> None:
        """Bring a CRD into the cluster, and wait until it is served."""
        body = build.crd({"kind": kind, "group": group, "versions": {"v1": "storage"}})
        self.post(where("CustomResourceDefinition"), body)
        self.until(f"{kind} is served", lambda: self.api.get(f"/apis/{group}/v1"))

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
                for found in self.all(kind, home):
                    self.delete(kind, found["metadata"]["name"], home)

    def clean(self) -> None:
        """Take all operators of the traps away, and start to take away the namespaces of the test before."""
        for found in self.all("Subscription"):
            self.delete("Subscription", found["metadata"]["name"], found["metadata"]["namespace"])

        def none_left() -> bool:
            csvs = self.all(CSV)
            for csv in csvs:
                if "olm.copiedFrom" not in csv["metadata"].get("labels", {}):
                    self.delete(CSV, csv["metadata"]["name"], csv["metadata"]["namespace"])
            return not csvs

        self.until("all CSVs are gone", none_left)
        for namespace in self.all("Namespace"):
            if namespace["metadata"]["name"] not in self._at_first:
                self.delete("Namespace", namespace["metadata"]["name"])

    def unpack(self, name: str, version: str) -> None:
        """Do what the pod of an unpack Job would have done, with the same program, as soon as OLM has made the Job."""
        (package,) = (found for found in packages.PACKAGES if found["name"] == name)
        image = package["bundle_image"].replace("@VERSION@", version)

        def look() -> str:
            jobs = [job for job in self.all("Job", CATALOGS) if image in json.dumps(job["spec"])]
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

    # -- parts of the sandbox --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def stopped(self, *parts: str) -> t.Iterator[None]:
        """Run with some of the sandbox's parts stopped (`olm`, `catalog`: OLM's two operators; `opm`: the catalog)."""
        try:
            with self.without_parts(*parts):
                yield
        finally:
            if "opm" in parts:
                self.until("the catalog is back", lambda: self.catalog_state() == "READY")
                self.until("its packages are back", lambda: self.all("PackageManifest", CATALOGS))

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
        self.change("runtime.bad_images", lambda bad: [other for other in bad if other != image])

    # -- the module ------------------------------------------------------------------------------------------------

    def call(self, *operators: Object, check: bool = False, kubeconfig: str = "", **options: t.Any) -> Outcome:
        """Call the module's function in this process."""
        self._homes |= {item["namespace"] for item in operators}
        params = {**OPTIONS, "operators": copy.deepcopy(list(operators)), **options}
        return modules.call(self, "olm_operator", "operators", params, check=check, kubeconfig=kubeconfig)

    def waits(self, namespace: str, mark: int) -> None:
        """Wait until a call has begun to wait for an operator in a namespace: nobody lists plans before that."""
        plans = where("InstallPlan", namespace)

        def look() -> bool:
            seen = audit.requests(self.instance.audit_log, mark)
            return any(event["verb"] == "list" and event["requestURI"].startswith(plans) for event in seen)

        self.until(f"a call waits in {namespace}", look)

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


def operator(package: str, namespace: str, **more: t.Any) -> Object:
    """One entry of the module's `operators`."""
    return {"name": package, "namespace": namespace, **more}
