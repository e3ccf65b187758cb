"""Conformance: what our trimmed CRDs declare exists in the products' own CRDs, with the same type and the same checks.

The products' CRDs, and objects recorded from the real operators, are reference data beside the repository (../shared),
not part of it. Without them nothing can be compared; the run says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.catalog import build
from tests.unit.sandbox.catalog.schemas import KEEP, NEWER, Schema, definitions, fields, problems, schema_of

SHARED = Path(__file__).resolve().parents[5] / "shared"
REAL = SHARED / "crds"
RECORDED = SHARED / "recorded"

# folder of the real CRDs -> a bundle of ours that plays that version, the API versions to compare
PAIRS = [
    ("rhdh-1.7", "rhdh", "1.7.4"),
    ("rhdh-1.8", "rhdh", "1.8.7"),
    ("rhdh-1.9", "rhdh", "1.9.8"),
    ("rhdh-1.10", "rhdh", "1.10.3"),
    ("sonataflow-2024-11", "logic-operator-rhel8", "1.35.0"),
    ("sonataflow-2024-11", "logic-operator", "1.38.1"),
    ("serverless", "serverless-operator", "1.37.1"),
    ("strimzi-0.48", "amq-streams", "3.1.0-14"),
    ("strimzi-1", "amq-streams", "3.2.1-10"),
]

# One schema of ours for two API versions: allowed values are those of either.
SHARED_SCHEMA = {"kafkas.kafka.strimzi.io"}
# Validation words: ours may leave a check out, but must not say something else.
CHECKS = ("enum", "default", "minimum", "maximum", "minItems", "minProperties", "maxProperties")


@pytest.fixture(autouse=True)
def _real_crds() -> None:
    if not (REAL.is_dir() and RECORDED.is_dir()):
        message = f"NOT COMPARED WITH THE PRODUCTS: no {REAL} or no {RECORDED}, so our CRDs may be fiction"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)


@cache
def real_definitions(folder: str) -> dict[str, dict[str, Any]]:
    return definitions(REAL / folder)


def compared(folder: str, package: str, version: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Our definition and the real one, for every kind that both have."""
    packages = {p["name"]: p for p in build.load_packages()}
    row = next(row for row in packages[package]["bundles"] if row["version"] == version)
    real = real_definitions(folder)
    for ours in build.bundle_objects(packages[package], row):
        if ours["kind"] == "CustomResourceDefinition" and ours["metadata"]["name"] in real:
            yield ours, real[ours["metadata"]["name"]]


def wider(name: str, ours: Schema, real: Schema) -> bool:
    return name in SHARED_SCHEMA and set(real.get("enum", ())) <= set(ours["enum"])


def differences(name: str, ours: Schema, real: Schema) -> list[str]:
    found = []
    known = dict(fields(real))
    for path, node in fields(ours):
        if path in NEWER.get(name, ()) or path == ".metadata":
            continue
        if path not in known:
            if path not in (".apiVersion", ".kind"):
                found.append(f"{path}: not in the product")
            continue
        theirs = known[path]
        if node.get("type") != theirs.get("type"):
            found.append(f"{path}: type {node.get('type')}, product {theirs.get('type')}")
        found += [
            f"{path}: {check} {node[check]!r}, product {theirs.get(check)!r}"
            for check in CHECKS
            if check in node
            and node[check] != theirs.get(check)
            and not (check == "enum" and wider(name, node, theirs))
        ]
        extra = set(node.get("required", ())) - set(theirs.get("required", ()))
        missing = set(theirs.get("required", ())) - set(node.get("required", ()))
        if extra or (missing and not node.get(KEEP)):
            found.append(f"{path}: required {node.get('required')}, product {theirs.get('required')}")
    return found


@pytest.mark.parametrize(("folder", "package", "version"), PAIRS)
def test_every_field_of_ours_is_the_products(folder: str, package: str, version: str) -> None:
    found = []
    for ours, real in compared(folder, package, version):
        name = ours["metadata"]["name"]
        for api in ours["spec"]["versions"]:
            if api["served"]:
                both = schema_of(ours, api["name"]), schema_of(real, api["name"])
                found += [f"{name} {api['name']} {line}" for line in differences(name, *both)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("folder", "package", "version"), PAIRS)
def test_names_scope_and_versions_are_the_products(folder: str, package: str, version: str) -> None:
    seen = 0
    for ours, real in compared(folder, package, version):
        seen += 1
        for key in ("kind", "plural", "singular", "listKind", "shortNames"):
            assert ours["spec"]["names"].get(key) == real["spec"]["names"].get(key), key
        assert ours["spec"]["scope"] == real["spec"]["scope"]
        served = {v["name"] for v in ours["spec"]["versions"] if v["served"]}
        assert served <= {v["name"] for v in real["spec"]["versions"] if v["served"]}
        if package == "rhdh":
            assert served == {v["name"] for v in real["spec"]["versions"] if v["served"]}
            stored = [[v["name"] for v in d["spec"]["versions"] if v["storage"]] for d in (ours, real)]
            assert stored[0] == stored[1]
        columns = {
            v["name"]: {c["name"]: c["jsonPath"].replace("'", '"') for c in v.get("additionalPrinterColumns", ())}
            for v in real["spec"]["versions"]
        }
        for api in ours["spec"]["versions"]:
            if not api["served"]:
                continue
            for column in api.get("additionalPrinterColumns", ()):
                assert columns[api["name"]].get(column["name"]) == column["jsonPath"].replace("'", '"'), column
    assert seen, f"nothing of {package} in {folder}"


@pytest.mark.parametrize(("folder", "package", "version"), [pair for pair in PAIRS if pair[1] == "rhdh"])
def test_hub_lacks_no_field_of_the_product(folder: str, package: str, version: str) -> None:
    """The Backstage CRD is small enough to be whole, so strict validation answers exactly as the product's."""
    for ours, real in compared(folder, package, version):
        for api in ours["spec"]["versions"]:
            if api["served"]:
                mine, theirs = (dict(fields(schema_of(d, api["name"]))) for d in (ours, real))
                assert sorted(set(theirs) - set(mine)) == [], api["name"]


def test_objects_of_the_real_operators_fit() -> None:
    """Recorded objects, status included, are what our CRDs take without an unknown field."""
    own = {(d["spec"]["group"], d["spec"]["names"]["kind"]): d for d in definitions(build.CRD_DIR).values()}
    found, kinds = [], set()
    for file in sorted(RECORDED.rglob("*.yaml")):
        for value in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            if not isinstance(value, dict) or "/" not in str(value.get("apiVersion")):
                continue
            key = value["apiVersion"].split("/")[0], value["kind"]
            if key in own and value.get("spec") is not None:
                kinds.add(value["kind"])
                found += [f"{file.name} {value['kind']} {line}" for line in problems(own[key], value)]
    assert not found, "\n".join(found)
    assert kinds >= {"Backstage", "SonataFlow", "SonataFlowPlatform", "KnativeEventing", "SinkBinding", "Trigger"}


def test_operand_fields_are_knatives() -> None:
    real = real_definitions("knative-eventing")
    found = []
    for name, ours in definitions(build.CRD_DIR / "operands").items():
        if name in real:
            both = schema_of(ours, "v1"), schema_of(real[name], "v1")
            found += [f"{name} {line}" for line in differences(name, *both)]
            assert ours["spec"]["names"].get("shortNames") == real[name]["spec"]["names"].get("shortNames"), name
    assert not found, "\n".join(found)
