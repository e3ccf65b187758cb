# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The orchestrator's entries in a `dynamic-plugins.yaml`, everything else byte for byte as it was. PRIVATE.

The file is edited as text at the places that a YAML parser names, because it belongs to its user: comments, order,
quoting and every foreign entry stay.
"""

from __future__ import annotations

import json
import re
import typing as t

try:
    import yaml
except ImportError:  # AnsibleK8SModule reports the missing library in one clear line
    yaml = None  # type: ignore[assignment]

from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    Object,
    contains,
)

KEY = "dynamic-plugins.yaml"  # the one key of the ConfigMap
DEFAULTS_FILE = "dynamic-plugins.default.yaml"
KNOWN_KEYS = ("package", "integrity", "disabled", "pluginConfig", "dependencies")  # others are dropped by operators < 2

# Every coordinate that the orchestrator's plugins ever had, by role. Modules beside them (loki, say) are not ours.
_SCOPES = r"(?:@redhat|@red-hat-developer-hub|@janus-idp)"
_NPM = {
    "frontend": r"backstage-plugin-orchestrator",
    "backend": r"backstage-plugin-orchestrator-backend(?:-dynamic)?",
    "scaffolder": r"(?:backstage-plugin-)?scaffolder-backend-module-orchestrator(?:-dynamic)?",
    "form-widgets": r"backstage-plugin-orchestrator-form-widgets",
}
_OCI = {
    "frontend": "orchestrator",
    "backend": "orchestrator-backend",
    "scaffolder": "scaffolder-backend-module-orchestrator",
    "form-widgets": "orchestrator-form-widgets",
}
_PATTERNS = [
    (role, form, re.compile(pattern))
    for role in _NPM
    for form, pattern in (
        ("npm", rf"{_SCOPES}/{_NPM[role]}(?:@(?P<version>[^/\s]+))?"),
        ("npm", rf"https?://[^\s]+/{_SCOPES}/{_NPM[role]}/-/{_NPM[role]}-(?P<version>\d[^/\s]*)\.tgz"),
        ("oci", rf"oci://[^\s]+/red-hat-developer-hub-backstage-plugin-{_OCI[role]}[:@!](?P<version>.+)"),
    )
]


class PluginsError(ValueError):
    """A plugin file that cannot be understood; the message says where."""


class Edit(t.NamedTuple):
    """A plugin file after the orchestrator's entries were put right."""

    text: str
    replaced: list[str]  # obsolete coordinates that were taken out
    warnings: list[str]
    dependency: bool  # whether the backend plugin asks the operator for the platform


def role_of(package: str) -> tuple[str, str, str] | None:
    """Return role, form ("npm" or "oci") and version or tag of an orchestrator plugin; None for any other package."""
    for role, form, pattern in _PATTERNS:
        found = pattern.fullmatch(package.strip())
        if found:
            return role, form, found.group("version") or ""
    return None


def wanted_entries(row: Object) -> list[Object]:
    """Return the enabled entries that a release needs in a ConfigMap, as they are written."""
    return [_wanted_entry(package, row) for package in row["plugins"]["packages"]]


def _wanted_entry(package: Object, row: Object) -> Object:
    switch = {"disabled": False} if row["plugins"]["disable_key"] == "disabled" else {"enabled": True}
    fields = {key: value for key, value in package.items() if key not in ("role", "package") and value is not None}
    return {"package": package["package"], **switch, **fields}


def edit(text: str, row: Object, platform: str | None = None) -> Edit:
    """Put the orchestrator's entries of a release into a plugin file; `text` may be empty.

    Where the release has a flavour for them nothing is added: entries of older releases go, disabled ones are enabled.
    `platform` tells who makes the platform for workflows: the operator ("hub"), because the backend plugin depends on
    it, or somebody else ("self"), so that this dependency is cleared; None leaves it as the file says.
    Raises PluginsError when the file is not what the operator expects.
    """
    root = _compose(text)
    entries = _entries(root)
    in_file = row["plugins"]["form"] != "flavour"
    disable_key = row["plugins"]["disable_key"]
    wanted = {entry["role"]: entry for entry in row["plugins"]["packages"]}
    complete = {role: _wanted_entry(package, row) for role, package in wanted.items()}
    kept: list[str | int] = []  # an index keeps the entry's own text
    replaced: list[str] = []
    warnings: list[str] = []
    present: set[str] = set()
    backend: Object | None = None  # the entry that decides about the platform
    for index, entry in enumerate(entries):
        package = str(entry.get("package", ""))
        found = role_of(package)
        if disable_key == "disabled" and (unknown := sorted(set(entry) - set(KNOWN_KEYS))):
            effect = "; `enabled: false` does not disable it" if entry.get("enabled") is False else ""
            warnings.append(f"Plugin {package}: this release ignores {', '.join(unknown)}{effect}.")
        if found is None:
            kept.append(index)
            continue
        role = found[0]
        if not _current(found, entry, wanted.get(role), row) or role in present:
            replaced.append(package)
            if in_file and role not in present and role in complete:
                # A changed value in the user's own pluginConfig is theirs; coordinates are not.
                own = {key: entry[key] for key in ("pluginConfig", "dependencies") if key in entry}
                new = {**complete[role], **own}
            else:
                continue
        else:
            new = entry if _enabled(entry, disable_key) else _enable(entry, disable_key)
        if role == "backend":
            new = backend = _with_platform(new, wanted.get(role) or {}, row, platform)
        present.add(role)
        kept.append(index if new == entry else _dump(new))
    for role, new in complete.items():
        # A flavour's entry is there without one of ours, which is needed only to clear what it depends on.
        if role not in present and (in_file or (role == "backend" and platform == "self")):
            if role == "backend":
                new = backend = _with_platform(new, wanted[role], row, platform)
            kept.append(_dump(new))
    dependency = asks(backend, row) if backend is not None else not in_file
    text = _with_plugins(text, root, kept)
    if row["plugins"]["merge"] == "replace" and "includes" not in _keys(root):
        if root is not None and root.flow_style:
            text = _into_flow(text, _compose(text), f"includes: [{DEFAULTS_FILE}]")
        else:
            text = f"includes:\n  - {DEFAULTS_FILE}\n" + text
    expected = [entries[part] if isinstance(part, int) else yaml.safe_load(part) for part in kept]
    if _entries(_compose(text)) != expected:
        raise PluginsError(f"the layout of `plugins` in {KEY} is too unusual to edit: put `- package:` on one line")
    return Edit(text, replaced, warnings, dependency)


def asks(entry: Object, row: Object) -> bool:
    """Tell whether the backend plugin's entry makes the operator of a release provide the platform."""
    given = entry.get("dependencies")
    inherits = row["plugins"]["merge"] != "replace"
    if given is None or (given == [] and row["plugins"]["clear_dependencies"]):
        return inherits  # what the operator's default, or the flavour, says
    return any((each or {}).get("ref") for each in given)


def _with_platform(entry: Object, wanted: Object, row: Object, platform: str | None) -> Object:
    """Return the backend plugin's entry so that the operator makes the platform ("hub"), or does not ("self")."""
    if platform is None or not wanted.get("dependencies") or asks(entry, row) == (platform == "hub"):
        return entry
    if platform == "self":
        return {**entry, "dependencies": row["plugins"]["clear_dependencies"] or []}
    rest = {key: value for key, value in entry.items() if key != "dependencies"}
    return rest if asks(rest, row) else {**rest, "dependencies": wanted["dependencies"]}


def asks_for_platform(text: str) -> bool:
    """Tell whether a plugin file of another Backstage enables the orchestrator with its platform."""
    try:
        entries = _entries(_compose(text))
    except PluginsError:
        return False
    return any(
        not entry.get("disabled", False)
        and any((each or {}).get("ref") == "sonataflow" for each in entry.get("dependencies") or [])
        for entry in entries
    )


def _current(found: tuple[str, str, str], entry: Object, wanted: Object | None, row: Object) -> bool:
    """Tell whether an entry's coordinate is one that the release can load."""
    _role, form, version = found
    if wanted is None:
        return False
    if form != ("npm" if row["plugins"]["form"] == "npm" else "oci"):
        return False
    if form == "oci":
        return True  # another registry or a pinned tag is the user's choice
    if version != wanted["package"].rpartition("@")[2]:
        return False
    needed = {key: wanted[key] for key in ("integrity",) if wanted.get(key)}
    if row["plugins"]["merge"] == "replace" and "dependencies" in wanted and "dependencies" not in entry:
        return False  # nothing is inherited on such a release
    if "/-/" in str(entry.get("package")):  # a whole URL: pinned by whoever wrote it
        return bool(entry.get("integrity"))
    return contains(entry, needed)


def _enabled(entry: Object, disable_key: str) -> bool:
    if disable_key == "enabled" and "enabled" in entry:
        return bool(entry["enabled"])
    return not entry.get("disabled", False)


def _enable(entry: Object, disable_key: str) -> Object:
    clean = {key: value for key, value in entry.items() if key not in ("disabled", "enabled")}
    return {**clean, **({"disabled": False} if disable_key == "disabled" else {"enabled": True})}


def _compose(text: str) -> t.Any:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        raise PluginsError(f"{KEY} is not YAML: {' '.join(str(exc).split())}") from exc
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise PluginsError(f"{KEY} must be a mapping with the keys `includes` and `plugins`")
    return root


def _keys(root: t.Any) -> dict[str, t.Any]:
    return {key.value: value for key, value in root.value} if root is not None else {}


def _plain(node: t.Any) -> t.Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _items(root: t.Any) -> list[t.Any]:
    node = _keys(root).get("plugins")
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise PluginsError(f"`plugins` in {KEY} must be a list")
    return list(node.value)


def _entries(root: t.Any) -> list[Object]:
    entries = [_plain(item) for item in _items(root)]
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or "package" not in entry:
            raise PluginsError(f"entry {number} of `plugins` in {KEY} is not a mapping with `package`")
    return entries


def _dump(entry: Object) -> str:
    return t.cast(str, yaml.safe_dump(entry, sort_keys=False, width=1000))


def _with_plugins(text: str, root: t.Any, kept: list[str | int]) -> str:
    """Return `text` with the given list of plugins: own texts for new entries, numbers for entries as they stand."""
    items = _items(root)
    if kept == list(range(len(items))) and "plugins" in _keys(root):
        return text
    node = _keys(root).get("plugins")
    in_flow = root is not None and root.flow_style
    if node is None and in_flow:
        return _into_flow(text, root, f"plugins: [{', '.join(_flow(part) for part in kept if isinstance(part, str))}]")
    if node is None:
        body = "".join(_block(entry, 2) for entry in kept if isinstance(entry, str))
        separator = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{separator}plugins:{' []' if not kept else ''}\n{body}"
    if not items or node.flow_style:
        parts = [
            text[items[part].start_mark.index : items[part].end_mark.index] if isinstance(part, int) else _flow(part)
            for part in kept
        ]
        if in_flow or any(isinstance(part, int) for part in kept) or not kept:
            new = "[" + ", ".join(parts) + "]"
        else:
            new = "\n" + "".join(_block(part, 2) for part in kept if isinstance(part, str)).rstrip("\n")
        start, end = node.start_mark.index, node.end_mark.index
        before, after = text[:start], text[end:]
        if new.startswith("\n"):
            before = before.rstrip(" ")
        elif not before.endswith((" ", "\n")):
            before += " "
        return before + new + (after or "\n")
    column = node.start_mark.column
    starts = [text.rindex("-", 0, item.start_mark.index) - column for item in items]
    ends = [*starts[1:], _end_of_list(text, items[-1].end_mark.index)]
    chunks = []
    for part in kept:
        chunk = text[starts[part] : ends[part]] if isinstance(part, int) else _block(part, column)
        chunks.append(chunk if chunk.endswith("\n") else chunk + "\n")
    if not chunks:
        return text[: node.start_mark.index - column].rstrip("\n") + " []\n" + text[ends[-1] :]
    return text[: starts[0]] + "".join(chunks) + text[ends[-1] :]


def _flow(entry: str) -> str:
    """One dumped mapping as an element of a flow list: JSON is YAML."""
    return json.dumps(yaml.safe_load(entry))


def _into_flow(text: str, root: t.Any, field: str) -> str:
    """Put a field first into a file that is one flow mapping."""
    at = root.start_mark.index + 1
    return f"{text[:at]}{field}, {text[at:]}"


def _end_of_list(text: str, index: int) -> int:
    """A block's end mark may lie behind comments and blank lines of what follows: those stay where they are."""
    end = len(text[:index].rstrip()) if index else 0
    newline = text.find("\n", end)
    return len(text) if newline < 0 else newline + 1


def _block(entry: str, column: int) -> str:
    """Indent one dumped mapping as an element of a block list that starts at a column."""
    lines = entry.rstrip("\n").split("\n")
    first, rest = lines[0], lines[1:]
    return "\n".join([" " * column + "- " + first, *(" " * (column + 2) + line for line in rest)]) + "\n"
