"""The upgrade graph: what OLM would install, and where it would go next."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sandbox.catalog import build
from tests.unit.sandbox.catalog.resolver import head, in_range, next_version, version_of, walk

OPENSHIFT = "4.20"
PACKAGES = {package["name"]: package for package in build.load_packages()}
RELEASES = build.load_releases()
CHANNELS = [(name, channel) for name, package in PACKAGES.items() for channel in build.channels(package, OPENSHIFT)]


def entries(package: str, channel: str, openshift: str = OPENSHIFT) -> list[dict]:
    return build.channels(PACKAGES[package], openshift)[channel]


def names(package: str, *versions: str) -> list[str]:
    return [build.csv_name(PACKAGES[package], version) for version in versions]


@pytest.mark.parametrize(("package", "channel"), CHANNELS)
def test_every_channel_is_one_chain_from_its_first_entry_to_its_head(package: str, channel: str) -> None:
    found = entries(package, channel)
    assert build.heads(found) == [head(found)]
    chain = {e["name"]: e.get("replaces") for e in found}
    assert len(chain) == len(found), "an entry is listed twice"
    inside = [name for name, replaced in chain.items() if replaced in chain]
    assert len(inside) == len(found) - 1, "more than one entry has no predecessor in the channel"


@pytest.mark.parametrize(
    ("package", "channel", "expected"),
    [
        ("serverless-operator", "stable-1.36", "1.36.1"),
        ("serverless-operator", "stable-1.37", "1.37.2"),
        ("logic-operator-rhel8", "alpha", "1.36.0"),
        ("logic-operator", "stable", "1.39.2"),
        ("rhdh", "fast", "2.1.0"),
        ("rhdh", "fast-1.9", "1.9.8"),
        ("rhdh", "fast-1.10", "1.10.3"),
        ("amq-streams", "amq-streams-2.9.x", "2.9.0-3"),
        ("amq-streams", "stable", "3.2.1-14"),
    ],
)
def test_heads(package: str, channel: str, expected: str) -> None:
    assert head(entries(package, channel)) == build.csv_name(PACKAGES[package], expected)


def test_default_channels_exist_and_are_the_products() -> None:
    defaults = {name: package["default_channel"] for name, package in PACKAGES.items()}
    assert defaults == {
        "serverless-operator": "stable",
        "logic-operator-rhel8": "alpha",
        "logic-operator": "stable",
        "rhdh": "fast",
        "amq-streams": "stable",
        "openshift-gitops-operator": "latest",
        "openshift-pipelines-operator-rh": "latest",
    }
    for name, channel in defaults.items():
        assert (name, channel) in CHANNELS


def test_serverless_stable_goes_through_every_minor() -> None:
    stops = walk(entries("serverless-operator", "stable"), "serverless-operator.v1.34.0")
    minors = [tuple(int(n) for n in version_of(name).split(".")[:2]) for name in stops]
    for (_, before), (_, after) in pairwise([(1, 34), *minors]):
        assert after - before <= 1, stops
    assert stops[:5] == names("serverless-operator", "1.35.0", "1.36.0", "1.36.1", "1.37.0", "1.37.1")


def test_serverless_minor_channel_stays_in_its_minor() -> None:
    stops = walk(entries("serverless-operator", "stable-1.37"), "serverless-operator.v1.37.0")
    assert stops == names("serverless-operator", "1.37.1", "1.37.2")


def test_logic_goes_one_version_at_a_time() -> None:
    stops = walk(entries("logic-operator", "stable"), "logic-operator.v1.37.0")
    versions = ["1.37.1", "1.37.2", "1.38.0", "1.38.1", "1.39.0", "1.39.1", "1.39.2"]
    assert stops == names("logic-operator", *versions)


def test_the_old_and_the_new_logic_package_have_no_edge_between_them() -> None:
    assert next_version(entries("logic-operator", "stable"), "logic-operator-rhel8.v1.36.0") is None


def test_rhdh_jumps_over_minors_by_skip_range() -> None:
    assert next_version(entries("rhdh", "fast-1.10"), "rhdh-operator.v1.9.0") == "rhdh-operator.v1.10.3"
    assert next_version(entries("rhdh", "fast-1.9"), "rhdh-operator.v1.7.1") == "rhdh-operator.v1.9.8"


def test_rhdh_has_no_way_back_to_an_older_channel() -> None:
    assert next_version(entries("rhdh", "fast-1.8"), "rhdh-operator.v1.10.3") is None


def test_streams_jumps_to_the_first_bundle_of_a_line_then_replaces() -> None:
    stops = walk(entries("amq-streams", "stable"), "amqstreams.v2.9.0-3")
    assert stops == ["amqstreams.v3.2.0-16", "amqstreams.v3.2.1-10", "amqstreams.v3.2.1-14"]


def test_a_build_suffix_sorts_before_the_plain_version() -> None:
    assert not in_range("3.2.0-16", ">=3.2.0 <3.2.1-10")
    assert in_range("3.2.0", ">=3.2.0 <3.2.1-10")


@pytest.mark.parametrize("row", RELEASES, ids=lambda row: row["release"])
@pytest.mark.parametrize("end", [0, 1])
def test_every_release_row_is_there_on_its_whole_openshift_range(row: dict, end: int) -> None:
    openshift = row["openshift"][end]
    assert f"rhdh-operator.v{row['rhdh']}" == head(entries("rhdh", row["channel"], openshift))
    logic = row["logic"].split(".v", 1)[0]
    channel = PACKAGES[logic]["default_channel"]
    assert row["logic"] in [e["name"] for e in entries(logic, channel, openshift)]
    minor = ".".join(str(row["serverless"]).split(".")[:2])
    for channel in ("stable", f"stable-{minor}"):
        offered = [e["name"] for e in entries("serverless-operator", channel, openshift)]
        assert f"serverless-operator.v{row['serverless']}" in offered


def test_release_rows_are_the_known_ones() -> None:
    assert [row["release"] for row in RELEASES] == ["1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "2.1"]


def test_old_clusters_do_not_see_new_bundles() -> None:
    assert "fast-1.10" not in build.channels(PACKAGES["rhdh"], "4.16")
    assert head(entries("rhdh", "fast", "4.16")) == "rhdh-operator.v1.9.8"
    assert head(entries("serverless-operator", "stable", "4.14")) == "serverless-operator.v1.37.2"
    assert head(entries("serverless-operator", "stable", "4.20")) == "serverless-operator.v1.38.0"


def test_every_row_names_its_source_and_date() -> None:
    sources = build.load_sources()
    rows = [*RELEASES, *(row for package in PACKAGES.values() for row in package["bundles"])]
    for row in rows:
        assert row["source"] in sources, row
        assert row["date"].isoformat() >= "2026-01-01", row
