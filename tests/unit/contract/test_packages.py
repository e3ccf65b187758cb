"""The packages of module_utils: which may use which, and how large their files are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
UTILS = ROOT / "plugins" / "module_utils"
BASE = "ansible_collections.rhdh.orchestrator.plugins.module_utils"
# Each package may import from itself and from those before it.
ORDER = (
    "_text",
    "_kube",
    "_release",
    "_wait",
    "_run",
    "_workload",
    "_olm",
    "_knative",
    "_database",
    "_hub",
    "_platform",
    "_targets",
    "_diagnose",
    "_report",
)
MAX_LINES = 400
FILES = sorted(path for path in UTILS.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(UTILS).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Return the modules of module_utils that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(BASE):
            package = (node.module or "").removeprefix(BASE).lstrip(".")
            for alias in node.names:
                module = f"{package}.{alias.name}"
                found.add(module if (UTILS / f"{module.replace('.', '/')}.py").exists() else package)
    return found


GRAPH = {name_of(path): imports(path) for path in FILES}


def test_every_package_has_its_place():
    assert {path.name for path in UTILS.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ORDER)
    assert {path.name for path in UTILS.iterdir() if path.is_file()} <= {"__init__.py"}


def test_every_folder_is_a_package():
    folders = {path.parent for path in FILES}
    assert not [str(folder) for folder in folders if (folder / "__init__.py").read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_imports_go_downwards(name):
    place = ORDER.index(name.split(".")[0])
    assert not [other for other in GRAPH[name] if ORDER.index(other.split(".")[0]) > place]


def defined(path: Path) -> set[str]:
    """Return every name that a file defines or imports, at whatever place."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_used_of_another_module_is_there(path):
    """Type checkers do not follow imports from `ansible_collections`: a name that was moved would be missed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules, missing = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(BASE):
            place = UTILS / (node.module or "").removeprefix(BASE).lstrip(".").replace(".", "/")
            for alias in node.names:
                if (place / f"{alias.name}.py").exists():
                    modules[alias.asname or alias.name] = place / f"{alias.name}.py"
                elif alias.name not in defined(place.with_suffix(".py")):
                    missing.append(f"{node.lineno}: {alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            place = modules.get(node.value.id)
            if place and node.attr not in defined(place):
                missing.append(f"{node.lineno}: {node.value.id}.{node.attr}")
    assert not missing


def test_no_two_modules_import_each_other():
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in sorted(GRAPH.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


def test_the_order_is_what_the_contributors_read():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(_\w+)/` \|", text, re.MULTILINE)) == ORDER


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_unit_tests_lie_as_the_packages_do():
    tests = ROOT / "tests" / "unit" / "plugins" / "module_utils"
    assert {path.name for path in tests.iterdir() if path.is_dir() and path.name != "__pycache__"} <= set(ORDER)
