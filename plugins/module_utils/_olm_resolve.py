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
import functools
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import (
    NAMESPACE_NAME,
)

Object = dict[str, t.Any]
SKIP_RANGE = "olm.skipRange"
CREATED_LABEL = "rhdh.orchestrator/created"

_VERSION = re.compile(r"^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$")
_TERM = re.compile(r"(>=|<=|!=|==|>|<|=|!)?\s*(v?\d[0-9A-Za-z.+-]*)")


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


@functools.total_ordering
class _Part:
    """One dot-separated identifier of a pre-release: numbers come before words, and compare as numbers."""

    def __init__(self, text: str) -> None:
        self.key: tuple[int, int, str] = (0, int(text), "") if text.isdigit() else (1, 0, text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Part) and self.key == other.key

    def __lt__(self, other: _Part) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)


def version_key(text: str) -> tuple[t.Any, ...]:
    """Return a sort key for a version. Raises ValueError for what is not one."""
    match = _VERSION.match(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a version such as 1.38.1 or 3.2.0-16")
    numbers = tuple(int(part or 0) for part in match.groups()[:3])
    pre = match.group(4)
    return (*numbers, pre is None, tuple(_Part(part) for part in (pre or "").split(".") if part))


def parse_range(expression: str) -> list[list[tuple[str, tuple[t.Any, ...]]]]:
    """Return alternatives (`||`) of terms that must all hold. Raises ValueError for what is not a range."""
    alternatives = []
    for part in expression.split("||"):
        terms = [(operator or "=", version_key(version)) for operator, version in _TERM.findall(part)]
        if not terms or _TERM.sub("", part).replace(",", "").strip():
            raise ValueError(f"{expression!r} is not a range such as '>=1.37.0 <1.39.0'")
        alternatives.append(terms)
    return alternatives


def in_range(version: str, expression: str) -> bool:
    """Tell whether a version satisfies a range. Raises ValueError when either cannot be read."""
    key = version_key(version)
    holds = {
        ">=": lambda a, b: a >= b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        "<": lambda a, b: a < b,
        "=": lambda a, b: a == b,
        "==": lambda a, b: a == b,
        "!": lambda a, b: a != b,
        "!=": lambda a, b: a != b,
    }
    return any(all(holds[op](key, bound) for op, bound in terms) for terms in parse_range(expression))


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


def owned_crds(spec: t.Mapping[str, t.Any]) -> list[Object]:
    """Return the CRDs that a CSV owns, given its spec or what a PackageManifest says of it."""
    return (spec.get("customresourcedefinitions") or {}).get("owned") or []


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
    warnings = [
        f"{what} is deprecated: {text}"
        for what, text in (
            (f"package {wanted.package}", (status.get("deprecation") or {}).get("message")),
            (f"channel {name}", (channel.get("deprecation") or {}).get("message")),
            *(
                (entry["name"], (entry.get("deprecation") or {}).get("message"))
                for entry in channel.get("entries") or []
                if entry["name"] == chosen[0]
            ),
        )
        if text
    ]
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
            warnings=tuple(warnings),
        ),
        [],
    )


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


@dataclasses.dataclass(frozen=True)
class GroupDecision:
    """What is to be done about the OperatorGroup of a namespace."""

    action: str  # "adopt", "create" or "refuse"
    name: str
    problem: str = ""
    body: Object | None = None


def decide_group(groups: t.Sequence[Object], wanted: Wanted, install_modes: t.Sequence[str]) -> GroupDecision:
    """Decide for the OperatorGroups that are in the namespace: 0 create, 1 adopt when it fits, 2 or more refuse."""
    where = f"operators[{wanted.package}]"
    if len(groups) > 1:
        names = ", ".join(sorted(group["metadata"]["name"] for group in groups))
        return GroupDecision(
            "refuse",
            "",
            f"{where}: namespace {wanted.namespace} has {len(groups)} OperatorGroups ({names}); OLM installs nothing "
            f"there. Delete all but one: oc get operatorgroups -n {wanted.namespace}.",
        )
    if groups:
        group = groups[0]
        name = group["metadata"]["name"]
        targets = (group.get("spec") or {}).get("targetNamespaces") or []
        mode = install_mode(targets, wanted.namespace, bool((group.get("spec") or {}).get("selector")))
        wanted_targets = list(wanted.target_namespaces or ())
        if wanted_targets and sorted(targets) != sorted(wanted_targets):
            return GroupDecision(
                "refuse",
                name,
                f"{where}: OperatorGroup {wanted.namespace}/{name} targets {targets or 'all namespaces'}, wanted are "
                f"{wanted_targets}; it may serve other operators and is not changed.",
            )
        watched = tuple(filter(None, targets)) or watched_by(None, group)
        lacking = unwatched(wanted, watched, install_modes, wanted.namespace)
        if lacking:
            return GroupDecision(
                "refuse",
                name,
                f"{where}: OperatorGroup {wanted.namespace}/{name} targets {', '.join(watched or ())}, and the "
                f"operator must watch {lacking}; the group may serve other operators and is not changed.",
            )
        if install_modes and mode not in install_modes:
            return GroupDecision(
                "refuse",
                name,
                f"{where}: OperatorGroup {wanted.namespace}/{name} asks for install mode {mode}, the operator supports "
                f"only {', '.join(install_modes)}. Use another namespace, or change the group's targetNamespaces.",
            )
        return GroupDecision("adopt", name)
    targets = list(wanted.target_namespaces or ())
    if not targets and install_modes and "AllNamespaces" not in install_modes:
        targets = [wanted.namespace]
    mode = install_mode(targets, wanted.namespace)
    name = wanted.group_name or wanted.namespace
    lacking = unwatched(dataclasses.replace(wanted, target_namespaces=None), tuple(targets), (), wanted.namespace)
    if lacking:
        return GroupDecision(
            "refuse", name, f"{where}: watches: {lacking} is not among the target_namespaces {targets}."
        )
    if install_modes and mode not in install_modes:
        return GroupDecision(
            "refuse",
            name,
            f"{where}: target_namespaces {targets} mean install mode {mode}, the operator supports only "
            f"{', '.join(install_modes)}.",
        )
    spec: Object = {"targetNamespaces": targets} if targets else {}
    body = {"metadata": {"name": name, "namespace": wanted.namespace}, "spec": spec}
    return GroupDecision("create", name, body=body)


def watched_by(csv: Object | None, group: Object | None) -> tuple[str, ...] | None:
    """Return the namespaces that an installed operator watches, empty for all; None when it is not known.

    OLM writes them into an annotation of the CSV, and before that into the status of its OperatorGroup.
    """
    text = ((csv or {"metadata": {}})["metadata"].get("annotations") or {}).get("olm.targetNamespaces")
    if text is not None:
        return tuple(filter(None, text.split(",")))
    names = ((group or {}).get("status") or {}).get("namespaces")
    return None if names is None else tuple(filter(None, names))


def unwatched(wanted: Wanted, watched: tuple[str, ...] | None, modes: t.Sequence[str], place: str) -> str:
    """Return what was asked for and is not watched, in words; empty when all is.

    `place` is the namespace of the operator. Where nothing was asked for, one in another namespace than the wanted one
    has to watch what it would watch there: all, or that namespace when `modes`, its install modes, do not allow all.
    """
    if not watched:
        return ""
    asked = {*(wanted.target_namespaces or ()), *wanted.watches}
    elsewhere = place != wanted.namespace and not asked and wanted.target_namespaces is None
    if elsewhere and "AllNamespaces" not in modes:
        asked = {wanted.namespace}
    missing = sorted(asked - set(watched))
    if missing:
        return f"namespace{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return "all namespaces" if wanted.target_namespaces == () or (elsewhere and "AllNamespaces" in modes) else ""


def install_mode(targets: t.Sequence[str], namespace: str, selector: bool = False) -> str:
    """Return the install mode that an OperatorGroup's targets mean."""
    if selector:
        return "MultiNamespace"
    if not targets or list(targets) == [""]:
        return "AllNamespaces"
    if list(targets) == [namespace]:
        return "OwnNamespace"
    return "SingleNamespace" if len(targets) == 1 else "MultiNamespace"


def component_label(package: str, namespace: str) -> str:
    """Return the label key with which OLM marks everything of an operator; its name part is cut at 63 characters."""
    return "operators.coreos.com/" + re.sub(r"[^A-Za-z0-9]+$", "", f"{package}.{namespace}"[:63])
