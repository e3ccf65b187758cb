# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which entries for the Orchestrator a plugin file has to have in a release, and what happens to others. PRIVATE.

The file belongs to its user: entries of other releases are replaced or removed, and all else stays byte for byte.
"""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import names as plugin_names
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.edit import PluginFile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import contains
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import table as release_table

KEY = "dynamic-plugins.yaml"  # the one key of the ConfigMap
DEFAULTS_FILE = "dynamic-plugins.default.yaml"
KNOWN_KEYS = ("package", "integrity", "disabled", "pluginConfig", "dependencies")  # others are dropped by operators < 2


class Edit(t.NamedTuple):
    """A plugin file after the orchestrator's entries were put right."""

    text: str
    replaced: list[str]  # obsolete coordinates that were taken out
    warnings: list[str]  # one of a kind
    dependency: bool  # whether the backend plugin asks the operator for the platform


class _Choice(t.NamedTuple):
    """What becomes of the entries for one plugin."""

    place: int | None = None  # the entry that stays; None for no entry
    entry: Object | None = None  # what it says then
    moved: str = ""  # the package whose own pluginConfig it has now
    lost: t.Sequence[str] = ()  # packages whose own pluginConfig goes with them


def wanted_entries(row: Object) -> list[Object]:
    """Return the enabled entries that a release needs in a ConfigMap, as they are written."""
    return [_wanted_entry(package, row) for package in row["plugins"]["packages"]]


def _wanted_entry(package: Object, row: Object) -> Object:
    fields = {key: value for key, value in package.items() if key not in ("role", "package") and value is not None}
    return {"package": package["package"], **_switch(row), **fields}


def _switch(row: Object) -> Object:
    return {"disabled": False} if row["plugins"]["disable_key"] == "disabled" else {"enabled": True}


def edit(text: str, row: Object, platform: str | None = None) -> Edit:
    """Put the orchestrator's entries of a release into a plugin file; `text` may be empty.

    Where the release has a flavour for them nothing is added: entries of older releases go, unless they have settings
    of their own, which the flavour's entry then takes over; disabled ones are enabled.
    `platform` says who creates the platform for workflows: the operator ("hub"), because the backend plugin depends on
    it, or this collection ("self"), so that this dependency is cleared; None leaves it as the file says.
    Raises PluginsError when the file is not what the operator expects, or cannot be edited.
    """
    file = PluginFile(text)
    in_file = row["plugins"]["form"] != "flavour"
    wanted = {package["role"]: package for package in row["plugins"]["packages"]}
    entries: list[Object | None] = list(file.entries)
    added: list[Object] = []
    backend: Object | None = None  # the entry that decides about the platform
    choices = []
    for role in plugin_names.ROLES:
        group = [index for index, entry in enumerate(file.entries) if _role(entry) == role]
        choice = _choose(file.entries, group, wanted.get(role), row)
        new = choice.entry
        if new is None and role in wanted and (in_file or (role == "backend" and platform == "self")):
            # A flavour's entry is there without one of ours, which is needed only to clear what it depends on.
            new = _wanted_entry(wanted[role], row)
        if new is not None and role == "backend":
            new = backend = _with_platform(new, wanted[role], row, platform)
        for index in group:
            entries[index] = new if index == choice.place else None
        if new is not None and choice.place is None:
            added.append(new)
        choices.append(choice)
    includes = [DEFAULTS_FILE] if row["plugins"]["merge"] == "replace" and not file.has_includes else []
    return Edit(
        text=file.edited(entries, added, includes),
        replaced=[
            str(before["package"])
            for index, before in enumerate(file.entries)
            if _role(before) and (entries[index] is None or not _current(before, wanted.get(_role(before) or ""), row))
        ],
        warnings=_warnings(file.entries, entries, choices, row),
        dependency=asks(backend, row) if backend is not None else not in_file,
    )


def _role(entry: Object) -> str | None:
    found = plugin_names.role_of(str(entry["package"]))
    return found[0] if found else None


def _choose(entries: list[Object], group: list[int], wanted: Object | None, row: Object) -> _Choice:
    """Decide which entry for a plugin stays: one that the release can load, or the place of one that it cannot."""
    group = sorted(group, key=lambda index: not _enabled(entries[index], row))
    current = [index for index in group if _current(entries[index], wanted, row)]
    own = {index: _own(entries[index], wanted) for index in group}
    places = [index for index in group if own[index]]
    stays: int | None = None
    entry: Object | None = None
    moved = ""
    if current:
        stays = current[0]
        entry = entries[stays] if _enabled(entries[stays], row) else _enable(entries[stays], row)
    elif wanted and (places or (group and row["plugins"]["form"] != "flavour")):
        stays = (places or group)[0]
        entry = _moved(entries[stays], own[stays], wanted, row)
        moved = str(entries[stays]["package"]) if "pluginConfig" in own[stays] else ""
    lost = [
        str(entries[index]["package"])
        for index in sorted(group)
        if _has_config(entries[index], wanted) and entries[index]["pluginConfig"] != (entry or {}).get("pluginConfig")
    ]
    return _Choice(stays, entry, moved, lost)


def _own(entry: Object, wanted: Object | None) -> Object:
    """Return what a user has set in an entry, as far as it can be set for the release's plugin as well."""
    own = {}
    if _has_config(entry, wanted) and _configures(entry["pluginConfig"], _default_config(wanted)):
        own["pluginConfig"] = entry["pluginConfig"]
    if entry.get("dependencies") is not None and entry["dependencies"] != (wanted or {}).get("dependencies"):
        own["dependencies"] = entry["dependencies"]
    return own


def _has_config(entry: Object, wanted: Object | None) -> bool:
    """Tell whether a user has configured a plugin differently from what it comes with."""
    return bool(entry.get("pluginConfig")) and entry["pluginConfig"] != _default_config(wanted)


def _default_config(wanted: Object | None) -> t.Any:
    return release_table.PLUGIN_CONFIG.get((wanted or {}).get("role", ""))


def _configures(config: t.Any, default: t.Any) -> bool:
    """Tell whether a configuration has the one path that a plugin's default configuration begins with."""
    while isinstance(default, dict) and len(default) == 1:
        (key,) = default
        if not isinstance(config, dict) or key not in config:
            return False
        config, default = config[key], default[key]
    return True


def _moved(entry: Object, own: Object, wanted: Object, row: Object) -> Object:
    """Return an entry with a release's coordinates and its own settings. Keys that nobody knows stay."""
    new = _wanted_entry(wanted, row)
    if row["plugins"]["form"] == "flavour":  # the flavour's entry has the rest
        new = {key: value for key, value in new.items() if key not in ("pluginConfig", "dependencies")}
    rest = {key: value for key, value in entry.items() if key not in KNOWN_KEYS and key != "enabled"}
    return {**new, **rest, **own}


def _warnings(before: list[Object], after: list[Object | None], choices: list[_Choice], row: Object) -> list[str]:
    hub = f"Developer Hub {row['name']}"
    elsewhere = [str(entry["package"]) for entry in after if entry is not None and _elsewhere(entry)]
    twice = [str(entry["package"]) for entry in before if _enabled(entry, row) and _looks_like(entry)]
    found = [
        (f"{hub} ignores these keys of plugins", _ignored_keys(before, row), ""),
        (
            f"pluginConfig was kept in the entry of {hub} for the same plugin, where it replaces the default",
            [choice.moved for choice in choices if choice.moved],
            " Check that it still fits.",
        ),
        (
            "pluginConfig was removed with its entry, because another entry for the same plugin stays, or because it "
            f"does not configure the plugin of {hub}",
            [package for choice in choices for package in choice.lost],
            " Add what is needed of it to the entry that stays, or to an app-config.",
        ),
        (
            f"Used instead of the package that this collection knows for {hub}, without a check of the version",
            elsewhere,
            "",
        ),
        (_loaded_twice(hub), twice, f" Remove or disable it in {KEY}."),
    ]
    return [f"{what}: {', '.join(which)}.{advice}" for what, which, advice in found if which]


def _loaded_twice(hub: str) -> str:
    return f"Looks like the Orchestrator and will be loaded twice, because the plugins of {hub} are enabled as well"


def _ignored_keys(entries: list[Object], row: Object) -> list[str]:
    if row["plugins"]["disable_key"] != "disabled":
        return []
    found = []
    for entry in entries:
        effect = " (`enabled: false` does not disable it)" if entry.get("enabled") is False else ""
        unknown = sorted(str(key) for key in set(entry) - set(KNOWN_KEYS))
        found += [f"{', '.join(unknown)} of {entry['package']}{effect}"] if unknown else []
    return found


def _elsewhere(entry: Object) -> bool:
    """Tell whether an Orchestrator plugin comes from where the release table cannot follow."""
    found, package = plugin_names.role_of(str(entry["package"])), str(entry["package"])
    return found is not None and (found[1] == "ref" or (found[1] == "oci" and not plugin_names.own_image(package)))


def _looks_like(entry: Object) -> bool:
    """Tell whether an entry that is none of the known plugins contains one of them, by its name or configuration."""
    if _role(entry):
        return False
    config = entry.get("pluginConfig") or {}
    return plugin_names.looks_like(str(entry["package"])) or any(
        _configures(config, default) for default in release_table.PLUGIN_CONFIG.values()
    )


def inline(spec: Object) -> list[Object]:
    """Return the plugin entries that stand in the spec of a Backstage itself."""
    node: t.Any = spec
    for key in release_table.INLINE_PLUGINS:
        node = node.get(key) if isinstance(node, dict) else None
    return [entry for entry in node if isinstance(entry, dict) and "package" in entry] if isinstance(node, list) else []


def inline_warnings(spec: Object, row: Object) -> list[str]:
    """Return what is wrong with the plugins in a spec: a plugin of the Orchestrator under another package."""
    wanted = {package["role"]: package for package in row["plugins"]["packages"]}
    twice = [
        str(entry["package"])
        for entry in inline(spec)
        if _enabled(entry, row)
        and (_looks_like(entry) or (_role(entry) and not _current(entry, wanted.get(_role(entry) or ""), row)))
    ]
    where = ".".join(("spec", *release_table.INLINE_PLUGINS))
    what = _loaded_twice(f"Developer Hub {row['name']}")
    return [f"{what}: {', '.join(twice)}. Remove or disable it in {where}."] if twice else []


def asks(entry: Object, row: Object) -> bool:
    """Tell whether the backend plugin's entry makes the operator of a release provide the platform."""
    given = entry.get("dependencies")
    inherits = row["plugins"]["merge"] != "replace"
    if given is None or (given == [] and row["plugins"]["clear_dependencies"]):
        return inherits  # what the operator's default, or the flavour, says
    return any(_references(entry))


def _references(entry: Object) -> list[t.Any]:
    """Return what an entry depends on; an empty dependency is none."""
    given = entry.get("dependencies")
    return [each.get("ref") for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _with_platform(entry: Object, wanted: Object, row: Object, platform: str | None) -> Object:
    """Return the backend plugin's entry so that the operator makes the platform ("hub"), or does not ("self")."""
    if platform is None or not wanted.get("dependencies") or asks(entry, row) == (platform == "hub"):
        return entry
    if platform == "self":
        return {**entry, "dependencies": row["plugins"]["clear_dependencies"] or []}
    rest = {key: value for key, value in entry.items() if key != "dependencies"}
    return rest if asks(rest, row) else {**rest, "dependencies": wanted["dependencies"]}


def asks_for_platform(text: str, spec: Object) -> bool:
    """Tell whether another Backstage, by its plugin file or spec, enables the orchestrator with its platform."""
    try:
        entries = PluginFile(text).entries
    except PluginsError:
        entries = []
    return any(
        not entry.get("disabled", False) and release_table.DEPENDENCY["ref"] in _references(entry)
        for entry in [*entries, *inline(spec)]
    )


def _current(entry: Object, wanted: Object | None, row: Object) -> bool:
    """Tell whether an entry's coordinate is one that the release can load, and loads once."""
    found = plugin_names.role_of(str(entry["package"]))
    if wanted is None or found is None:
        return False
    _role_name, form, version = found
    if form == "ref":
        return bool(row["plugins"]["reference"])
    if row["plugins"]["form"] == "flavour":
        return entry["package"] == wanted["package"]  # the operator merges by this text alone, and loads both otherwise
    if row["plugins"]["form"] == "oci":
        return form == "oci"  # another registry or a pinned tag is the user's choice
    if form not in ("npm", "archive") or version != wanted["package"].rpartition("@")[2]:
        return False
    if row["plugins"]["merge"] == "replace" and "dependencies" in wanted and "dependencies" not in entry:
        return False  # nothing is inherited on such a release
    if form == "archive":  # a whole URL: pinned by whoever wrote it
        return bool(entry.get("integrity"))
    return contains(entry, {key: wanted[key] for key in ("integrity",) if wanted.get(key)})


def _enabled(entry: Object, row: Object) -> bool:
    if row["plugins"]["disable_key"] == "enabled" and "enabled" in entry:
        return bool(entry["enabled"])
    return not entry.get("disabled", False)


def _enable(entry: Object, row: Object) -> Object:
    return {**{key: value for key, value in entry.items() if key not in ("disabled", "enabled")}, **_switch(row)}
