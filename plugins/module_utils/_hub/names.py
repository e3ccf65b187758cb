# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packages are plugins of the Orchestrator, in every form that a plugin installer takes. PRIVATE."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import table as release_table

ROLES = tuple(release_table.OCI_NAMES)
_PUBLISHERS = "|".join(release_table.PUBLISHERS)
_BY_NAME = {name: role for role, name in release_table.OCI_NAMES.items()}
# Only the scaffolder's module has a name that is clear without the prefix.
_NAME = re.compile(
    rf"(?:(?:{_PUBLISHERS})-)?"
    rf"(?:backstage-plugin-(?P<name>{'|'.join(_BY_NAME)})|(?P<bare>{release_table.OCI_NAMES['scaffolder']}))"
    r"(?:-dynamic)?"
)
_NPM = re.compile(r"(?:[^@/]+@)?(?:npm:)?(?:@(?P<scope>[^/@]+)/)?(?P<name>[^/@:]+)(?:@(?P<version>[^/]+))?")
_IMAGE = re.compile(r"(?P<path>[^@!]*?)(?:[:@](?P<version>[^/!]+))?(?:!(?P<inside>.*))?")
_VERSIONED = re.compile(r"(?P<name>.+?)-v?(?P<version>\d+\.\d.*)")
_ARCHIVE = re.compile(r"\.(?:tgz|tar\.gz)$")


class Package(t.NamedTuple):
    """A package as it is written in a plugin entry, taken apart."""

    form: str  # "npm", "archive", "path", "oci" or "ref"
    name: str
    version: str = ""
    scope: str = ""  # of npm
    image: str = ""  # of OCI: the path of the repository


def parse(package: str) -> Package:
    """Take a package apart. An OCI image that lists several plugins has no name."""
    text = package.strip()
    scheme, _separator, rest = text.partition("://")
    if scheme == "oci":
        return _image(rest)
    if scheme == "ref":
        return Package("ref", rest)
    text = re.split(r"[?#]", text)[0] if rest else text
    if rest or _ARCHIVE.search(text):
        name = _ARCHIVE.sub("", text.rpartition("/")[2])
        found = _VERSIONED.fullmatch(name)
        return Package("archive", found["name"], found["version"]) if found else Package("archive", name)
    npm = _NPM.fullmatch(text)
    if npm:
        return Package("npm", npm["name"], npm["version"] or "", npm["scope"] or "")
    name = text.rstrip("/").rpartition("/")[2]
    found = _VERSIONED.fullmatch(name)
    return Package("path", found["name"] if found else name)


def _image(reference: str) -> Package:
    found = _IMAGE.fullmatch(reference)
    if found is None:
        return Package("oci", "", image=reference)
    inside = found["inside"] or ""
    name = inside or found["path"].rpartition("/")[2]
    return Package("oci", "" if "!" in name else name, found["version"] or "", image=found["path"])


def role_of(package: str) -> tuple[str, str, str] | None:
    """Return role, form and version or tag of an Orchestrator plugin; None for any other package."""
    parsed = parse(package)
    found = _NAME.fullmatch(parsed.name)
    if found is None or (parsed.scope and parsed.scope not in release_table.PUBLISHERS):
        return None
    return _BY_NAME[found["name"] or found["bare"]], parsed.form, parsed.version


def own_image(package: str) -> bool:
    """Tell whether an OCI image is that of one Orchestrator plugin, and not of several plugins."""
    return _NAME.fullmatch(parse(package).image.rpartition("/")[2]) is not None


def looks_like(package: str) -> bool:
    """Tell whether a package that is none of the known ones may contain a plugin of the Orchestrator."""
    parsed = parse(package)
    telling = parsed.name
    if parsed.form == "oci" and "!" not in package:
        telling = parsed.image.partition("/")[2]
    if parsed.form == "oci" and not parsed.name:
        telling = package
    return "orchestrator" in telling.lower() and release_table.NEIGHBOURS not in telling
