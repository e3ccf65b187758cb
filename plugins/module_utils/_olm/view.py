# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of one operator, as a verdict needs them. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object


@dataclasses.dataclass(frozen=True)
class View:
    """Everything about one operator that a verdict needs, as last seen."""

    subscription: Object | None
    plan: Object | None  # the one that the Subscription refers to
    csvs: t.Sequence[Object]  # own (not copied) ones of the namespace
    deployments: t.Mapping[str, Object]
    groups: t.Sequence[Object]
    catalogs: t.Sequence[Object]
    subscriptions: t.Sequence[Object] = ()  # all of the namespace
    stale: frozenset[str] = frozenset()  # messages that were there before we changed anything
    pods: t.Sequence[Object] = ()  # of the operator's Deployments, as far as they are watched
    replica_sets: t.Sequence[Object] = ()
    generations: t.Mapping[str, int] = dataclasses.field(default_factory=dict)  # of Deployments, before a new config
