# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions and version ranges as OLM compares them. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import functools
import re
import typing as t

_VERSION = re.compile(r"^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$")
_TERM = re.compile(r"(>=|<=|!=|==|>|<|=|!)?\s*(v?\d[0-9A-Za-z.+-]*)")


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
