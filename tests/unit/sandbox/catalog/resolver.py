"""A tiny model of how OLM walks a channel: enough to say where an install starts and which version comes next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]

_OPERATORS = {
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
    "=": lambda order: order == 0,
}


def version_of(name: str) -> str:
    """Return the version in a ClusterServiceVersion's name: everything behind the first `.v`."""
    return name.split(".v", 1)[1]


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1 by semver precedence; a suffix after `-` makes a version smaller than the one without."""
    a, b = _key(left), _key(right)
    return (a > b) - (a < b)


def in_range(version: str, expression: str) -> bool:
    """Tell whether `version` satisfies every comparison of a range such as `>=1.0.0 <1.10.3`."""
    for part in expression.split():
        match = re.fullmatch(r"(>=|<=|>|<|=)(.+)", part)
        assert match, f"not a comparison: {part}"
        if not _OPERATORS[match[1]](compare(version, match[2])):
            return False
    return True


def head(entries: Sequence[Entry]) -> str:
    """Return the newest entry of a channel: the one that no other replaces or skips."""
    superseded = {e.get("replaces") for e in entries} | {name for e in entries for name in e.get("skips", ())}
    heads = [e["name"] for e in entries if e["name"] not in superseded]
    assert len(heads) == 1, f"a channel needs one head, has {heads}"
    return str(heads[0])


def next_version(entries: Sequence[Entry], installed: str) -> str | None:
    """Return the name that OLM installs next over `installed` in this channel, None when there is no edge.

    Of several edges it takes the one nearest to the head.
    """
    for entry in _from_head(entries):
        if entry["name"] == installed:
            return None
        edges = {entry.get("replaces"), *entry.get("skips", ())}
        skip_range = entry.get("skipRange")
        if installed in edges or (skip_range and in_range(version_of(installed), skip_range)):
            return str(entry["name"])
    return None


def walk(entries: Sequence[Entry], installed: str) -> list[str]:
    """Return every stop from `installed` (not included) to where the channel ends."""
    stops = []
    current: str | None = installed
    while (current := next_version(entries, current)) is not None:
        assert current not in stops, f"circle at {current}"
        stops.append(current)
    return stops


def _from_head(entries: Sequence[Entry]) -> list[Entry]:
    by_name = {e["name"]: e for e in entries}
    ordered = []
    name: str | None = head(entries)
    while name in by_name:
        ordered.append(by_name[name])
        name = by_name[name].get("replaces")
    return ordered


def _key(version: str) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    core, _, suffix = version.partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    return numbers, 0 if suffix else 1, tuple(int(part) for part in suffix.split(".")) if suffix else ()
