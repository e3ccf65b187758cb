"""What becomes of entries for the Orchestrator's plugins that a release does not load: replaced, kept or named."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import names, plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.operators import _hub_plugins as operator
from sandbox.operators import hub

RELEASES = release_lookup.known_releases()
MIXED_FILE = """\
# Owned by the web team
includes:
  - dynamic-plugins.default.yaml
plugins:
  # -- flows, see the wiki
  - package: "@redhat/backstage-plugin-orchestrator@1.8.2"  # pinned
    disabled: false
    pluginConfig:
      dynamicPlugins:
        frontend:
          # renamed by request
          red-hat-developer-hub.backstage-plugin-orchestrator:
            dynamicRoutes: [{path: /flows, importName: OrchestratorPage, menuItem: {text: Flows}}]

  # -- LDAP. Keep!
  - package: ./dynamic-plugins/dist/ldap
    disabled: true
  - package: "@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.2"
    disabled: false
  # For the autumn:
  # - package: ./dynamic-plugins/dist/tekton
  #   disabled: false
"""
ODD_FORMS = {
    "backend": "https://git.example/releases/download/v1.6/backstage-plugin-orchestrator-backend-dynamic-1.6.0-rc.9.tgz",
    "frontend": "http://plugins:8080/redhat-backstage-plugin-orchestrator-1.4.0.tgz",
    "scaffolder": "./dynamic-plugins/dist/backstage-plugin-scaffolder-backend-module-orchestrator-dynamic",
    "form-widgets": "oci://mirror.example/all:1.9!red-hat-developer-hub-backstage-plugin-orchestrator-form-widgets",
}


def own_config(key: str = "red-hat-developer-hub.backstage-plugin-orchestrator") -> dict:
    return {"dynamicPlugins": {"frontend": {key: {"dynamicRoutes": [{"path": "/flows"}]}}}}


def enabled_by_role(name: str, text: str) -> dict[str, list[str]]:
    """The enabled plugins of the Orchestrator, as the stand-in's own merge has them."""
    row, rules = release_lookup.release(name), hub.read_releases()[name]
    defaults, flavours = "plugins: []", []
    if row["plugins"]["form"] == "flavour":
        flavours = [yaml.safe_dump({"plugins": plugins.wanted_entries(row)})]
    merged = operator.effective(defaults, flavours, text, rules)
    found: dict[str, list[str]] = {}
    for entry in filter(operator.is_enabled, merged["plugins"]):
        role = names.role_of(entry["package"])
        found.setdefault(role[0] if role else "", []).append(entry["package"])
    return found


def test_on_a_flavour_the_own_configuration_moves_to_its_entry_and_all_else_stays() -> None:
    row = release_lookup.release("1.10")
    done = plugins.edit(MIXED_FILE, row)
    before, _old, rest = MIXED_FILE.partition('"@redhat/backstage-plugin-orchestrator@1.8.2"')
    rest, _removed, end = rest.partition(
        '  - package: "@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.2"\n    disabled: false\n'
    )
    assert done.text == before + repr(row["plugins"]["packages"][0]["package"]) + rest + end
    assert done.replaced == [
        "@redhat/backstage-plugin-orchestrator@1.8.2",
        "@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.2",
    ]
    (warning,) = done.warnings
    assert warning.startswith("pluginConfig was kept in the entry of Developer Hub 1.10 for the same plugin")
    assert "@redhat/backstage-plugin-orchestrator@1.8.2" in warning
    again = plugins.edit(done.text, row)
    assert (again.text, again.replaced, again.warnings) == (done.text, [], [])


@pytest.mark.parametrize("name", RELEASES)
def test_comments_and_blank_lines_beside_a_removed_entry_stay(name: str) -> None:
    lines = iter(plugins.edit(MIXED_FILE, release_lookup.release(name)).text.splitlines())
    own = [line for line in MIXED_FILE.splitlines() if not line.strip() or line.strip().startswith("#")]
    assert all(any(line == other for other in lines) for line in own)


@pytest.mark.parametrize("name", RELEASES)
def test_every_form_is_replaced_so_that_no_plugin_is_loaded_twice(name: str) -> None:
    entries = [{"package": package, "disabled": False, "integrity": "sha512-AAAA"} for package in ODD_FORMS.values()]
    done = plugins.edit(yaml.safe_dump({"plugins": entries}), release_lookup.release(name))
    loaded = enabled_by_role(name, done.text)
    assert {role: len(packages) for role, packages in loaded.items()} == {
        entry["role"]: 1 for entry in release_lookup.release(name)["plugins"]["packages"]
    }
    named = done.replaced + done.warnings
    assert all(any(package in each for each in named) for package in ODD_FORMS.values())


@pytest.mark.parametrize("name", ["1.10", "2.1"])
def test_another_registry_or_tag_goes_where_a_flavour_brings_the_plugin(name: str) -> None:
    row = release_lookup.release(name)
    pinned = row["plugins"]["packages"][1]["package"].replace("{{inherit}}", "1.9")
    done = plugins.edit(yaml.safe_dump({"plugins": [{"package": pinned}]}), row)
    assert done.replaced == [pinned]
    assert enabled_by_role(name, done.text)["backend"] == [row["plugins"]["packages"][1]["package"]]


def test_a_reference_to_the_catalog_stays_where_the_operator_resolves_it() -> None:
    text = "plugins: [{package: 'ref://red-hat-developer-hub-backstage-plugin-orchestrator'}]\n"
    done = plugins.edit(text, release_lookup.release("2.1"))
    assert (done.text, done.replaced) == (text, [])
    assert "Used instead of the package" in done.warnings[0]
    assert plugins.edit(text, release_lookup.release("1.10")).text == "plugins: []\n"


def test_an_archive_of_the_right_version_is_the_choice_of_its_user() -> None:
    row = release_lookup.release("1.8")
    package = "http://plugins:8080/redhat-backstage-plugin-orchestrator-1.8.12.tgz"
    done = plugins.edit(yaml.safe_dump({"plugins": [{"package": package, "integrity": "sha512-AAAA"}]}), row)
    assert done.replaced == []
    assert package in done.text
    assert plugins.edit(yaml.safe_dump({"plugins": [{"package": package}]}), row).replaced == [package]


@pytest.mark.parametrize("entry", [
    {"package": "@acme/backstage-plugin-orchestrator@1.0.0"},
    {"package": "oci://x/acme-orchestrator:1", "disabled": False},
    {"package": "./local/flows", "pluginConfig": own_config()},
    {"package": "./local/flows", "pluginConfig": {"orchestrator": {"dataIndexService": {"url": "http://x"}}}},
])  # fmt: skip
def test_what_only_looks_like_the_orchestrator_stays_and_is_named(entry: dict) -> None:
    text = yaml.safe_dump({"plugins": [entry]})
    (warning,) = plugins.edit(text, release_lookup.release("1.10")).warnings
    assert warning.startswith("Looks like the Orchestrator and will be loaded twice")
    assert entry["package"] in warning
    assert plugins.edit(text, release_lookup.release("1.10")).text == text
    off = yaml.safe_dump({"plugins": [{**entry, "disabled": True}]})
    assert plugins.edit(off, release_lookup.release("1.10")).warnings == []
    (inline,) = plugins.inline_warnings({"application": {"dynamicPlugins": [entry]}}, release_lookup.release("2.1"))
    assert inline.endswith(f"{entry['package']}. Remove or disable it in spec.application.dynamicPlugins.")


def test_inline_entries_that_meet_the_release_s_own_are_not_loaded_twice() -> None:
    row = release_lookup.release("2.1")
    own = [{"package": entry["package"]} for entry in row["plugins"]["packages"]]
    own += [{"package": "ref://red-hat-developer-hub-backstage-plugin-orchestrator"}, {"package": "./else"}]
    odd = [{"package": ODD_FORMS["backend"]}, {"package": ODD_FORMS["frontend"], "enabled": False}]
    assert plugins.inline_warnings({"application": {"dynamicPlugins": own}}, row) == []
    (warning,) = plugins.inline_warnings({"application": {"dynamicPlugins": own + odd}}, row)
    assert ODD_FORMS["backend"] in warning
    assert ODD_FORMS["frontend"] not in warning
    for spec in ({}, {"application": None}, {"application": {"dynamicPlugins": {"package": "x"}}}):
        assert plugins.inline_warnings(spec, row) == []


@pytest.mark.parametrize("name", RELEASES)
def test_a_configuration_that_cannot_move_is_named(name: str) -> None:
    row = release_lookup.release(name)
    package, config = "@janus-idp/backstage-plugin-orchestrator@1.0.0", own_config("janus-idp.other")
    done = plugins.edit(yaml.safe_dump({"plugins": [{"package": package, "pluginConfig": config}]}), row)
    assert done.replaced == [package]
    (warning,) = done.warnings
    assert warning.startswith("pluginConfig was removed with its entry")
    assert package in warning
    assert "janus-idp.other" not in done.text


def test_of_several_entries_for_a_plugin_the_enabled_current_one_stays() -> None:
    row = release_lookup.release("1.9")
    good = row["plugins"]["packages"][0]["package"]
    entries = [
        {"package": "@redhat/backstage-plugin-orchestrator@1.8.2", "pluginConfig": own_config()},
        {"package": good, "disabled": True},
        {"package": good.replace("{{inherit}}", "1.9"), "disabled": False},
    ]
    done = plugins.edit(yaml.safe_dump({"plugins": entries}), row)
    assert enabled_by_role("1.9", done.text)["frontend"] == [good.replace("{{inherit}}", "1.9")]
    assert done.replaced == ["@redhat/backstage-plugin-orchestrator@1.8.2", good]
    (warning,) = done.warnings
    assert warning.startswith("pluginConfig was removed with its entry")


@pytest.mark.parametrize("form", ["flavour", "oci"])
def test_the_configuration_that_a_plugin_comes_with_is_none_of_the_user(form: str) -> None:
    text = plugins.edit("", release_lookup.release("1.8")).text
    for row in filter(lambda row: row["plugins"]["form"] == form, map(release_lookup.release, RELEASES)):
        done = plugins.edit(text, row)
        assert done.warnings == []
        assert "pluginConfig" not in done.text


def test_a_cleared_dependency_moves_to_the_flavour_s_entry() -> None:
    row = release_lookup.release("1.10")
    entry = {"package": "@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.2", "dependencies": [{}]}
    done = plugins.edit(yaml.safe_dump({"plugins": [entry]}), row)
    (new,) = yaml.safe_load(done.text)["plugins"]
    assert new == {"package": row["plugins"]["packages"][1]["package"], "disabled": False, "dependencies": [{}]}
    assert not done.dependency
    entry["dependencies"] = [{"ref": "sonataflow"}]
    assert plugins.edit(yaml.safe_dump({"plugins": [entry]}), row).text == "plugins: []\n"


@pytest.mark.parametrize("given", ["sonataflow", ["sonataflow"], {"ref": "sonataflow"}, None])
def test_dependencies_of_another_shape_are_no_error(given: object) -> None:
    row = release_lookup.release("1.10")
    entry = {"package": row["plugins"]["packages"][1]["package"], "dependencies": given}
    assert plugins.edit(yaml.safe_dump({"plugins": [entry]}), row).dependency == (given is None)


def test_warnings_are_one_of_a_kind() -> None:
    text = (
        "plugins:\n- {package: ./a, enabled: false}\n- {package: ./b, zeal: 1, more: 2}\n"
        "- {package: ./my-orchestrator}\n- {package: ./other-orchestrator}\n"
    )
    ignored, twice = plugins.edit(text, release_lookup.release("1.10")).warnings
    assert ignored == (
        "Developer Hub 1.10 ignores these keys of plugins: enabled of ./a (`enabled: false` does not disable it), "
        "more, zeal of ./b."
    )
    assert "./my-orchestrator, ./other-orchestrator." in twice
    assert plugins.edit(text, release_lookup.release("2.1")).warnings == [twice.replace("1.10", "2.1")]


_packages = st.sampled_from(
    [
        *ODD_FORMS.values(),
        *(entry["package"] for name in RELEASES for entry in release_lookup.release(name)["plugins"]["packages"]),
        "@janus-idp/backstage-plugin-orchestrator-backend-dynamic@1.0.0",
        "ref://red-hat-developer-hub-backstage-plugin-orchestrator-backend",
        "./local/a",
        "./local/b",
        "oci://x/y:1!z",
    ]
)
_any_entries = st.lists(
    st.fixed_dictionaries(
        {"package": _packages},
        optional={
            "disabled": st.booleans(),
            "enabled": st.booleans(),
            "integrity": st.just("sha512-AAAA"),
            "pluginConfig": st.sampled_from([own_config(), own_config("x"), {"orchestrator": {"a": 1}}]),
            "dependencies": st.sampled_from([[], [{}], [{"ref": "sonataflow"}], [{"ref": "tekton"}]]),
        },
    ),
    max_size=6,
    unique_by=lambda entry: entry["package"],
)


@settings(max_examples=100)
@given(_any_entries, st.booleans(), st.sampled_from(RELEASES), st.sampled_from([None, "hub", "self"]))
def test_each_plugin_is_loaded_once_and_a_second_edit_changes_nothing(
    entries: list[dict], flow: bool, name: str, platform: str | None
) -> None:
    row = release_lookup.release(name)
    content = json.loads(json.dumps({"plugins": entries}))  # without parts in common, which would become aliases
    text = "# mine\n" + yaml.safe_dump(content, default_flow_style=flow, sort_keys=False)
    done = plugins.edit(text, row, platform)
    again = plugins.edit(done.text, row, platform)
    assert (again.text, again.replaced) == (done.text, [])
    assert again.dependency == done.dependency
    assert platform is None or not row["behaviour"]["provides_platform"] or done.dependency == (platform == "hub")
    foreign = [entry for entry in entries if names.role_of(entry["package"]) is None]
    left = yaml.safe_load(done.text)["plugins"]
    assert [entry for entry in left if names.role_of(entry["package"]) is None] == foreign
    roles = [found[0] for found in (names.role_of(entry["package"]) for entry in left) if found]
    assert len(roles) == len(set(roles))
    assert "# mine" in done.text
    if not any(entry["package"].startswith("ref://") for entry in left):
        loaded = enabled_by_role(name, done.text)
        assert all(len(packages) == 1 for role, packages in loaded.items() if role)
    kinds = [warning.partition(":")[0] for warning in done.warnings]
    assert len(kinds) == len(set(kinds))
