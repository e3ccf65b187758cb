"""Reading CustomResourceDefinitions in tests: files, fields, and strict validation as an API server does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from sandbox.catalog import build

Schema = Mapping[str, Any]

KEEP = "x-kubernetes-preserve-unknown-fields"

# Fields that came after the real CRD at hand was published; seen on live objects of newer operators.
NEWER = {
    "sonataflowplatforms.sonataflow.org": {
        ".spec.services.dataIndex.persistence.dbMigrationStrategy",
        ".spec.services.jobService.persistence.dbMigrationStrategy",
        ".status.sonataFlowPlatformDBMigrationPhase",
        ".status.sonataFlowPlatformDBMigrationPhase.dbMigrationStatus",
        ".status.sonataFlowPlatformDBMigrationPhase.message",
        ".status.sonataFlowPlatformDBMigrationPhase.reason",
    },
    "sonataflows.sonataflow.org": {
        ".spec.persistence.dbMigrationStrategy",
        ".status.finalizerAttempts",
        ".status.lastTimeFinalizerAttempt",
        ".status.replicas",
        ".status.selector",
    },
}


def definitions(folder: Path) -> dict[str, dict[str, Any]]:
    """Return name -> CustomResourceDefinition for every YAML file below `folder`."""
    found = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            if document and document.get("kind") == "CustomResourceDefinition":
                found[document["metadata"]["name"]] = document
    return found


def own_definitions() -> dict[str, dict[str, Any]]:
    """Return the definitions of sandbox/catalog/crds, those of operands included."""
    return definitions(build.CRD_DIR)


def schema_of(definition: Mapping[str, Any], version: str) -> Schema:
    """Return the schema of one API version."""
    found = [v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == version]
    assert found, f"{definition['metadata']['name']} has no {version}"
    return dict(found[0])


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every node below `schema` with its path: `.spec.flavours[].name`, `{}` for the values of a map."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, f"{path}.{name}")
    if isinstance(schema.get("items"), Mapping):
        yield from fields(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from fields(schema["additionalProperties"], f"{path}{{}}")


def unknown_fields(schema: Schema, value: Any, path: str = "") -> list[str]:
    """Return the paths in `value` that strict field validation refuses."""
    if isinstance(value, list):
        items = schema.get("items", {})
        return [bad for item in value for bad in unknown_fields(items, item, f"{path}[]")]
    if not isinstance(value, Mapping):
        return []
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    bad: list[str] = []
    for key, child in value.items():
        if not path and key == "metadata":
            continue
        if key in known:
            bad += unknown_fields(known[key], child, f"{path}.{key}")
        elif isinstance(others, Mapping):
            bad += unknown_fields(others, child, f"{path}.{key}")
        elif not schema.get(KEEP) and others is not True:
            bad.append(f"{path}.{key}")
    return bad


def problems(definition: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    """Return why an API server would refuse the object `value`; empty when it would take it."""
    version = value["apiVersion"].split("/")[1]
    schema = schema_of(definition, version)
    errors = jsonschema.Draft202012Validator(_as_json_schema(schema)).iter_errors(value)
    found = [f"{error.json_path}: {error.message}" for error in errors]
    return found + [f"unknown field {path}" for path in unknown_fields(schema, value)]


def type_problems(definition: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    """Return which fields of `value` are unknown or of another type; what values they may have is not asked."""
    schema = schema_of(definition, value["apiVersion"].split("/")[1])
    errors = jsonschema.Draft202012Validator(_as_json_schema(schema)).iter_errors(value)
    found = [f"{error.json_path}: {error.message}" for error in errors if error.validator == "type"]
    return found + [f"unknown field {path}" for path in unknown_fields(schema, value)]


def _as_json_schema(schema: Any) -> Any:
    """OpenAPI words that JSON Schema spells differently; formats are not checked."""
    if isinstance(schema, Mapping):
        result = {key: _as_json_schema(item) for key, item in schema.items() if key != "format"}
        if schema.get("x-kubernetes-int-or-string"):
            result["type"] = ["integer", "string"]
        return result
    return [_as_json_schema(item) for item in schema] if isinstance(schema, list) else schema
