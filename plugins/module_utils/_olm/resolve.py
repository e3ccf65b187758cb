# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator's wanted state means on this catalog, decided before anything is written. PRIVATE.

Versions are ordered as OLM orders them (semantic versions): a build suffix such as `-14` is a pre-release, so that
3.2.0-16 comes before 3.2.0 and after 3.2.0-9.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import NAMESPACE_NAME
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import owned_crds
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.semver import in_range, parse_range, version_key

SKIP_RANGE = "olm.skipRange"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One entry of the module's `operators`."""

    package: str
    namespace: str
    channel: str | None = None
    csv: str | None = None
    version: str | None = None
    version_range: str | None = None
    approval: str = "Manual"
    catalog: str = "redhat-operators"
    catalog_namespace: str = "openshift-marketplace"
    group_name: str | None = None
    target_namespaces: tuple[str, ...] | None = None  # empty: all of them
    watches: tuple[str, ...] = ()  # namespaces that it must watch, whoever installed it
    config: Object | None = None
    allow_collateral: tuple[str, ...] = ()

    @classmethod
    def from_option(cls, option: Object) -> Wanted:
        """Build from the module's option; absent keys take the defaults."""
        group = option.get("operator_group") or {}
        targets = group.get("target_namespaces")
        return cls(
            package=option["name"],
            namespace=option["namespace"],
            channel=option.get("channel"),
            csv=option.get("csv"),
            version=option.get("version"),
            version_range=option.get("version_range"),
            approval=option.get("approval") or "Manual",
            catalog=option.get("catalog") or "redhat-operators",
            catalog_namespace=option.get("catalog_namespace") or "openshift-marketplace",
            group_name=group.get("name"),
            target_namespaces=None if targets is None else tuple(targets),
            watches=tuple(option.get("watches") or ()),
            config=option.get("config"),
            allow_collateral=tuple(option.get("allow_collateral") or ()),
        )

    @property
    def pinned(self) -> bool:
        """Whether a version was asked for."""
        return bool(self.csv or self.version or self.version_range)


@dataclasses.dataclass(frozen=True)
class Target:
    """What a wanted operator resolves to in its catalog."""

    channel: str
    csv: str
    version: str
    entries: tuple[tuple[str, str], ...]  # (CSV, version) of the channel, newest first
    head: str
    head_skip_range: str | None
    install_modes: tuple[str, ...]
    min_kube_version: str | None
    owned_crds: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def version_of(self, csv: str) -> str | None:
        """Return the version of a CSV of the channel, or None for a CSV that the channel does not hold."""
        return dict(self.entries).get(csv)


def check_input(wanted: t.Sequence[Wanted], state: str = "present") -> list[str]:
    """Return every problem of the input itself; none when it can be worked with."""
    problems = []
    if not wanted:
        problems.append("operators: the list is empty; name at least one operator.")
    seen: set[str] = set()
    for item in wanted:
        where = f"operators[{item.package}]"
        if item.package in seen:
            problems.append(f"{where}: the package is named twice.")
        seen.add(item.package)
        if not NAMESPACE_NAME.fullmatch(item.namespace):
            problems.append(f"{where}: {item.namespace!r} is not a valid namespace name.")
        given = [name for name in ("csv", "version", "version_range") if getattr(item, name)]
        if len(given) > 1:
            problems.append(f"{where}: {' and '.join(given)} exclude each other; give one.")
        if state == "present" and given and item.approval == "Automatic":
            problems.append(
                f"{where}: {given[0]} with approval Automatic does not hold: OLM would run on to the head of the "
                "channel. Use approval Manual, or do not pin."
            )
        for name, check in (("version", version_key), ("version_range", parse_range)):
            try:
                if getattr(item, name):
                    check(getattr(item, name))
            except ValueError as exc:
                problems.append(f"{where}: {name}: {exc}.")
    return problems


def nearest(name: str, known: t.Iterable[str], limit: int = 12) -> str:
    """Return what does exist as one text, near misses first."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    ordered = close + [item for item in names if item not in close]
    if not ordered:
        return "(none)"
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def find_manifest(manifests: t.Iterable[Object], wanted: Wanted) -> Object | None:
    """Return the PackageManifest of exactly the wanted catalog: two catalogs may serve the same package name."""
    for manifest in manifests:
        status = manifest.get("status") or {}
        if (
            manifest["metadata"]["name"] == wanted.package
            and status.get("catalogSource") == wanted.catalog
            and status.get("catalogSourceNamespace") == wanted.catalog_namespace
        ):
            return manifest
    return None


def resolve(manifest: Object, wanted: Wanted) -> tuple[Target | None, list[str]]:
    """Return what is meant, or None and the problems, each with what does exist."""
    where = f"operators[{wanted.package}]"
    status = manifest.get("status") or {}
    channels = {channel["name"]: channel for channel in status.get("channels") or []}
    name = wanted.channel or status.get("defaultChannel")
    if name not in channels:
        return None, [
            f"{where}: no channel {name!r} in package {wanted.package} of catalog {wanted.catalog}; "
            f"there are: {nearest(str(name), channels)}."
        ]
    channel = channels[name]
    head = channel["currentCSV"]
    description = channel.get("currentCSVDesc") or {}
    entries = [(entry["name"], entry.get("version") or "") for entry in channel.get("entries") or []]
    if not entries:  # older OLM does not list them
        entries = [(head, description.get("version") or "")]
    chosen, problem = _choose(entries, head, wanted)
    if chosen is None:
        elsewhere = _channels_with(channels.values(), wanted)
        hint = f" It is in channel {', '.join(elsewhere)}." if elsewhere else ""
        return None, [f"{where}: {problem} in channel {name}; there are: {_versions(entries, wanted)}.{hint}"]
    return (
        Target(
            channel=t.cast(str, name),
            csv=chosen[0],
            version=chosen[1],
            entries=tuple(entries),
            head=head,
            head_skip_range=(description.get("annotations") or {}).get(SKIP_RANGE),
            install_modes=tuple(m["type"] for m in description.get("installModes") or [] if m.get("supported")),
            min_kube_version=description.get("minKubeVersion"),
            owned_crds=tuple(crd["name"] for crd in owned_crds(description)),
            warnings=tuple(_deprecations(wanted.package, status, channel, chosen[0])),
        ),
        [],
    )


def _deprecations(package: str, status: Object, channel: Object, csv: str) -> list[str]:
    """Return what the catalog says of deprecated packages, channels and versions."""
    entries = [entry for entry in channel.get("entries") or [] if entry["name"] == csv]
    parts = [(f"package {package}", status), (f"channel {channel['name']}", channel), *((csv, e) for e in entries)]
    texts = [(what, (part.get("deprecation") or {}).get("message")) for what, part in parts]
    return [f"{what} is deprecated: {text}" for what, text in texts if text]


def _choose(entries: list[tuple[str, str]], head: str, wanted: Wanted) -> tuple[tuple[str, str] | None, str]:
    if wanted.csv:
        found = [entry for entry in entries if entry[0] == wanted.csv]
        return (found[0], "") if found else (None, f"no CSV {wanted.csv!r}")
    if wanted.version:
        key = version_key(wanted.version)
        found = [entry for entry in entries if _key_or_none(entry[1]) == key]
        return (found[0], "") if found else (None, f"no version {wanted.version!r}")
    if wanted.version_range:
        fitting = [entry for entry in entries if _key_or_none(entry[1]) and in_range(entry[1], wanted.version_range)]
        if not fitting:
            return None, f"no version within {wanted.version_range!r}"
        return max(fitting, key=lambda entry: version_key(entry[1])), ""
    return next((entry for entry in entries if entry[0] == head), (head, "")), ""


def _key_or_none(version: str) -> tuple[t.Any, ...] | None:
    try:
        return version_key(version)
    except ValueError:
        return None


def _versions(entries: list[tuple[str, str]], wanted: Wanted) -> str:
    if wanted.csv:
        return nearest(wanted.csv, [name for name, _version in entries])
    return nearest(wanted.version or "", [version for _name, version in entries])


def _channels_with(channels: t.Iterable[Object], wanted: Wanted) -> list[str]:
    found = []
    for channel in channels:
        entries = [(entry["name"], entry.get("version") or "") for entry in channel.get("entries") or []]
        if _choose(entries, channel["currentCSV"], wanted)[0]:
            found.append(channel["name"])
    return found


def predict_steps(target: Target, installed: str | None) -> list[str]:
    """Return the CSVs that OLM will install on the way to the target, in order, as far as the catalog tells.

    The catalog's summary shows only the skipRange of a channel's head; other steps are taken to be one by one.
    """
    if installed == target.csv:
        return []
    if installed is None:
        return [target.csv]
    names = [name for name, _version in target.entries]
    version = target.version_of(installed)
    if target.csv == target.head and version and target.head_skip_range and in_range(version, target.head_skip_range):
        return [target.csv]
    if installed in names and names.index(installed) > names.index(target.csv):
        return list(reversed(names[names.index(target.csv) : names.index(installed)]))
    return [target.csv]


def no_way(target: Target, installed: str | None, version: str, where: str) -> list[str]:
    """Return why OLM will not go from what is installed to the target, as far as the catalog's summary tells."""
    try:
        if version_key(version) > version_key(target.version):
            return [
                f"{where}: {installed} is installed and newer than {target.csv}; OLM never goes back. Remove the "
                "operator first (its custom resources stay), or ask for a newer version."
            ]
        jumps = target.csv != target.head and target.head_skip_range and in_range(version, target.head_skip_range)
    except ValueError:
        return []  # a version that is none: OLM will judge
    if jumps:
        return [
            f"{where}: from {installed} OLM goes straight to {target.head} (skipRange {target.head_skip_range}) and "
            f"not to {target.csv}. Ask for {target.head}, use a channel that ends at {target.csv}, or remove the "
            "operator first (its custom resources stay)."
        ]
    return []
