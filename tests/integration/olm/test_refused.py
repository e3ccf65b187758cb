"""What is refused before the first write, each with what does exist or what to do, and all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toolkit.cluster import Object, where
from tests.toolkit.modules import Outcome

from .operators import CATALOG, CATALOGS, CSV, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)


def refused(done: Outcome, *texts: str) -> Outcome:
    assert done.ending == "refused", (done.ending, done.message, done.result)
    assert done.writes == []
    for text in texts:
        assert text in done.message, done.message
    return done


@pytest.mark.parametrize("check", [False, True])
def test_all_that_is_wrong_with_the_input_is_one_message(cluster: OlmCluster, check: bool) -> None:
    done = cluster.call(
        operator("trap-steps", "in", version="1.1.0", approval="Automatic"),
        operator("trap-steps", "Bad_Name"),
        operator("trap-more", "in", version="1.0.0", csv="trap-more.v1.0.0"),
        operator("trap-old", "in", version_range="about 1"),
        check=check,
    )
    refused(done, "does not hold: OLM would run on", "'Bad_Name' is not a valid", "named twice", "exclude each other")
    assert len(done.result["problems"]) == 5
    assert done.requests == []
    assert "list is empty" in refused(cluster.call(check=check)).message


def test_what_does_not_exist_is_told_with_what_does(cluster: OlmCluster) -> None:
    """Package, channel, version, CSV, range, catalog: near misses first, and where a version is instead."""
    done = cluster.call(
        operator("trap-step", "in"),
        operator("trap-more", "in", channel="stabel"),
        operator("trap-steps", "in", channel="old", version="1.2.0"),
        operator("trap-third", "in", csv="trap-third.v1.0"),
        operator("trap-suffix", "in", version_range=">=3.3.0"),
        operator("trap-old", "in", catalog="redhat-operator"),
    )
    refused(
        done,
        "no package 'trap-step' in catalog redhat-operators; there are: trap-steps, ",
        "no channel 'stabel' in package trap-more of catalog redhat-operators; there are: stable, old",
        "no version '1.2.0' in channel old; there are: 1.0.0. It is in channel stable.",
        "no CSV 'trap-third.v1.0' in channel stable; there are: trap-third.v1.0.0",
        "no version within '>=3.3.0' in channel stable; there are: 3.2.0-16, 3.1.0-14, 3.1.0-9",
        "no CatalogSource openshift-marketplace/redhat-operator; there are: openshift-marketplace/redhat-operators",
    )
    assert len(done.result["problems"]) == 6


def test_what_the_cluster_does_not_allow(cluster: OlmCluster) -> None:
    """Kubernetes too old, group of the wrong mode, two groups, a namespace that is going, what excludes each other."""
    own, two, going = cluster.namespace("", None), cluster.namespace("", None, ()), cluster.namespace("", None)
    cluster.create("ConfigMap", "held", going, annotations={}, data={})
    cluster.patch("ConfigMap", "held", going, {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.api.request("DELETE", where("Namespace", None, going))
    try:
        done = cluster.call(
            operator("trap-kube", "in"),
            operator("trap-all", own),
            operator("trap-more", two),
            operator("trap-third", going),
            operator("trap-own", "both"),
            operator("trap-only", "both"),
            operator("trap-twin-a", "twin"),
            operator("trap-twin-b", "other"),
        )
        refused(
            done,
            "trap-kube.v1.1.0 needs Kubernetes 1.99.0, this cluster has v1.",
            f"OperatorGroup {own}/group-0 asks for install mode OwnNamespace, the operator supports only AllNamespaces",
            f"namespace {two} has 2 OperatorGroups (group-0, group-1); OLM installs nothing there",
            f"namespace {going} is being deleted",
            "operators[trap-only]: OperatorGroup both/both asks for install mode OwnNamespace",
            "operators[trap-twin-b]: prizes.trap-twin.example.com is provided by trap-twin-a as well",
        )
        assert len(done.result["problems"]) == 6
    finally:
        cluster.patch("ConfigMap", "held", going, {"metadata": {"finalizers": []}})


def test_what_is_there_already_and_in_the_way(cluster: OlmCluster) -> None:
    """An orphan, a copied CSV, another package with the same CRD, an orphan of another name elsewhere: played CSVs."""
    orphaned, copied, rival, old = (cluster.namespace("", None) for _ in range(4))
    with cluster.stopped("olm", "catalog"):  # they would act on CSVs that nobody installed
        cluster.play_csv("trap-steps.v1.0.0", orphaned)
        cluster.play_csv("trap-more.v1.0.0", copied, labels={"olm.copiedFrom": "other"})
        cluster.play_csv("trap-rival-a.v1.0.0", rival, crds=["prizes.trap-rival.example.com"])
        cluster.play_csv("trap-third.v1.0.0", old, crds=["things.trap-third.example.com"])
        done = cluster.call(
            operator("trap-steps", orphaned),
            operator("trap-more", copied),
            operator("trap-rival-b", "rival"),
            operator("trap-third", "new"),
        )
        refused(
            done,
            f"trap-steps.v1.0.0 is left in {orphaned} without a Subscription; OLM never adopts it. Set replace_orphan",
            "holds a copy of trap-more.v1.0.0 from namespace other: OLM would call it installed and install nothing",
            f"prizes.trap-rival.example.com is provided by trap-rival-a.v1.0.0 in {rival} already",
            f"things.trap-third.example.com is provided by trap-third.v1.0.0 in {old} already",
        )
        for name, home in (("steps", orphaned), ("more", copied), ("rival-a", rival), ("third", old)):
            cluster.delete(CSV, f"trap-{name}.v1.0.0", home)


def test_the_catalog_is_down_before(cluster: OlmCluster) -> None:
    """Nothing is concluded from a package that is not served; what is installed within a range stays, with a word."""
    home = cluster.namespace("", None)
    with cluster.stopped("olm", "catalog"):
        cluster.play_installed("trap-old", home)
    with cluster.stopped("olm", "catalog", "opm"):
        cluster.play_catalog_state("TRANSIENT_FAILURE")
        fresh = cluster.call(operator("trap-more", "in"))
        refused(fresh, f"catalog {CATALOGS}/{CATALOG} is not READY but TRANSIENT_FAILURE", "oc get catalogsource,pods")
        cluster.until("the packages are gone", lambda: not cluster.all("PackageManifest", CATALOGS), 30)
        refused(cluster.call(operator("trap-more", "in")), "is not READY but TRANSIENT_FAILURE")
        kept = cluster.call(operator("trap-old", home, version_range=">=1.0.0"), wait_timeout=5)
        assert kept.ending == "ok", kept.message
        assert (kept.result["changed"], kept.writes) == (False, [])
        assert any("it is not known whether there is a newer version than 1.0.0" in text for text in kept.warnings)


def test_missing_rights_are_told_at_once_with_the_smallest_roles(cluster: OlmCluster, tmp_path: Path) -> None:
    """Nobody's rights; those that the message asks for are enough to install; without one of them it is named."""
    home = cluster.namespace("", None)
    kubeconfig = cluster.token("narrow", home, tmp_path / "narrow")
    wanted = operator("trap-third", home)
    done = cluster.call(wanted, kubeconfig=kubeconfig)
    refused(done, "ClusterRole: list, watch subscriptions", f"Role in namespace {home}: ", "patch installplans.")
    assert len(done.message.splitlines()) <= 15
    grant(cluster, "narrow", home, done.result["roles"])
    again = cluster.call(wanted, kubeconfig=kubeconfig, check=True)
    assert again.ending == "ok", again.message
    assert again.result["changed"]
    done = cluster.call(wanted, kubeconfig=kubeconfig)
    assert done.ending == "ok", done.message
    stays = cluster.call(wanted, kubeconfig=kubeconfig, state="absent")
    refused(stays, "delete namespaces", "delete subscriptions.operators.coreos.com, clusterserviceversions.")
    cluster.delete("Role", "narrow", home)
    last = cluster.call(operator("trap-more", home), kubeconfig=kubeconfig)
    refused(last, "create, get, patch subscriptions.operators.coreos.com", "patch installplans.operators.coreos.com")


def grant(cluster: OlmCluster, account: str, home: str, roles: list[Object]) -> None:
    """Create the roles that were named, bound to the account."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    rbac = "rbac.authorization.k8s.io"
    for role in roles:
        namespace = role["metadata"].get("namespace")
        kind = role["kind"]
        cluster.create(kind, account, namespace, rules=role["rules"])
        reference = {"apiGroup": rbac, "kind": kind, "name": account}
        cluster.create(f"{kind}Binding", account, namespace, roleRef=reference, subjects=[subject])
