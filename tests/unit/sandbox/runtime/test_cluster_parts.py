"""Names, addresses, volumes and the image table."""

from __future__ import annotations

import asyncio
import json
import typing as t
from pathlib import Path

import pytest

from sandbox import net
from sandbox.runtime import images, names, provision, volumes
from sandbox.runtime.addresses import Pool

Object = dict[str, t.Any]


def service(name: str, **spec: t.Any) -> Object:
    return {"metadata": {"name": name, "namespace": "n"}, "spec": spec}


def endpoints(name: str, address: str, port: int, port_name: str = "", ready: bool = True) -> Object:
    return {
        "metadata": {"name": f"{name}-1", "namespace": "n", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
        "ports": [{"name": port_name, "port": port}],
    }


def test_names() -> None:
    services = [
        service("db", ports=[{"port": 5432}]),
        service("web", ports=[{"name": "http", "port": 80}]),
        service("sick", ports=[{"port": 1}]),
        service("kwok", ports=[{"port": 1}]),
        service("alias", type="ExternalName", externalName="db.n.svc.cluster.local"),
        service("elsewhere", type="ExternalName", externalName="db.example.com"),
    ]
    slices = [
        endpoints("db", "10.98.1.2", 5432),
        endpoints("web", "10.98.1.3", 8080, "http"),
        endpoints("sick", "10.98.1.4", 1, ready=False),
        endpoints("kwok", "10.97.1.4", 1),
    ]
    assert names.table(services, slices, "127.9") == {
        "db.n:5432": ["127.9.1.2:5432"],
        "web.n:80": ["127.9.1.3:8080"],
        "sick.n:1": [],
        "kwok.n:1": [],
        "alias.n:5432": ["127.9.1.2:5432"],
    }


def test_written_names_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names.write(tmp_path / "dns.json", {"db.n:5432": ["127.9.1.2:5432"], "sick.n:1": []})
    monkeypatch.setenv("SANDBOX_DNS", str(tmp_path / "dns.json"))
    assert net.resolve("db.n.svc.cluster.local", 5432) == ("127.9.1.2", 5432)
    with pytest.raises(net.NameNotResolved, match="refused"):
        net.resolve("sick", 1, "n")


def test_addresses_are_unique_and_kept() -> None:
    pool = Pool()
    assert pool.claim("10.98.0.1", "a")
    assert not pool.claim("10.98.0.1", "b")
    taken = {pool.take(f"pod-{number}") for number in range(500)}
    assert len(taken) == 500
    assert not any(address.startswith("10.98.255.") or address == "10.98.0.1" for address in taken)


LOGIC = "registry.redhat.io/openshift-serverless-1/logic-rhel9-operator:1.38.1"
POSTGRES = "registry.redhat.io/rhel9/postgresql-15:latest"


@pytest.mark.parametrize(
    ("container", "player"),
    [
        ({"name": "manager", "image": LOGIC}, "logic"),
        ({"name": "postgresql", "image": POSTGRES}, "postgres"),
        ({"name": "psql", "image": POSTGRES, "command": ["sh"]}, "postgres-client"),
        ({"name": "backstage-backend", "image": "registry.redhat.io/rhdh/rhdh-hub-rhel9:1.10.3"}, "developer-hub"),
        (
            {"name": "install-dynamic-plugins", "image": "registry.redhat.io/rhdh/rhdh-hub-rhel9:1.10.3"},
            "install-plugins",
        ),
        ({"name": "other", "image": "registry.redhat.io/rhdh/rhdh-hub-rhel9:1.10.3"}, None),
        ({"name": "x", "image": "quay.io/lightspeed-core/lightspeed-stack:0.5.3"}, None),
    ],
)
def test_the_table(container: Object, player: str | None) -> None:
    entry = images.find(images.load(), container)
    assert (entry and entry.player) == player


def test_a_setting_puts_a_real_program_in_a_stand_ins_place() -> None:
    table = images.load([{"match": "logic-rhel9-operator", "player": "real", "command": ["/bin/manager", "{args}"]}])
    container = {"name": "manager", "image": LOGIC, "args": ["--a", "--b"]}
    entry = images.find(table, container)
    assert entry is not None
    assert images.command_line(entry, container) == ["/bin/manager", "--a", "--b"]


def test_a_pod_is_ours_by_any_of_its_containers() -> None:
    table = images.load()
    assert images.plays(table, {"spec": {"containers": [{"image": "x"}], "initContainers": [{"image": POSTGRES}]}})
    assert not images.plays(table, {"spec": {"containers": [{"image": "x"}]}})


CLAIM: Object = {
    "metadata": {
        "name": "data",
        "namespace": "n",
        "uid": "1-2",
        "annotations": {"volume.kubernetes.io/storage-provisioner": provision.PROVISIONER},
    },
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def test_provisioning() -> None:
    immediate = {"metadata": {"name": "standard"}}
    assert provision.wanted(CLAIM, immediate)
    assert not provision.wanted(CLAIM, {**immediate, "volumeBindingMode": "WaitForFirstConsumer"})
    assert not provision.wanted({**CLAIM, "spec": {**CLAIM["spec"], "volumeName": "v"}}, immediate)
    volume = provision.volume(CLAIM, immediate, Path("/data"))
    assert volume["metadata"]["name"] == "pvc-1-2"
    assert not provision.removable({**volume, "status": {"phase": "Bound"}})
    assert provision.removable({**volume, "status": {"phase": "Released"}})


def mounted(tmp_path: Path, pod: Object, objects: dict[tuple[str, str], Object]) -> Path:
    async def lookup(kind: str, name: str) -> t.Any:
        return objects.get((kind, name))

    async def get(path: str) -> t.Any:
        return objects.get(("get", path))

    pod = {"metadata": {"name": "p", "namespace": "n"}, **pod}
    places = asyncio.run(volumes.prepare(pod, tmp_path / "pod", tmp_path / "data", lookup, get))
    root = tmp_path / "root"
    volumes.mount(pod["spec"]["containers"][0], root, places, {})
    return root


def test_mounts_with_sub_paths_inside_other_mounts(tmp_path: Path) -> None:
    mounts = [
        {"name": "config", "mountPath": "/app/src/app.yaml", "subPath": "app.yaml"},
        {"name": "work", "mountPath": "/app/src"},
        {"name": "claim", "mountPath": "/data"},
    ]
    claims = "/api/v1/namespaces/n/persistentvolumeclaims/c"
    pod = {
        "spec": {
            "containers": [{"name": "c", "volumeMounts": mounts}],
            "volumes": [
                {"name": "config", "configMap": {"name": "c"}},
                {"name": "work", "emptyDir": {}},
                {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
            ],
        }
    }
    objects = {
        ("configmaps", "c"): {"data": {"app.yaml": "x: 1"}},
        ("get", claims): {"status": {"phase": "Bound"}, "spec": {"volumeName": "pv"}},
    }
    root = mounted(tmp_path, pod, objects)
    assert (root / "app/src/app.yaml").read_text(encoding="utf-8") == "x: 1"
    (root / "data/file").write_text("kept", encoding="utf-8")
    assert (tmp_path / "data/pv/file").exists()
    with pytest.raises(
        volumes.NotReady, match=r'^MountVolume.SetUp failed for volume "config" : configmap "c" not found$'
    ):
        mounted(tmp_path, pod, {key: value for key, value in objects.items() if key[0] == "get"})


def test_the_names_file_is_plain_json(tmp_path: Path) -> None:
    names.write(tmp_path / "f", {"a.b:1": []})
    assert json.loads((tmp_path / "f").read_text(encoding="utf-8")) == {"a.b:1": []}
