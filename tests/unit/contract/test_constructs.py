"""What tasks of roles and playbooks must not contain, whatever a linter says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path for folder in ("roles", "playbooks") for path in (ROOT / folder).glob("**/*.yml"))
PLUGINS = "ansible_collections.rhdh.orchestrator.plugins"
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


def secret_options():
    spec = importlib.import_module(f"{PLUGINS}.module_utils._kube.client").auth_argument_spec()
    is_secret_key = importlib.import_module(f"{PLUGINS}.module_utils._text.keys").is_secret_key
    return {name for name in spec if is_secret_key(name) and spec[name].get("type") != "path"}, spec


def test_options_of_a_connection_that_are_secret_are_not_logged():
    secret, spec = secret_options()
    assert {"api_key", "password"} <= secret
    assert all(spec[name].get("no_log") for name in secret)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_secrets_are_given_by_module_defaults_only_and_to_our_modules_only(path):
    """They hide their results by value; a task of another collection would need no_log."""
    secret, _spec = secret_options()
    for mapping in tasks(path):
        defaults = mapping.pop("module_defaults", {})
        assert set(defaults) <= {"group/rhdh.orchestrator.orchestrator"}
        for values in defaults.values():
            values.clear()
        assert not secret & set(mapping)
        assert not any(str(key).startswith("kubernetes.core.") for key in mapping)
