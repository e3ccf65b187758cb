"""kwok's configuration: which pods it plays is the complement of the process runtime's image table."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml

MANIFEST = Path(__file__).with_name("manifests") / "kwok.yaml"
TABLE = Path(__file__).resolve().parent.parent / "runtime" / "images.yml"


def image_patterns(extra: t.Sequence[t.Mapping[str, t.Any]], table: Path = TABLE) -> list[str]:
    """Return the regular expressions of all played images; `extra` is the setting runtime.images.

    Without a table nothing is played by processes, and kwok plays every pod.
    """
    lines = list(extra)
    if table.exists():
        lines += yaml.safe_load(table.read_text(encoding="utf-8"))["images"]
    return list(dict.fromkeys(line["match"] for line in lines))


def unplayed_selector(patterns: t.Sequence[str]) -> str:
    """Return a match expression (as JSON, which is YAML) for pods none of whose images matches a pattern."""
    if not patterns:
        return json.dumps({"key": ".metadata.name", "operator": "Exists"})
    anyone = "|".join(f"({pattern})" for pattern in patterns)
    containers = "(.spec.containers + (.spec.initContainers // [])) | .[] | .image"
    # A JSON string is a jq string as well, as long as it holds no backslash before a parenthesis of its own.
    return json.dumps({"key": f"{containers} | select(test({json.dumps(anyone)}))", "operator": "DoesNotExist"})


def render(patterns: t.Sequence[str], apps_domain: str) -> str:
    """Return kwok's configuration file."""
    text = MANIFEST.read_text(encoding="utf-8")
    values = {
        "unplayed": unplayed_selector(patterns),
        "apps_domain": apps_domain,
        "router_host": f"router-default.{apps_domain}",
    }
    for key, value in values.items():
        text = text.replace("${" + key + "}", value)
    return text
