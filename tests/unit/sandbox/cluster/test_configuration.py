"""What the parts are told: command lines, kwok's selector, audit policy, manifests."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest
import yaml

from sandbox.cluster import base, kwok, pki, programs
from sandbox.cluster.tools import Tools
from sandbox.paths import Instance


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """A sandbox with chosen ports that was never started."""
    monkeypatch.setattr("sandbox.paths._LONGEST_ROOT", 500)
    monkeypatch.setenv("RHDH_SANDBOX_HOME", str(tmp_path))
    made = Instance("unit")
    made.create_root()
    ports = {name: 20000 + number for number, name in enumerate(programs.PORTS)}
    state = {"ports": ports, "loopback": 77, "tokens": programs.new_tokens()}
    made.state_file.write_text(json.dumps(state))
    return made


def test_every_part_has_its_own_port_and_identity(instance: Instance) -> None:
    parts = programs.programs(instance, Tools(Path("/t"), {}))
    assert [part.name for part in parts[:3]] == ["etcd", "network", "apiserver"]
    commands = " ".join(" ".join(part.command) for part in parts)
    # The kubelet port is served by `network`, the fault port by `faults`; both read the state.
    for name, port in instance.state["ports"].items():
        assert name in ("faults",) or str(port) in commands, name
    assert "--kubeconfig=" + str(instance.part_kubeconfig("kwok")) in commands


def test_configuration_files_are_private_and_readable_by_their_programs(instance: Instance) -> None:
    parts = programs.programs(instance, Tools(Path("/t"), {}))
    programs.write_configuration(instance, parts)
    for path in (instance.kubeconfig, instance.part_kubeconfig("runtime"), instance.secrets / "tokens.csv"):
        assert path.stat().st_mode & 0o077 == 0
    config = json.loads(instance.kubeconfig.read_text())
    assert config["users"][0]["name"] == programs.ADMIN
    assert config["clusters"][0]["cluster"]["server"].endswith(str(instance.state["ports"]["apiserver"]))
    supervisord = configparser.RawConfigParser()
    supervisord.read(instance.root / "supervisord.conf")
    assert {f"program:{part.name}" for part in parts} <= set(supervisord.sections())
    assert "inet_http_server" not in supervisord.sections()


def test_audit_log_is_about_people_not_parts() -> None:
    rules = programs.audit_policy()["rules"]
    silent = {user for rule in rules if rule["level"] == "None" for user in rule.get("users", [])}
    assert programs.ADMIN not in silent
    assert "sandbox-runtime" in silent
    assert rules[-1] == {"level": "Metadata"}


def test_kwok_leaves_played_images_alone() -> None:
    patterns = [r"^registry\.example/a[0-9]+[:@]", "^b:"]
    expression = json.loads(kwok.unplayed_selector(patterns))
    assert expression["operator"] == "DoesNotExist"
    inside = re.search(r'test\((".*")\)', expression["key"])
    assert inside
    regex = json.loads(inside.group(1))
    assert re.search(regex, "registry.example/a1:2")
    assert not re.search(regex, "registryXexample/a1:2")
    assert json.loads(kwok.unplayed_selector([]))["operator"] == "Exists"


def test_kwok_configuration_is_yaml_with_nothing_left_to_fill_in() -> None:
    text = kwok.render(["^a:"], "apps.x.sandbox.invalid")
    stages = [stage for stage in yaml.safe_load_all(text) if stage]
    assert "${" not in text
    assert {stage["metadata"]["name"] for stage in stages} >= {
        "node-ready",
        "pod-ready",
        "pod-complete",
        "route-admitted",
    }


def test_openshift_objects_are_filled_in_and_known(instance: Instance) -> None:
    instance.settings_file.write_text(json.dumps({"openshift.version": "4.19.3"}))
    objects = base.openshift_objects(instance)
    assert "${" not in json.dumps(objects)
    version = next(item for item in objects if item["kind"] == "ClusterVersion")
    assert version["status"]["desired"]["version"] == "4.19.3"
    assert version["spec"]["channel"] == "stable-4.19"
    names = {item["metadata"]["name"] for item in base.custom_resources()}
    # OLM's informers never sync when one of these is missing.
    for plural in ("proxies", "apiservers", "clusterversions", "ingresses", "infrastructures"):
        assert f"{plural}.config.openshift.io" in names


def test_keys_are_made_once(tmp_path: Path) -> None:
    pki.ensure(tmp_path / "pki")
    first = (tmp_path / "pki" / "ca.crt").read_bytes()
    pki.ensure(tmp_path / "pki")
    assert (tmp_path / "pki" / "ca.crt").read_bytes() == first
    (tmp_path / "pki" / "complete").unlink()
    pki.ensure(tmp_path / "pki")
    assert (tmp_path / "pki" / "ca.crt").read_bytes() != first
