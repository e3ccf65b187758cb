"""The release table: complete, consistent with the sandbox's catalog, and clear when asked for what it has not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup

CATALOG = Path(__file__).resolve().parents[5] / "sandbox" / "catalog" / "packages.yml"


@pytest.fixture(scope="module")
def catalog() -> dict:
    return yaml.safe_load(CATALOG.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", release_lookup.known_releases())
def test_a_row_is_complete(name: str) -> None:
    row = release_lookup.release(name)
    assert set(row["operators"]) == {"serverless", "logic", "hub"}
    for operator in row["operators"].values():
        assert set(operator) == {"package", "channel", "version", "csv", "namespace", "operator_group"}
        assert operator["csv"].endswith(f".v{operator['version']}")
    assert row["sources"]
    assert len(row["date"]) == 10
    roles = [package["role"] for package in row["plugins"]["packages"]]
    assert {"frontend", "backend", "scaffolder"} <= set(roles)
    if row["plugins"]["form"] == "npm" and name != "1.5":
        assert all(package["integrity"].startswith("sha512-") for package in row["plugins"]["packages"])


@pytest.mark.parametrize("name", release_lookup.known_releases())
def test_a_row_names_versions_that_the_catalog_has(name: str, catalog: dict) -> None:
    packages = {package["name"]: package for package in catalog["packages"]}
    for operator in release_lookup.release(name)["operators"].values():
        bundles = {bundle["version"]: bundle for bundle in packages[operator["package"]]["bundles"]}
        assert operator["version"] in bundles
        assert operator["channel"] in bundles[operator["version"]]["channels"]


def test_a_row_is_a_copy() -> None:
    release_lookup.release("1.10")["operators"]["hub"]["version"] = "0"
    assert release_lookup.release("1.10")["operators"]["hub"]["version"] == "1.10.3"


@pytest.mark.parametrize("name", ["1.10", "1.10.3", "v1.10.0", " 1.10 "])
def test_a_release_has_several_spellings(name: str) -> None:
    assert release_lookup.release(name)["name"] == "1.10"


def test_an_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(release_lookup.UnknownRelease, match=r"'3\.0'; known are 1\.5, .*1\.9, 1\.10, 2\.1"):
        release_lookup.release("3.0")


def test_an_unquoted_release_is_explained() -> None:
    with pytest.raises(release_lookup.UnknownRelease, match="must be quoted"):
        release_lookup.release(float("1.10"))


@pytest.mark.parametrize(("version", "fits"), [("4.18", True), ("4.22.9", True), ("4.17.30", False), ("4.23", False)])
def test_openshift_range(version: str, fits: bool) -> None:
    problem = release_lookup.check_openshift("1.10", version)
    assert (problem is None) == fits
    assert fits or f"runs {version}" in problem


def test_openshift_problem_names_other_releases() -> None:
    assert "validated on it: 1.7, 1.8, 1.9" in release_lookup.check_openshift("1.10", "4.16.1").replace(
        "1.5, 1.6, ", ""
    )
    assert "no known release" in release_lookup.check_openshift("1.10", "4.9.0")
    assert "not an OpenShift version" in release_lookup.check_openshift("1.10", "four")


def test_release_of_an_installed_version() -> None:
    assert release_lookup.release_of_version("1.9.8") == "1.9"
    assert release_lookup.release_of_version("1.4.0") is None
