"""What a role promises: defaults, argument specification and README say the same; tasks use nothing undeclared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# A role's default may take its value from a variable of the whole collection: {{ orchestrator_x | default(VALUE) }}
FORWARDED = re.compile(r"\{\{ orchestrator_\w+ \| default\((.*)\) \}\}")


def read(role, *parts):
    return yaml.safe_load((ROOT / "roles" / role).joinpath(*parts).read_text(encoding="utf-8"))


def options(role):
    return read(role, "meta", "argument_specs.yml")["argument_specs"]["main"].get("options", {})


def literal(default):
    """The value of a default when the user sets nothing."""
    forwarded = FORWARDED.fullmatch(default) if isinstance(default, str) else None
    return yaml.safe_load(forwarded[1]) if forwarded else default


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_in_defaults_and_specification(role):
    specified = options(role)
    required = {name for name, option in specified.items() if option.get("required")}
    assert set(read(role, "defaults", "main.yml")) == set(specified) - required


@pytest.mark.parametrize("role", ROLES)
def test_defaults_equal_those_of_the_specification(role):
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert {name: literal(value) for name, value in read(role, "defaults", "main.yml").items()} == specified


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described_and_has_the_prefix(role):
    for name, option in options(role).items():
        assert name.startswith(f"{role}_")
        text = option["description"]
        assert (text if isinstance(text, str) else text[-1]).endswith(".")
        assert option["type"]


@pytest.mark.parametrize("role", ROLES)
def test_tasks_use_every_variable_and_no_other(role):
    files = [path for part in ("tasks", "templates", "vars") for path in (ROOT / "roles" / role / part).glob("**/*.*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    used = set(re.findall(rf"(?<![\w.]){role}_\w+", text))
    exported = set(re.findall(rf"^\s+({role}_result):", text, re.MULTILINE))
    assert used - exported == set(options(role))


def test_every_readme_has_the_table_of_today():
    command = [sys.executable, str(ROOT / "tests" / "tools" / "docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run make docs: {done.stdout}{done.stderr}"
