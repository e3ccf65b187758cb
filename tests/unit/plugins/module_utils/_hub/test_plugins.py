"""The orchestrator's entries in a plugin file: put right per release, everything else byte for byte."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import edit, names, plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.operators import _hub_plugins as operator
from sandbox.operators import hub

RELEASES = release_lookup.known_releases()
USERS_FILE = """\
# mine, since 2024
includes:
- dynamic-plugins.default.yaml
plugins:
# first of all
- package:   './local/dist/x'   # odd spacing
  disabled: false
  pluginConfig: {a: [1,  2]}

- package: "@redhat/backstage-plugin-orchestrator@1.6.0"
  disabled: false
  integrity: sha512-old
- {package: 'oci://quay.io/a/b:1!c', disabled: true}
# the end
"""


def rows(*forms: str) -> list[dict]:
    return [row for row in map(release_lookup.release, RELEASES) if row["plugins"]["form"] in forms]


@pytest.mark.parametrize("row", rows("npm", "oci"), ids=lambda row: row["name"])
def test_a_new_file_has_what_the_release_needs(row: dict) -> None:
    done = plugins.edit("", row)
    content = yaml.safe_load(done.text)
    assert [entry["package"] for entry in content["plugins"]] == [p["package"] for p in row["plugins"]["packages"]]
    assert all(entry["disabled"] is False for entry in content["plugins"])
    assert ("includes" in content) == (row["plugins"]["merge"] == "replace")
    assert done.dependency == row["behaviour"]["provides_platform"]
    assert plugins.edit(done.text, row).text == done.text


@pytest.mark.parametrize("name", RELEASES)
def test_foreign_text_stays_byte_for_byte(name: str) -> None:
    done = plugins.edit(USERS_FILE, release_lookup.release(name))
    first, _rest, rest = USERS_FILE.partition('- package: "@redhat')
    assert done.text.startswith(first)
    assert rest.partition("old\n")[2].partition("# the end")[0] in done.text
    assert done.text.endswith("# the end\n")
    assert plugins.edit(done.text, release_lookup.release(name)).text == done.text


def test_obsolete_coordinates_are_replaced_in_place() -> None:
    done = plugins.edit(USERS_FILE, release_lookup.release("1.8"))
    assert done.replaced == ["@redhat/backstage-plugin-orchestrator@1.6.0"]
    packages = [entry["package"] for entry in yaml.safe_load(done.text)["plugins"]]
    assert packages[1] == "@redhat/backstage-plugin-orchestrator@1.8.12"
    assert "sha512-old" not in done.text


def test_where_a_flavour_brings_them_nothing_is_added() -> None:
    done = plugins.edit(USERS_FILE, release_lookup.release("1.10"))
    assert [entry["package"] for entry in yaml.safe_load(done.text)["plugins"]] == [
        "./local/dist/x",
        "oci://quay.io/a/b:1!c",
    ]
    assert done.dependency


def test_a_disabled_entry_is_enabled_and_keeps_its_configuration() -> None:
    row = release_lookup.release("1.10")
    package = row["plugins"]["packages"][1]["package"]
    entry = {"package": package, "disabled": True, "pluginConfig": {"orchestrator": {"x": 1}}, "dependencies": []}
    done = plugins.edit(yaml.safe_dump({"plugins": [entry]}), row)
    (new,) = yaml.safe_load(done.text)["plugins"]
    assert new == {**entry, "disabled": False}
    assert not done.dependency  # the user took the dependency over


@pytest.mark.parametrize(("name", "clear"), [("1.8", [{}]), ("1.9", [{}]), ("1.10", [])])
def test_a_dependency_that_was_taken_over_is_seen(name: str, clear: list) -> None:
    row = release_lookup.release(name)
    assert row["plugins"]["clear_dependencies"] == clear
    backend = dict(plugins.wanted_entries(row)[1], dependencies=clear)
    done = plugins.edit(yaml.safe_dump({"plugins": [backend]}), row)
    assert not done.dependency


@pytest.mark.parametrize("name", RELEASES)
def test_the_dependency_is_switched_off_as_the_operator_of_the_release_understands_it(name: str) -> None:
    """The stand-in's own merge, which is compared with the operator, decides."""
    row, rules = release_lookup.release(name), hub.read_releases()[name]
    backend = next(each for each in plugins.wanted_entries(row) if names.role_of(each["package"])[0] == "backend")
    default = (
        {}
        if row["plugins"]["merge"] == "replace"
        else {"plugins": [dict(backend, dependencies=[{"ref": "sonataflow"}])]}
    )

    def asked(text: str) -> list[str]:
        return operator.dependencies(operator.effective(yaml.safe_dump(default), [], text, rules))

    off = plugins.edit(USERS_FILE, row, "self")
    assert not off.dependency
    assert asked(off.text) == []
    assert plugins.edit(off.text, row, "self").text == off.text
    assert plugins.edit(off.text, row).text == off.text  # left as it is by those who do not say
    on = plugins.edit(off.text, row, "hub")
    provides = row["behaviour"]["provides_platform"]
    assert asked(on.text) == (["sonataflow"] if provides else [])
    assert on.dependency or not provides
    assert plugins.edit(on.text, row, "hub").text == on.text
    assert off.text.startswith("# mine, since 2024")


def test_an_empty_list_clears_nothing_on_1_9() -> None:
    row = release_lookup.release("1.9")
    entry = {**plugins.wanted_entries(row)[1], "dependencies": []}
    text = yaml.safe_dump({"plugins": [entry]})
    assert plugins.edit(text, row).dependency
    (backend,) = [e for e in yaml.safe_load(plugins.edit(text, row, "self").text)["plugins"] if "dependencies" in e]
    assert backend["dependencies"] == [{}]


def test_keys_that_the_release_ignores_are_told() -> None:
    (warning,) = plugins.edit("plugins: [{package: ./a, enabled: false}]\n", release_lookup.release("1.10")).warnings
    assert "`enabled: false` does not disable it" in warning
    assert plugins.edit("plugins: [{package: ./a, enabled: false}]\n", release_lookup.release("2.1")).warnings == []


@pytest.mark.parametrize(
    "text",
    ["plugins: [", "- a", "plugins: {}", "plugins: [1]", "plugins: [{disabled: true}]"],
)
def test_a_file_that_the_operator_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(edit.PluginsError):
        plugins.edit(text, release_lookup.release("1.9"))


@pytest.mark.parametrize(
    "text",
    ["", "plugins:\n", "plugins: []\n", "includes: []\n", "plugins: [{package: ./a}]\n", "{}", "{includes: []}\n"],
)
def test_every_layout_can_be_extended(text: str) -> None:
    row = release_lookup.release("1.9")
    content = yaml.safe_load(plugins.edit(text, row).text)
    assert len(content["plugins"]) == 4 + text.count("./a")


def test_another_backstage_that_asks_for_the_platform() -> None:
    assert plugins.asks_for_platform(plugins.edit("", release_lookup.release("1.9")).text, {})
    assert not plugins.asks_for_platform("plugins: [", {})
    entry = {"package": "a", "dependencies": [{"ref": "sonataflow"}]}
    assert not plugins.asks_for_platform(yaml.safe_dump({"plugins": [{**entry, "disabled": True}]}), {})
    assert plugins.asks_for_platform("", {"application": {"dynamicPlugins": [entry]}})


_entries = st.lists(
    st.fixed_dictionaries(
        {"package": st.from_regex(r"\./[a-z]{1,8}", fullmatch=True)},
        optional={
            "disabled": st.booleans(),
            "pluginConfig": st.dictionaries(st.text("ab -:#", min_size=1, max_size=5), st.text("a -:#'\n", max_size=9)),
        },
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(_entries, st.booleans(), st.sampled_from(RELEASES))
def test_any_foreign_entries_survive_and_a_second_edit_changes_nothing(
    entries: list[dict], flow: bool, name: str
) -> None:
    row = release_lookup.release(name)
    text = yaml.safe_dump({"plugins": entries}, default_flow_style=True if flow else None, sort_keys=False)
    done = plugins.edit(text, row)
    foreign = [entry for entry in yaml.safe_load(done.text)["plugins"] if names.role_of(entry["package"]) is None]
    assert foreign == entries
    assert plugins.edit(done.text, row).text == done.text
