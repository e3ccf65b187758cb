# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module developer_hub knows of a Developer Hub and its namespace. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import plugins as hub_plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result

Facts = dict[str, t.Any]  # what the result of the module has besides `changed` and the diff


def with_timing(facts: Facts, ended: Result) -> Facts:
    """Return facts with the duration and the timeline of a wait added to those of the waits before."""
    return {
        **facts,
        "elapsed": round(facts.get("elapsed", 0.0) + ended.elapsed, 2),
        "timeline": [*facts.get("timeline", []), *ended.timeline],
    }


@dataclasses.dataclass
class HubState:
    """One Backstage, what is in its namespace, and what the options make of it."""

    release: Object  # row of the release table
    names: hub_spec.Names
    backstage_kind: k.Kind  # in the API version of the release
    platform_kind: k.Kind
    platform_option: str | None  # orchestrator.platform: "hub", "self", or None for what the plugin ConfigMap says
    backstage: Object | None = None
    other_backstages: list[Object] = dataclasses.field(default_factory=list)  # in the same namespace
    # The platform and the network policies that the operator creates for the orchestrator, or would take over.
    dependencies: list[Object] = dataclasses.field(default_factory=list)
    spec: Object = dataclasses.field(default_factory=dict)  # what the Backstage will have, as far as known
    config_map_name: str | None = None  # of the plugin ConfigMap; None when the release and the spec need none
    config_map: Object | None = None  # as it was read; None when it does not exist
    plugins: hub_plugins.Edit | None = None  # what the plugin ConfigMap will say
    namespace_missing: bool = False
    database_claim: Object | None = None  # PersistentVolumeClaim of the local database; read for a removal
    database_secret: Object | None = None  # its credentials; read for a removal

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> HubState:
        """Return the state as the options describe it, before anything is read; raise InputError otherwise."""
        try:
            release = release_lookup.release(params["release"])
        except release_lookup.UnknownRelease as exc:
            raise InputError([str(exc)]) from exc
        return cls(
            release=release,
            names=hub_spec.Names(params["name"], params["namespace"]),
            backstage_kind=k.BACKSTAGE.at(release["backstage_api"]),
            platform_kind=k.SONATAFLOW_PLATFORM.at(release["sonataflow_api"]),
            platform_option=params["orchestrator"]["platform"],
        )

    @property
    def platform_expected(self) -> bool:
        """Whether the operator will create the platform."""
        provides = self.release["behaviour"]["provides_platform"]
        return bool(provides and (self.plugins is None or self.plugins.dependency))

    @property
    def backstage_uid(self) -> str | None:
        """The uid of the Backstage, by which its dependents name it as their owner."""
        return self.backstage["metadata"].get("uid") if self.backstage else None

    def owns(self, obj: Object | None) -> bool:
        """Tell whether the Backstage is the controller of an object."""
        owner = hub_spec.owner_of(obj)
        return owner is not None and owner[2] == self.backstage_uid

    def outcome(self, action: str) -> dict[str, t.Any]:
        """Return what the result says of the Backstage."""
        return {
            "name": self.names.name,
            "namespace": self.names.namespace,
            "api_version": self.backstage_kind.api_version,
            "action": action,
        }
