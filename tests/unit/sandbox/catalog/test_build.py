"""What the generator writes."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.catalog import build

PACKAGES = {package["name"]: package for package in build.load_packages()}
BUNDLES = [(name, row) for name, package in PACKAGES.items() for row in package["bundles"]]
IMAGES = "registry.redhat.io/openshift-serverless-1/"


def objects_of(package: str, version: str) -> list[dict[str, Any]]:
    row = next(row for row in PACKAGES[package]["bundles"] if row["version"] == version)
    return build.bundle_objects(PACKAGES[package], row)


def config_map(package: str, version: str, name: str) -> dict[str, str]:
    found = [o for o in objects_of(package, version) if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name]
    assert found, f"{package} {version} has no ConfigMap {name}"
    return dict(found[0]["data"])


def deployments(package: str, version: str) -> dict[str, dict[str, Any]]:
    csv = objects_of(package, version)[0]
    return {d["name"]: d["spec"]["template"]["spec"] for d in csv["spec"]["install"]["spec"]["deployments"]}


def documents(outdir: Path, package: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outdir / package / "catalog.json").read_text().splitlines()]


def manifests(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found = [p["value"]["data"] for p in bundle["properties"] if p["type"] == "olm.bundle.object"]
    return [json.loads(base64.b64decode(data)) for data in found]


def test_writes_all_packages_fast_and_the_same_every_time(tmp_path: Path) -> None:
    started = time.process_time()  # of this process: others may keep the machine busy
    written = build.write(tmp_path / "one")
    assert time.process_time() - started < 3
    assert written == list(PACKAGES)
    build.write(tmp_path / "two")
    for name in written:
        one, two = (tmp_path / place / name / "catalog.json" for place in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_bundles_are_inline(tmp_path: Path) -> None:
    build.write(tmp_path)
    for name in PACKAGES:
        for document in documents(tmp_path, name):
            if document["schema"] != "olm.bundle":
                continue
            assert document["image"] == ""
            csv = manifests(document)[0]
            assert csv["kind"] == "ClusterServiceVersion"
            assert csv["metadata"]["name"] == document["name"]


def test_provided_apis_are_the_served_versions_and_the_owned_ones(tmp_path: Path) -> None:
    build.write(tmp_path)
    bundle = next(d for d in documents(tmp_path, "rhdh") if d["name"] == "rhdh-operator.v1.10.3")
    provided = [p["value"]["version"] for p in bundle["properties"] if p["type"] == "olm.gvk"]
    csv, definition = manifests(bundle)[:2]
    assert provided == ["v1alpha4", "v1alpha5"]
    assert [owned["version"] for owned in csv["spec"]["customresourcedefinitions"]["owned"]] == provided
    listed = {v["name"]: v["served"] for v in definition["spec"]["versions"]}
    assert listed == {"v1alpha1": False, "v1alpha2": False, "v1alpha3": False, "v1alpha4": True, "v1alpha5": True}


@pytest.mark.parametrize(
    ("package", "row"), BUNDLES, ids=lambda value: value if isinstance(value, str) else value["version"]
)
def test_bundle_is_whole(package: str, row: dict[str, Any]) -> None:
    objects = build.bundle_objects(PACKAGES[package], row)
    csv = objects[0]
    assert "@" not in json.dumps(csv), "a @WORD@ was not replaced"
    assert csv["spec"]["version"] == row["version"]
    assert [m["type"] for m in csv["spec"]["installModes"]] == list(build.INSTALL_MODES)
    install = csv["spec"]["install"]["spec"]
    accounts = {p["serviceAccountName"] for p in install["clusterPermissions"]}
    shipped = {o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"}
    for deployment in install["deployments"]:
        pod = deployment["spec"]["template"]["spec"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert pod["serviceAccountName"] in accounts
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for container in pod["containers"]:
            assert row["version"] in container["image"]
        for volume in pod.get("volumes", ()):
            assert volume["configMap"].get("optional") or volume["configMap"]["name"] in shipped
    for config in (o for o in objects if o["kind"] == "ConfigMap"):
        for key, text in config["data"].items():
            assert list(yaml.safe_load_all(text)), f"{config['metadata']['name']}/{key} is not YAML"
            assert "@VERSION@" not in text
            assert "@OCI@" not in text
            assert "@PLUGIN@" not in text


def test_install_modes() -> None:
    for package in PACKAGES.values():
        several = ["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"]
        assert package["install_modes"] == (several if package["name"] == "amq-streams" else ["AllNamespaces"])


def test_serverless_runs_two_played_operators_under_their_own_accounts() -> None:
    pods = deployments("serverless-operator", "1.37.1")
    assert pods["knative-operator-webhook"]["serviceAccountName"] == "knative-operator"
    assert pods["knative-operator-webhook"]["containers"][0]["image"] == (
        f"{IMAGES}serverless-openshift-kn-rhel8-operator:1.37.1"
    )
    assert pods["knative-openshift"]["containers"][0]["image"] == f"{IMAGES}serverless-kn-rhel8-operator:1.37.1"
    assert (
        pods["knative-openshift-ingress"]["containers"][0]["image"]
        == f"{IMAGES}serverless-ingress-rhel8-operator:1.37.1"
    )


@pytest.mark.parametrize(
    ("package", "version", "prefix", "base"),
    [
        ("logic-operator-rhel8", "1.36.0", "logic-operator-rhel8", "rhel8"),
        ("logic-operator", "1.38.1", "logic-operator", "rhel9"),
    ],
)
def test_logic_operand_images_are_in_the_config_map_only(package: str, version: str, prefix: str, base: str) -> None:
    pod = deployments(package, version)[f"{prefix}-controller-manager"]
    assert pod["containers"][0]["image"] == f"{IMAGES}logic-{base}-operator:{version}"
    images = yaml.safe_load(config_map(package, version, f"{prefix}-controllers-config")["controllers_cfg.yaml"])
    assert images["dataIndexPostgreSQLImageTag"] == f"{IMAGES}logic-data-index-postgresql-{base}:{version}"
    assert images["jobsServicePostgreSQLImageTag"] == f"{IMAGES}logic-jobs-service-postgresql-{base}:{version}"
    assert images["dbMigratorToolImageTag"] == f"{IMAGES}logic-db-migrator-tool-{base}:{version}"
    related = [entry["image"] for entry in objects_of(package, version)[0]["spec"]["relatedImages"]]
    assert related == [f"{IMAGES}logic-{base}-operator:{version}"], "the product's CSV does not list its operands"


def test_hub_finds_its_images_in_its_environment() -> None:
    container = deployments("rhdh", "1.10.3")["rhdh-operator"]["containers"][0]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert container["name"] == "manager"
    assert environment["RELATED_IMAGE_backstage"] == "registry.redhat.io/rhdh/rhdh-hub-rhel9:1.10.3"
    assert environment["RELATED_IMAGE_postgresql"].startswith("registry.redhat.io/rhel9/postgresql-15:")


def test_hub_may_write_jobs_but_not_read_them() -> None:
    permissions = objects_of("rhdh", "1.10.3")[0]["spec"]["install"]["spec"]["clusterPermissions"]
    jobs = [rule["verbs"] for rule in permissions[0]["rules"] if rule["apiGroups"] == ["batch"]]
    assert jobs == [["create", "delete", "patch", "update"]]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("1.7.4", ["NetworkPolicy"] * 4 + ["SonataFlowPlatform"]),
        ("1.8.0", ["NetworkPolicy"] * 4 + ["Job", "SonataFlowPlatform"]),
        ("1.10.3", ["NetworkPolicy"] * 4 + ["Job", "SonataFlowPlatform"]),
    ],
)
def test_hub_dependencies_by_release(version: str, kinds: list[str]) -> None:
    text = config_map("rhdh", version, "rhdh-plugin-deps")["sonataflow.yaml"]
    assert [document["kind"] for document in yaml.safe_load_all(text)] == kinds


@pytest.mark.parametrize(
    ("version", "plugin"),
    [("1.7.0", "1.6.0"), ("1.7.1", "1.7.1"), ("1.8.4", "1.8.2"), ("1.8.5", "1.8.9"), ("1.8.7", "1.8.12")],
)
def test_npm_plugin_version_follows_the_operator(version: str, plugin: str) -> None:
    plugins = yaml.safe_load(config_map("rhdh", version, "rhdh-default-config")["dynamic-plugins.yaml"])["plugins"]
    assert plugins[0] == {"package": f"@redhat/backstage-plugin-orchestrator@{plugin}", "disabled": True}
    assert len(plugins) == 4


def test_oci_plugins_move_from_the_defaults_to_the_flavour() -> None:
    old = yaml.safe_load(config_map("rhdh", "1.9.2", "rhdh-default-config")["dynamic-plugins.yaml"])["plugins"]
    new = yaml.safe_load(config_map("rhdh", "1.10.0", "rhdh-default-config")["dynamic-plugins.yaml"])["plugins"]
    flavour = config_map("rhdh", "1.10.0", "rhdh-flavour-orchestrator-config")
    assert len(old) == 4
    assert all(
        p["package"].startswith("oci://") and p["package"].endswith(":{{inherit}}") and p["disabled"] for p in old
    )
    assert new == []
    assert [p["disabled"] for p in yaml.safe_load(flavour["dynamic-plugins.yaml"])["plugins"]] == [False] * 4


def test_lightspeed_is_on_by_default_in_one_line_only() -> None:
    for version, default in (("1.10.3", True), ("2.1.0", False)):
        metadata = config_map("rhdh", version, "rhdh-flavour-lightspeed-config")["metadata.yaml"]
        assert yaml.safe_load(metadata) == {"enabledByDefault": default}


def test_extra_bundle_joins_a_known_package(tmp_path: Path) -> None:
    extra = {"name": "logic-operator", "bundles": [{"version": "1.40.0", "channels": ["stable"], "replaces": "1.39.2"}]}
    build.write(tmp_path, extra=[extra])
    found = next(d for d in documents(tmp_path, "logic-operator") if d["schema"] == "olm.channel")
    assert found["entries"][-1] == {"name": "logic-operator.v1.40.0", "replaces": "logic-operator.v1.39.2"}


def test_extra_package_is_added_and_gone_the_next_time(tmp_path: Path) -> None:
    broken = {
        **PACKAGES["logic-operator"],
        "name": "sandbox-broken",
        "csv": "sandbox-broken.v@VERSION@",
        "bundles": [{"version": "1.0.0", "channels": ["stable"]}],
        "deployments": [
            {
                "name": "never-ready",
                "service_account": "never-ready",
                "containers": [{"name": "manager", "image": "registry.invalid/nothing:1"}],
            }
        ],
    }
    assert "sandbox-broken" in build.write(tmp_path, extra=[broken])
    bundle = documents(tmp_path, "sandbox-broken")[-1]
    assert manifests(bundle)[0]["spec"]["install"]["spec"]["deployments"][0]["name"] == "never-ready"
    assert "sandbox-broken" not in build.write(tmp_path)
    assert not (tmp_path / "sandbox-broken").exists()


def test_webhooks_requirements_and_other_objects_are_passed_on(tmp_path: Path) -> None:
    webhook = {
        "generateName": "v.example.com",
        "deploymentName": "logic-operator-controller-manager",
        "failurePolicy": "Ignore",
    }
    needed = {"name": "gadgets.example.com", "version": "v1", "kind": "Gadget"}
    extra = {
        "name": "logic-operator",
        "webhooks": [webhook],
        "required_crds": [needed],
        "objects": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics-@MINOR@"}}],
    }
    build.write(tmp_path, extra=[extra])
    bundle = next(d for d in documents(tmp_path, "logic-operator") if d["name"] == "logic-operator.v1.38.1")
    csv, *_, service = manifests(bundle)
    assert csv["spec"]["webhookdefinitions"] == [webhook]
    assert csv["spec"]["customresourcedefinitions"]["required"] == [needed]
    assert service["metadata"]["name"] == "metrics-1.38"
    required = [p["value"] for p in bundle["properties"] if p["type"] == "olm.gvk.required"]
    assert required == [{"group": "example.com", "version": "v1", "kind": "Gadget"}]


def test_a_package_in_its_own_words(tmp_path: Path) -> None:
    """A small CRD without a file, bundles that OLM has to unpack, deprecations."""
    gone = {"reference": {"schema": "olm.channel", "name": "fast"}, "message": "use stable"}
    sized = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}
    versions = {"v1alpha1": "old", "v1": "storage"}
    extra = {
        **PACKAGES["openshift-gitops-operator"],
        "name": "small",
        "csv": "small.v@VERSION@",
        "crds": [{"kind": "Gadget", "group": "example.com", "versions": versions, "spec": sized}],
        "bundle_image": "registry.example.com/small:v1",
        "deprecations": [gone],
    }
    build.write(tmp_path, extra=[extra])
    written = documents(tmp_path, "small")
    assert written[-1] == {"schema": "olm.deprecations", "package": "small", "entries": [gone]}
    bundle = next(d for d in written if d["schema"] == "olm.bundle")
    assert bundle["image"] == "registry.example.com/small:v1"
    properties = {p["type"]: p["value"] for p in bundle["properties"]}
    assert properties["olm.gvk"] == {"group": "example.com", "version": "v1", "kind": "Gadget"}
    assert properties["olm.csv.metadata"]["displayName"] == "Red Hat OpenShift GitOps"
    assert "olm.bundle.object" not in properties
    definition = build.crd(extra["crds"][0])
    assert definition["metadata"]["name"] == "gadgets.example.com"
    assert [(v["name"], v["served"], v["storage"]) for v in definition["spec"]["versions"]] == [
        ("v1alpha1", False, False),
        ("v1", True, True),
    ]
    schema = definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"] == sized


def write_bundle(folder: Path, name: str, version: str) -> Path:
    folder.mkdir()
    csv = {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {"name": name},
        "spec": {"version": version},
    }
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a-real-one"}}
    (folder / "a.yaml").write_text(yaml.safe_dump(other))
    (folder / "b.clusterserviceversion.yaml").write_text(yaml.safe_dump(csv))
    return folder


def test_a_real_bundle_takes_the_place_of_ours(tmp_path: Path) -> None:
    real = write_bundle(tmp_path / "manifests", "rhdh-operator.v1.10.3", "1.10.3")
    build.write(tmp_path / "out", overrides={"rhdh": real})
    bundles = [d for d in documents(tmp_path / "out", "rhdh") if d["name"] == "rhdh-operator.v1.10.3"]
    assert [o["metadata"]["name"] for o in manifests(bundles[0])] == ["rhdh-operator.v1.10.3", "a-real-one"]
    assert len(bundles) == 1


def test_a_real_bundle_of_an_unknown_version_becomes_the_head(tmp_path: Path) -> None:
    real = write_bundle(tmp_path / "manifests", "logic-operator.v9.0.0", "9.0.0")
    build.write(tmp_path / "out", overrides={"logic-operator": real})
    channel = next(d for d in documents(tmp_path / "out", "logic-operator") if d["schema"] == "olm.channel")
    assert build.heads(channel["entries"]) == ["logic-operator.v9.0.0"]


def test_wrong_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(build.CatalogError, match="unknown package: nosuch"):
        build.write(tmp_path / "out", overrides={"nosuch": tmp_path})
    with pytest.raises(build.CatalogError, match="expected one ClusterServiceVersion, found 0"):
        build.write(tmp_path / "out", overrides={"rhdh": tmp_path})
    with pytest.raises(build.CatalogError, match="no version v9"):
        build.crd({"file": "backstages.yaml", "versions": {"v9": "storage"}})
    with pytest.raises(build.CatalogError, match="no schema field"):
        build.crd({"file": "backstages.yaml", "without": ["v1alpha5.spec.nosuch"]})
    with pytest.raises(build.CatalogError, match="does not exist"):
        build.crd({"file": "nosuch.yaml"})
    assert build.main([str(tmp_path / "out"), "--openshift", "latest"]) == 1
    assert "write it as 4.20" in capsys.readouterr().err


def test_command_line_prints_the_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == list(PACKAGES)
