# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters over the release table."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup


def release(name: t.Any) -> t.Any:
    """Return the row of a Developer Hub release. Unknown releases raise AnsibleFilterError."""
    try:
        # Plugin coordinates contain `{{inherit}}`, which is not for Jinja: marked so that no templating touches it.
        return wrap_var(release_lookup.release(name))
    except release_lookup.UnknownRelease as exc:
        raise AnsibleFilterError(str(exc)) from exc


def openshift_problem(version: str, name: t.Any) -> str:
    """Say what is wrong with running a release on an OpenShift version; empty when it is validated there."""
    try:
        return release_lookup.check_openshift(name, version) or ""
    except release_lookup.UnknownRelease as exc:
        raise AnsibleFilterError(str(exc)) from exc


def olm_operators(
    name: t.Any,
    parts: t.Sequence[str] | None = None,
    approval: str = "Manual",
    channel: str = "",
    version: str = "",
    **settings: t.Any,
) -> list[dict[str, t.Any]]:
    """Return the operators of a release as olm_operator takes them; empty settings leave the release's value."""
    rows = release(name)["operators"]
    unknown = [part for part in parts or [] if part not in rows]
    if unknown:
        raise AnsibleFilterError(f"A release has no operator {', '.join(unknown)}; it has {', '.join(rows)}.")
    wanted = []
    for part, row in rows.items():
        if parts and part not in parts:
            continue
        operator = {
            "name": row["package"],
            "namespace": row["namespace"],
            "channel": channel or row["channel"],
            "approval": approval,
            "operator_group": {"name": row["operator_group"]},
        }
        # OLM keeps no version with Automatic approval, and the release's may not be in another channel.
        pin = version or (row["version"] if approval == "Manual" and operator["channel"] == row["channel"] else "")
        operator |= {key: value for key, value in {**settings, "version": pin}.items() if value}
        wanted.append(operator)
    return wanted


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"release": release, "openshift_problem": openshift_problem, "olm_operators": olm_operators}
