"""Dynamic plugins of the Developer Hub stand-in: how defaults, flavours and the user's file meet in each release."""

from __future__ import annotations

import random
import typing as t

import yaml

from sandbox.operators._api import Object

try:  # libyaml's messages are those that the product shows
    from yaml import CSafeLoader as _Loader
except ImportError:
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

FILE = "dynamic-plugins.yaml"


class PluginError(Exception):
    """The plugin configuration cannot be used; the text is what the custom resource's status shows."""


def parse(text: str) -> Object:
    """Return a plugin file's content. Raises PluginError with the product's wording."""
    prefix = "failed to merge dynamic plugins config: failed to unmarshal second ConfigMap data: "
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = max(mark.line, 1) if mark else 1
        raise PluginError(f"{prefix}yaml: line {line}: {error.problem}") from error
    content = content or {}
    plugins = content.get("plugins") if isinstance(content, dict) else content
    if not isinstance(content, dict) or not isinstance(plugins or [], list):
        shape = "map" if isinstance(plugins, dict) else "str"
        detail = f"cannot unmarshal !!{shape} into []model.DynaPlugin"
        raise PluginError(f"{prefix}yaml: unmarshal errors:\n  line 1: {detail}")
    return {"includes": content.get("includes"), "plugins": plugins or []}


def is_enabled(entry: t.Mapping[str, t.Any]) -> bool:
    """Whether a plugin entry is switched on; `enabled` counts only where the release knows it and kept it."""
    if "enabled" in entry:
        return bool(entry["enabled"])
    return not entry.get("disabled", False)


def _merge_entry(base: Object, change: Object, rules: Object) -> Object:
    """Return one plugin's entry: the switch is always the second one's, all else is inherited when it is not given."""
    result = dict(base)
    for key in ("integrity", "pluginConfig"):
        if change.get(key):
            result[key] = change[key]
    given = change.get("dependencies")
    if given or (given is not None and rules["plugins"] == "clear"):
        result["dependencies"] = given
    switches = [key for key in ("enabled", "disabled") if key in rules["plugin_keys"]]
    for key in switches:
        result.pop(key, None)
        if key in change:
            result[key] = change[key]
    return result


def _clean(entry: Object, rules: Object) -> Object:
    """Return the entry as the operator writes it: known keys only, and with its switch spelled out."""
    result = {key: entry[key] for key in rules["plugin_keys"] if key in entry}
    if "enabled" not in result:
        result.setdefault("disabled", False)
    if result.get("dependencies") is not None:
        result["dependencies"] = [{"ref": (each or {}).get("ref", "")} for each in result["dependencies"]]
    return result


def merge(base: Object, change: Object, rules: Object) -> Object:
    """Return the merge of two parsed plugin files: entries meet by the exact package text, version included."""
    entries: dict[str, Object] = {entry["package"]: entry for entry in base["plugins"]}
    for entry in change["plugins"]:
        package = entry["package"]
        entries[package] = _merge_entry(entries[package], entry, rules) if package in entries else entry
    includes = list(dict.fromkeys([*(base["includes"] or []), *(change["includes"] or [])]))
    if change["includes"] == [] and rules["plugins"] == "clear":
        includes = []
    return {"includes": includes, "plugins": list(entries.values())}


def effective(default: str, flavours: list[str], user: str | None, rules: Object) -> Object:
    """Return the plugins that count, from the texts of the default, the enabled flavours and the user's ConfigMap.

    The order of the plugins is random at every call, as in the product.
    """
    merged = parse(default)
    if user is not None and rules["plugins"] == "replace":
        return parse(user)  # mounted as it is; nothing of the defaults remains
    for text in flavours:
        merged = merge(merged, parse(text), rules)
    if user is not None:
        merged = merge(merged, parse(user), rules)
    entries = [_clean(entry, rules) for entry in merged["plugins"]]
    random.shuffle(entries)
    return {"includes": merged["includes"] or [], "plugins": entries}


def dependencies(plugins: Object) -> list[str]:
    """Return the names of what enabled plugins depend on, each once, in order of appearance."""
    names = [
        (each or {}).get("ref", "")
        for entry in plugins["plugins"]
        if is_enabled(entry)
        for each in entry.get("dependencies") or []
    ]
    return [name for name in dict.fromkeys(names) if name]


def enabled_flavours(wanted: list[Object] | None, known: dict[str, bool]) -> list[str]:
    """Return the flavours to use. `wanted` is spec.flavours: None takes the defaults in `known`, [] none at all.

    Duplicates are accepted and the last one wins; an unknown name raises PluginError.
    """
    if wanted == []:
        return []
    chosen = dict(known)
    for each in wanted or []:
        if each["name"] not in known:
            home = "/default-config/flavours"
            raise PluginError(f"failed to determine enabled flavours: flavour '{each['name']}' not found in {home}")
        chosen[each["name"]] = bool(each.get("enabled", True))
    return [name for name, on in chosen.items() if on]


def dump(plugins: Object) -> str:
    """Return the text of the merged file."""
    return str(yaml.safe_dump(plugins, sort_keys=False, width=1000))
