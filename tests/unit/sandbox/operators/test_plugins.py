"""How the operator's plugins, a flavour and the user's file meet, release by release."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.operators import _hub_plugins as plugins
from sandbox.operators import hub

RULES = hub.read_releases()
DEFAULT = """
includes: [dynamic-plugins.default.yaml]
plugins:
- package: a@1
  disabled: true
  integrity: sha512-a
  dependencies: [{ref: sonataflow}]
"""


def _entry(user: str | None, release: str, package: str = "a@1") -> dict[str, t.Any]:
    merged = plugins.effective(DEFAULT, [], user, RULES[release])
    return next((each for each in merged["plugins"] if each["package"] == package), {})


def test_replace_forgets_the_defaults() -> None:
    assert _entry("plugins: [{package: a@1}]", "1.7") == {"package": "a@1"}
    assert _entry("plugins: [{package: b}]", "1.7") == {}


@pytest.mark.parametrize("release", ["1.8", "1.9", "1.10"])
def test_match_inherits_what_is_not_said(release: str) -> None:
    entry = _entry("plugins: [{package: a@1}]", release)
    assert entry == {
        "package": "a@1",
        "disabled": False,
        "integrity": "sha512-a",
        "dependencies": [{"ref": "sonataflow"}],
    }


def test_another_version_is_another_plugin() -> None:
    assert "integrity" not in _entry("plugins: [{package: a@2}]", "1.8", "a@2")
    assert _entry("plugins: [{package: a@2}]", "1.8")["disabled"] is True


@pytest.mark.parametrize(
    ("release", "given", "left"),
    [
        ("1.9", "[]", ["sonataflow"]),
        ("1.9", "[{}]", []),
        ("1.10", "[]", []),
        ("1.10", "[{}]", []),
    ],
)
def test_clearing_dependencies(release: str, given: str, left: list[str]) -> None:
    user = f"plugins: [{{package: a@1, dependencies: {given}}}]"
    assert plugins.dependencies(plugins.effective(DEFAULT, [], user, RULES[release])) == left


def test_an_empty_reference_is_written_out() -> None:
    assert _entry("plugins: [{package: a@1, dependencies: [{}]}]", "1.10")["dependencies"] == [{"ref": ""}]


def test_the_newer_spelling_enables_on_older_releases() -> None:
    entry = _entry("plugins: [{package: a@1, enabled: false, pullPolicy: Always}]", "1.10")
    assert entry["disabled"] is False
    assert "enabled" not in entry
    assert "pullPolicy" not in entry
    assert _entry("plugins: [{package: a@1, enabled: false}]", "2.1")["enabled"] is False


def test_dependencies_of_disabled_plugins_do_not_count() -> None:
    assert plugins.dependencies(plugins.effective(DEFAULT, [], None, RULES["1.9"])) == []


def test_a_flavour_comes_before_the_user() -> None:
    flavour = "plugins: [{package: f, disabled: false, dependencies: [{ref: sonataflow}]}]"
    merged = plugins.effective(DEFAULT, [flavour], "plugins: [{package: f, disabled: true}]", RULES["1.10"])
    assert next(each for each in merged["plugins"] if each["package"] == "f")["disabled"] is True


def test_includes() -> None:
    more = plugins.effective(DEFAULT, [], "includes: [mine.yaml]", RULES["1.9"])["includes"]
    assert more == ["dynamic-plugins.default.yaml", "mine.yaml"]
    assert plugins.effective(DEFAULT, [], "includes: []", RULES["1.10"])["includes"] == []
    assert plugins.effective(DEFAULT, [], "includes: []", RULES["1.9"])["includes"] != []


@pytest.mark.parametrize(
    ("wanted", "enabled"),
    [
        (None, ["lightspeed"]),
        ([], []),
        ([{"name": "orchestrator"}], ["orchestrator", "lightspeed"]),
        ([{"name": "orchestrator", "enabled": True}, {"name": "lightspeed", "enabled": False}], ["orchestrator"]),
        ([{"name": "orchestrator", "enabled": False}, {"name": "orchestrator"}], ["orchestrator", "lightspeed"]),
    ],
)
def test_flavours(wanted: list[dict[str, t.Any]] | None, enabled: list[str]) -> None:
    assert plugins.enabled_flavours(wanted, {"orchestrator": False, "lightspeed": True}) == enabled


def test_unknown_flavour() -> None:
    with pytest.raises(plugins.PluginError, match="flavour 'nosuch' not found"):
        plugins.enabled_flavours([{"name": "nosuch"}], {"orchestrator": False})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plugins: {a", "yaml: line 1: did not find expected ',' or '}'"),
        ("plugins: {a: b}", "line 1: cannot unmarshal !!map into []model.DynaPlugin"),
        ("just words", "cannot unmarshal !!str"),
    ],
)
def test_broken_files(text: str, message: str) -> None:
    with pytest.raises(plugins.PluginError) as caught:
        plugins.parse(text)
    assert message in str(caught.value)
