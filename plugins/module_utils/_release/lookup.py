# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the table of releases says of a version. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import copy
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.table import RELEASES, SOURCES


class UnknownRelease(ValueError):
    """A release that the table has no row for."""


def known_releases() -> list[str]:
    """Return the names of all rows, oldest first."""
    return sorted(RELEASES, key=_numbers)


def release(name: t.Any) -> dict[str, t.Any]:
    """Return a copy of a release's row, with its `name`. `name` is "1.10", or a version within it such as "1.10.3".

    Raises UnknownRelease with the known names.
    """
    text = str(name).strip()
    found = re.fullmatch(r"v?(\d+\.\d+)(\.\d+)?", text)
    key = found.group(1) if found else text
    if key not in RELEASES:
        hint = ""
        if isinstance(name, float) or text == "1.1":
            hint = " A release that ends in 0 must be quoted: 1.10 without quotes is the number 1.1 in YAML."
        raise UnknownRelease(
            f"There is no row for Developer Hub release {text!r}; known are {', '.join(known_releases())}.{hint}"
        )
    row = copy.deepcopy(RELEASES[key])
    row["name"] = key
    row["sources"] = [SOURCES[source] for source in row["sources"]]
    return row


def backstage_versions() -> list[str]:
    """Return the API versions in which the releases of the table serve Backstage, newest first."""
    return sorted({row["backstage_api"] for row in RELEASES.values()}, reverse=True)


def release_of_version(version: str) -> str | None:
    """Return the name of the row that an installed hub version such as "1.10.3" belongs to, or None."""
    name = ".".join(version.split(".")[:2])
    return name if name in RELEASES else None


def check_openshift(name: t.Any, version: str) -> str | None:
    """Say what is wrong with running a release on an OpenShift version such as "4.20.6"; None when it is validated."""
    row = release(name)
    numbers = _numbers(version)[:2]
    if len(numbers) < 2:
        return f"{version!r} is not an OpenShift version such as 4.20 or 4.20.6."
    lowest, highest = row["openshift"]
    if _numbers(lowest) <= numbers <= _numbers(highest):
        return None
    fitting = [other for other in known_releases() if _fits(RELEASES[other], numbers)]
    advice = f"releases validated on it: {', '.join(fitting)}" if fitting else "no known release is validated on it"
    return (
        f"Developer Hub {row['name']} is validated on OpenShift {lowest} to {highest}, "
        f"but this cluster runs {version}; {advice}."
    )


def _fits(row: dict[str, t.Any], numbers: tuple[int, ...]) -> bool:
    return bool(_numbers(row["openshift"][0]) <= numbers <= _numbers(row["openshift"][1]))


def _numbers(version: str) -> tuple[int, ...]:
    """The leading dotted numbers of a version: "4.20.6-rc.1" is (4, 20, 6)."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
