"""The collection as a whole: its action groups, its tarball, its lock files, and what must not be in the tree."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
KEPT = {"MANIFEST.json", "FILES.json", "CHANGELOG.rst", "CONTRIBUTING.md", "LICENSE", "README.md"}
KEPT_FOLDERS = {"aap", "changelogs", "docs", "meta", "playbooks", "plugins", "roles"}
# A path of a developer's machine, or the host of a package registry, has no place in a file.
FOREIGN = re.compile(
    r"(?<![\w./-])/(?:work|root|Users)/|/tmp/brief|files\.python"
    r"hosted\.org|pypi\.(?:org|python)|proxy\.golang"
    r"\.org"
)


def test_every_module_is_in_the_action_group():
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    modules = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
    assert groups["orchestrator"] == modules


def test_every_module_has_an_action_of_its_name():
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    actions = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
    assert modules == actions


def test_lock_files_are_hashed_and_name_no_host():
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert {path.name for path in files} == {"py311.txt", "newest.txt", "go.txt", "old-urllib3.txt"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
        for entry in re.split(r"\n(?=[A-Za-z0-9])", text):
            assert "==" in entry, path.name
            assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_no_foreign_path_or_host_is_in_the_tree():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: there is no list of the project's files")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__).resolve():
            found += [
                f"{name}:{number}: {line.strip()[:100]}"
                for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
                if FOREIGN.search(line)
            ]
    assert not found


def test_the_tarball_holds_the_collection_and_nothing_else(tmp_path):
    artifact = pytest.importorskip("sandbox.artifact", reason="the tarball is built from the repository only")
    with tarfile.open(artifact.build(tmp_path)) as archive:
        names = archive.getnames()
    top = {name.split("/")[0] for name in names}
    assert top <= KEPT | KEPT_FOLDERS
    assert {"README.md", "LICENSE", "CHANGELOG.rst", "meta", "playbooks", "plugins", "roles"} <= top
    hidden = [name for name in names if any(part.startswith(".") for part in name.split("/"))]
    assert not hidden
    assert not [name for name in names if "__pycache__" in name]
    for folder in ("sandbox", "tests", "benchmarks", "molecule", "requirements", "build"):
        assert folder not in top
