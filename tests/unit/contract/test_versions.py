"""Facts that depend on a version stand in the table of releases, and nowhere else."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
UTILS = ROOT / "plugins" / "module_utils"
PLUGINS = "ansible_collections.rhdh.orchestrator.plugins"
TABLE = importlib.import_module(f"{PLUGINS}.module_utils._release.table")
# API versions of the kinds; those that differ by release are replaced by the row's (`Kind.at`).
KINDS = UTILS / "_kube" / "kinds.py"
VERSION = re.compile(r"^(v?\d+\.\d+(\.\d+)?|v\d+(alpha|beta)\d+|(stable|fast|alpha)(-[\d.]+)?)$")


def literals(path: Path) -> list[str]:
    """Return the texts of a file that are a version, an API version or a channel, without its documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VERSION.match(node.value)
    ]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((ROOT / "plugins").rglob("*.py"))
        if UTILS / "_release" not in path.parents and path != KINDS
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_version_stands_in_the_code(path):
    assert not literals(path)


def test_the_check_finds_what_it_looks_for():
    assert literals(UTILS / "_release" / "table.py")
    assert literals(KINDS)


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/defaults/main.yml")), ids=lambda path: path.parts[-3])
def test_the_default_release_is_the_same_everywhere(path):
    for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        if name.endswith("_release"):
            assert re.findall(r"default\('([\d.]+)'\)", value) == [TABLE.DEFAULT_RELEASE], name


@pytest.mark.parametrize("path", sorted((ROOT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_modules_document_the_default_release(path):
    module = importlib.import_module(f"{PLUGINS}.modules.{path.stem}")
    option = (yaml.safe_load(module.DOCUMENTATION)["options"] or {}).get("release") or {}
    assert option.get("default", TABLE.DEFAULT_RELEASE) == TABLE.DEFAULT_RELEASE
