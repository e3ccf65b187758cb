"""CRDs of an upgrade that OLM would stop at, in every form in which a plan holds them."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import crds

Object = dict[str, t.Any]
NAME = "things.example.com"
SUBSCRIPTION = {"status": {"installedCSV": "thing.v1.0.0", "currentCSV": "thing.v1.1.0"}}
BUNDLE = {
    "kind": "ConfigMap",
    "name": "0ab1",
    "namespace": "market",
    "catalogSourceName": "cat",
    "catalogSourceNamespace": "market",
    "replaces": "thing.v1.0.0",
    "properties": "{}",
}


def crd(*versions: str, stored: t.Sequence[str] = ()) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"versions": [{"name": version} for version in versions]},
        "status": {"storedVersions": list(stored)},
    }


def plan(manifest: str, resolving: str = "thing.v1.1.0") -> Object:
    steps = [
        {"resolving": resolving, "resource": {"kind": "ClusterServiceVersion", "name": resolving, "manifest": "{}"}},
        {"resolving": resolving, "resource": {"kind": "CustomResourceDefinition", "name": NAME, "manifest": manifest}},
    ]
    return {"metadata": {"name": "install-a", "namespace": "home"}, "status": {"plan": steps}}


class Cluster:
    """A session that reads plain objects by kind, and counts."""

    def __init__(self, found: t.Mapping[k.Kind, Object], forbidden: t.Collection[k.Kind] = ()) -> None:
        self.found, self.forbidden, self.read = found, forbidden, []

    def get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        self.read.append((kind.kind, name, namespace))
        if kind in self.forbidden:
            raise ApiError("GET", kind.path(namespace, name), 403, {"message": "forbidden"})
        return self.found.get(kind)


def problem(cluster: Cluster, manifest: str, subscription: Object | None = None) -> str:
    return crds.CrdCheck(t.cast(t.Any, cluster)).problem(plan(manifest), [subscription or SUBSCRIPTION])


@pytest.mark.parametrize(
    ("versions", "stored", "lost"),
    [
        (["v1"], ["v1alpha1"], ["v1alpha1"]),
        (["v1"], ["v1alpha1", "v1beta1", "v1"], ["v1alpha1", "v1beta1"]),
        (["v1alpha1", "v1"], ["v1alpha1"], []),
        (["v1"], ["v1"], []),
        (["v1"], [], []),
        ([], ["v1"], []),  # what cannot be read is left to OLM
    ],
)
def test_a_version_that_is_stored_and_not_in_the_new_crd_is_lost(
    versions: list[str], stored: list[str], lost: list[str]
) -> None:
    assert crds.dropped_versions(crd(*versions), crd("v1alpha1", stored=stored)) == lost


def test_a_manifest_in_the_plan_itself() -> None:
    cluster = Cluster({k.CRD: crd("v1alpha1", stored=["v1alpha1"])})
    text = problem(cluster, json.dumps(crd("v1")))
    assert text == f"plan install-a removes versions in which objects may be stored: v1alpha1 of {NAME}"
    assert problem(cluster, json.dumps(crd("v1alpha1", "v1"))) == ""


@pytest.mark.parametrize("packed", [True, False])
def test_a_bundle_that_was_unpacked_into_a_config_map(packed: bool) -> None:
    files = {
        "thing.clusterserviceversion.yaml": f"kind: ClusterServiceVersion\nspec: {{owned: [{NAME}]}}\n",
        "broken.yaml": f"kind: CustomResourceDefinition\n{NAME}: [",
        "things.yaml": yaml.safe_dump(crd("v1")),
    }
    config_map: Object = {"metadata": {}, "data": files}
    if packed:
        binary = {
            name: base64.b64encode(base64.b64encode(gzip.compress(text.encode()))).decode()
            for name, text in files.items()
        }
        annotations = {"olm.contentEncoding": "gzip+base64"}
        binary["noise"] = base64.b64encode(b"no gzip").decode()
        config_map = {"metadata": {"annotations": annotations}, "binaryData": binary}
    cluster = Cluster({k.CRD: crd("v1alpha1", stored=["v1alpha1"]), k.CONFIG_MAP: config_map})
    assert f"v1alpha1 of {NAME}" in problem(cluster, json.dumps(BUNDLE))
    assert cluster.read == [("CustomResourceDefinition", NAME, None), ("ConfigMap", "0ab1", "market")]


@pytest.mark.parametrize("manifest", [json.dumps(BUNDLE), json.dumps(crd("v1"))])
@pytest.mark.parametrize("forbidden", [[k.CRD], [k.CONFIG_MAP, k.CRD]])
def test_what_may_not_be_read_is_not_foreseen(manifest: str, forbidden: list[k.Kind]) -> None:
    assert problem(Cluster({}, forbidden), manifest) == ""


def test_what_is_gone_or_no_manifest_is_not_foreseen() -> None:
    live = {k.CRD: crd("v1alpha1", stored=["v1alpha1"])}
    assert problem(Cluster(live), json.dumps(BUNDLE)) == ""  # its ConfigMap was deleted
    assert problem(Cluster(live), "- [") == ""
    assert problem(Cluster(live, [k.CONFIG_MAP]), json.dumps(BUNDLE)) == ""


def test_only_upgrades_are_looked_at_and_each_plan_once() -> None:
    live = Cluster({k.CRD: crd("v1alpha1", stored=["v1alpha1"])})
    fresh = {"status": {"currentCSV": "thing.v1.1.0"}}
    other = {"status": {"installedCSV": "other.v1", "currentCSV": "other.v2"}}
    crd_check = crds.CrdCheck(t.cast(t.Any, live))
    assert crd_check.problem(plan(json.dumps(crd("v1"))), [fresh, other, {}]) == ""
    assert live.read == []
    crd_check = crds.CrdCheck(t.cast(t.Any, live))
    answers = {crd_check.problem(plan(json.dumps(crd("v1"))), [SUBSCRIPTION, other]) for _time in range(3)}
    assert len(answers) == 1
    assert "" not in answers
    assert len(live.read) == 1
