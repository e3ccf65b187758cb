"""What tasks of roles and playbooks must not contain, whatever a linter says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path for folder in ("roles", "playbooks") for path in (ROOT / folder).glob("**/*.yml"))
FORBIDDEN = {"shell", "command", "raw", "script", "expect", "pause", "wait_for", "uri"}


def mappings(value):
    """Every mapping within a document."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from mappings(part)
    elif isinstance(value, list):
        for part in value:
            yield from mappings(part)


def tasks(path):
    if not {"tasks", "handlers", "playbooks"} & set(path.relative_to(ROOT).parts):
        return []
    return list(mappings(yaml.safe_load(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_forbidden_module_or_keyword(path):
    for task in tasks(path):
        assert not {key.rpartition(".")[2] for key in task if isinstance(key, str)} & FORBIDDEN
        assert "ignore_errors" not in task
        assert task.get("changed_when", None) is not False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_condition_is_taken_by_its_position(path):
    assert not re.search(r"(conditions|installModes)(\[\d|\.\d| \| (first|last))", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_read_from_the_environment(path):
    assert not re.search(r"lookup\(\s*['\"](ansible\.builtin\.)?env", path.read_text(encoding="utf-8"))


def test_playbooks_only_order_roles():
    for path in (ROOT / "playbooks").glob("*.yml"):
        for play in yaml.safe_load(path.read_text(encoding="utf-8")):
            assert not {"tasks", "pre_tasks", "post_tasks", "handlers"} & set(play), path.name
