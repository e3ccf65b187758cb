"""What an operator's wanted state means on a catalog."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted

MODES = [{"type": "AllNamespaces", "supported": True}, {"type": "OwnNamespace", "supported": False}]


def channel(
    name: str, *versions: str, package: str = "logic-operator", skip_range: str | None = None
) -> dict[str, t.Any]:
    """A channel of a PackageManifest; the newest version comes first."""
    entries = [{"name": f"{package}.v{version}", "version": version} for version in versions]
    annotations = {"olm.skipRange": skip_range} if skip_range else {}
    description = {
        "version": versions[0],
        "installModes": MODES,
        "annotations": annotations,
        "customresourcedefinitions": {"owned": [{"name": "sonataflows.sonataflow.org"}]},
    }
    return {"name": name, "currentCSV": entries[0]["name"], "currentCSVDesc": description, "entries": entries}


def manifest(*channels: dict[str, t.Any], catalog: str = "redhat-operators") -> dict[str, t.Any]:
    return {
        "metadata": {"name": "logic-operator"},
        "status": {
            "catalogSource": catalog,
            "catalogSourceNamespace": "openshift-marketplace",
            "defaultChannel": channels[0]["name"],
            "channels": list(channels),
        },
    }


STABLE = channel("stable", "1.39.2", "1.39.0", "1.38.1", "1.38.0", "1.37.2")
OLD = channel("alpha", "1.36.0")


def wanted(**options: t.Any) -> Wanted:
    return Wanted("logic-operator", "openshift-serverless-logic", **options)


def group(name: str, *targets: str) -> dict[str, t.Any]:
    return {"metadata": {"name": name}, "spec": {"targetNamespaces": list(targets)} if targets else {}}


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.9.0", "1.10.0"),
        ("3.2.0-9", "3.2.0-16"),  # a build suffix compares as a number
        ("3.2.0-16", "3.2.0"),  # and is a pre-release
        ("1.0.0-alpha", "1.0.0-alpha.1"),
        ("1.0.0-1", "1.0.0-alpha"),
        ("v3.1.0-14", "3.2.0-16"),
    ],
)
def test_versions_are_ordered_as_olm_orders_them(lower: str, higher: str) -> None:
    assert semver.version_key(lower) < semver.version_key(higher)


@pytest.mark.parametrize(
    ("version", "expression", "holds"),
    [
        ("2.9.0-3", ">=2.0.0 <3.2.0-16", True),
        ("3.2.0-16", ">=3.2.0", False),
        ("1.38.1", ">=1.38.0 <1.39.0", True),
        ("1.39.0", ">=1.38.0 <1.39.0 || =1.39.0", True),
        ("1.38.1", "!=1.38.1", False),
        ("1.38.1", "1.38.1", True),
    ],
)
def test_ranges(version: str, expression: str, holds: bool) -> None:
    assert semver.in_range(version, expression) is holds


@pytest.mark.parametrize(
    ("options", "csv"),
    [
        ({}, "logic-operator.v1.39.2"),
        ({"version": "1.38.1"}, "logic-operator.v1.38.1"),
        ({"csv": "logic-operator.v1.38.0"}, "logic-operator.v1.38.0"),
        ({"version_range": ">=1.38.0 <1.39.0"}, "logic-operator.v1.38.1"),
        ({"channel": "alpha"}, "logic-operator.v1.36.0"),
    ],
)
def test_the_wanted_version_is_found(options: dict[str, t.Any], csv: str) -> None:
    target, problems = olm_resolve.resolve(manifest(STABLE, OLD), wanted(**options))
    assert problems == []
    assert target is not None
    assert target.csv == csv


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channel": "stabel"}, ["no channel 'stabel'", "there are: stable"]),
        ({"version": "1.38.11"}, ["no version '1.38.11'", "1.38.1", "1.37.2"]),
        ({"version": "1.36.0"}, ["no version '1.36.0' in channel stable", "It is in channel alpha."]),
        ({"version_range": ">=2.0.0"}, ["no version within '>=2.0.0'"]),
        ({"csv": "logic-operator.1.38.1"}, ["no CSV 'logic-operator.1.38.1'", "there are: logic-operator.v1.38.1"]),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(options: dict[str, t.Any], says: list[str]) -> None:
    target, problems = olm_resolve.resolve(manifest(STABLE, OLD), wanted(**options))
    assert target is None
    for text in says:
        assert text in problems[0]


def test_a_manifest_of_another_catalog_is_not_taken() -> None:
    other = manifest(OLD, catalog="community-operators")
    mine = manifest(STABLE)
    assert olm_resolve.find_manifest([other, mine], wanted()) is mine
    assert olm_resolve.find_manifest([other], wanted()) is None


def test_deprecations_become_warnings() -> None:
    deprecated = {**OLD, "deprecation": {"message": "use stable"}}
    target, _problems = olm_resolve.resolve(manifest(deprecated), wanted())
    assert target is not None
    assert target.warnings == ("channel alpha is deprecated: use stable",)


def test_all_problems_of_the_input_are_told_at_once() -> None:
    problems = olm_resolve.check_input(
        [
            Wanted("a", "Not_Valid", version="1.0.0", approval="Automatic"),
            Wanted("a", "fine", csv="a.v1", version="one"),
            Wanted("b", "fine", version_range="newest"),
        ]
    )
    text = "\n".join(problems)
    for part in ("not a valid namespace", "Automatic", "named twice", "exclude each other", "not a range", "'one'"):
        assert part in text
    assert olm_resolve.check_input([]) != []


def test_steps_are_walked_one_by_one_unless_the_head_skips() -> None:
    target, _rest = olm_resolve.resolve(manifest(STABLE), wanted(version="1.39.0"))
    assert target is not None
    steps = olm_resolve.predict_steps(target, "logic-operator.v1.38.0")
    assert steps == ["logic-operator.v1.38.1", "logic-operator.v1.39.0"]
    assert olm_resolve.predict_steps(target, target.csv) == []
    assert olm_resolve.predict_steps(target, None) == [target.csv]
    jumping = channel("stable", "3.2.0-16", "3.1.0-14", "2.9.0-3", skip_range=">=2.0.0 <3.2.0-16")
    target, _rest = olm_resolve.resolve(manifest(jumping), wanted())
    assert target is not None
    assert olm_resolve.predict_steps(target, "logic-operator.v2.9.0-3") == ["logic-operator.v3.2.0-16"]


@pytest.mark.parametrize(
    ("groups", "modes", "action"),
    [
        ([], ["AllNamespaces"], "create"),
        ([group("global-operators")], ["AllNamespaces"], "adopt"),
        ([group("random-x7")], ["OwnNamespace", "AllNamespaces"], "adopt"),
        ([group("own", "openshift-serverless-logic")], ["AllNamespaces"], "refuse"),
        ([group("one"), group("two")], ["AllNamespaces"], "refuse"),
    ],
)
def test_operator_groups(groups: list[dict[str, t.Any]], modes: list[str], action: str) -> None:
    decision = olm_group.decide_group(groups, wanted(), modes)
    assert decision.action == action
    for item in groups if action == "refuse" else []:
        assert item["metadata"]["name"] in decision.problem


def test_a_created_group_fits_an_operator_that_cannot_watch_everything() -> None:
    decision = olm_group.decide_group([], wanted(), ["OwnNamespace"])
    assert decision.body is not None
    assert decision.body["spec"] == {"targetNamespaces": ["openshift-serverless-logic"]}


def test_the_component_label_is_cut_as_olm_cuts_it() -> None:
    key = olm_csv.component_label("a" * 40, "b" * 21 + "-" + "c" * 20)
    assert key == "operators.coreos.com/" + "a" * 40 + "." + "b" * 21


@pytest.mark.parametrize(
    ("installed", "wanted", "says"),
    [
        ("1.2.0", "1.1.0", "OLM never goes back"),
        ("1.0.0", "1.1.0", "OLM goes straight to thing.v1.2.0 (skipRange >=1.0.0 <1.2.0)"),
        ("1.0.0", "1.2.0", ""),
        ("0.9.0", "1.1.0", ""),  # the head does not skip it
        ("of today", "1.1.0", ""),  # OLM will judge
    ],
)
def test_ways_that_olm_does_not_go(installed: str, wanted: str, says: str) -> None:
    entries = tuple((f"thing.v{version}", version) for version in ("1.2.0", "1.1.0", "1.0.0"))
    skips = ">=1.0.0 <1.2.0"
    target = olm_resolve.Target("stable", f"thing.v{wanted}", wanted, entries, "thing.v1.2.0", skips, (), None, ())
    found = olm_resolve.no_way(target, f"thing.v{installed}", installed, "operators[thing]")
    assert [says in text for text in found] == ([True] if says else [])
