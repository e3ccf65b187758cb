"""Conformance: what our trimmed CRDs declare exists in the products' own CRDs, with the same type and the same checks.

The products' CRDs are reference data beside the repository (../shared/crds), not part of it. Without them only what the
real operators' objects had, which is in tests/recorded, can be compared; the run says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.catalog import build
from tests import recorded
from tests.unit.sandbox.catalog.schemas import (
    KEEP,
    NEWER,
    Schema,
    definitions,
    fields,
    own_definitions,
    problems,
    schema_of,
    type_problems,
)

REAL = Path(__file__).resolve().parents[5] / "shared" / "crds"

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


@pytest.fixture
def real_crds() -> None:
    if not REAL.is_dir():
        message = f"NOT COMPARED WITH THE PRODUCTS: there is no {REAL}, so our CRDs may be fiction"
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


@pytest.mark.usefixtures("real_crds")
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


@pytest.mark.usefixtures("real_crds")
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


@pytest.mark.usefixtures("real_crds")
@pytest.mark.parametrize(("folder", "package", "version"), [pair for pair in PAIRS if pair[1] == "rhdh"])
def test_hub_lacks_no_field_of_the_product(folder: str, package: str, version: str) -> None:
    """The Backstage CRD is small enough to be whole, so strict validation answers exactly as the product's."""
    for ours, real in compared(folder, package, version):
        for api in ours["spec"]["versions"]:
            if api["served"]:
                mine, theirs = (dict(fields(schema_of(d, api["name"]))) for d in (ours, real))
                assert sorted(set(theirs) - set(mine)) == [], api["name"]


def own_kinds() -> dict[tuple[str, str], dict[str, Any]]:
    """Our definition by group and kind."""
    return {(d["spec"]["group"], d["spec"]["names"]["kind"]): d for d in own_definitions().values()}


def with_times(definition: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The object with the times that its conditions must have, and that are no facts."""
    schema = dict(fields(schema_of(definition, value["apiVersion"].split("/")[1])))
    required = schema.get(".status.conditions[]", {}).get("required", ())
    for condition in (value.get("status") or {}).get("conditions") or []:
        condition.update({key: "2026-11-23T16:00:00Z" for key in required if key.endswith("Time")})
    return value


def test_objects_of_the_real_operators_fit() -> None:
    """Recorded objects, status included, are what our CRDs take without an unknown field."""
    own, found, kinds = own_kinds(), [], set()
    for name in recorded.scenarios():
        for value in recorded.load(name):
            key = value.get("apiVersion", "").split("/")[0], value["kind"]
            if key in own and value.get("spec") is not None:
                kinds.add(value["kind"])
                found += [f"{name} {value['kind']} {line}" for line in problems(own[key], with_times(own[key], value))]
    assert not found, "\n".join(found)
    assert kinds >= {"Backstage", "SonataFlow", "SonataFlowPlatform", "KnativeEventing", "SinkBinding", "Trigger"}


@pytest.mark.parametrize("heading", recorded.fields())
def test_every_field_of_a_real_object_is_declared(heading: str) -> None:
    """Each field that an object of a real operator was seen with is in our CRDs, with its type."""
    version, kind = heading.split()
    definition = own_kinds().get((version.split("/")[0], kind))
    if definition is None:
        pytest.fail(f"no CRD of ours declares {heading}")
    assert type_problems(definition, {"apiVersion": version, "kind": kind, **recorded.fields()[heading]}) == []


@pytest.mark.usefixtures("real_crds")
def test_operand_fields_are_knatives() -> None:
    real = real_definitions("knative-eventing")
    found = []
    for name, ours in definitions(build.CRD_DIR / "operands").items():
        if name in real:
            both = schema_of(ours, "v1"), schema_of(real[name], "v1")
            found += [f"{name} {line}" for line in differences(name, *both)]
            assert ours["spec"]["names"].get("shortNames") == real[name]["spec"]["names"].get("shortNames"), name
    assert not found, "\n".join(found)
