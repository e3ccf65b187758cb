# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an object has to be written, decided from what is there and what is wanted. PRIVATE; pure functions."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import CREATED_LABEL, Object


@dataclasses.dataclass(frozen=True)
class Change:
    """What `ensure` did, or in check mode would do, to one object."""

    action: str  # "none", "created", "patched" or "deleted"
    before: Object | None
    after: Object

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, written."""
        return self.action != "none"


def contains(live: t.Any, wanted: t.Any) -> bool:
    """Tell whether `live` already holds everything that `wanted` says (dicts by key, everything else equal)."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and contains(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)


def without_bookkeeping(obj: Object) -> Object:
    """Return a copy without the fields that the API server keeps by itself, for comparison and for diffs."""
    clean = {key: value for key, value in obj.items() if key != "status"}
    metadata = dict(clean.get("metadata") or {})
    for field in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"):
        metadata.pop(field, None)
    clean["metadata"] = metadata
    return clean


def owned_paths(fields: t.Mapping[str, t.Any], prefix: tuple[str, ...] = ()) -> t.Iterator[tuple[str, ...]]:
    """Yield the leaf paths of a fieldsV1 set; list elements keep their `k:`/`v:` key as one step."""
    for key, below in fields.items():
        if key == ".":
            continue
        path = (*prefix, key)
        if below:
            yield from owned_paths(below, path)
        else:
            yield path


def gives_up_fields(live: Object, wanted: Object, manager: str) -> bool:
    """Tell whether our field manager owns a field of `live` that `wanted` no longer mentions."""
    for entry in (live.get("metadata") or {}).get("managedFields") or []:
        if entry.get("manager") != manager or entry.get("operation") != "Apply" or entry.get("subresource"):
            continue
        for path in owned_paths(entry.get("fieldsV1") or {}):
            node: t.Any = wanted
            for step in path:
                if not step.startswith("f:"):
                    break  # an element of a list: `contains` compared the lists already
                if not isinstance(node, dict) or step[2:] not in node:
                    return True
                node = node[step[2:]]
        return False
    return True  # we have not applied this object yet: become owner of our fields


def wanted_object(body: Object, live: Object | None, mark_created: bool) -> Object:
    """Return what is applied: `body`, with our ownership label on an object that we create or have created.

    The label is part of what we own on such an object: leaving it out would give it up.
    """
    wanted = copy.deepcopy(body)
    labels = ((live or {}).get("metadata") or {}).get("labels") or {}
    mark = "true" if live is None and mark_created else labels.get(CREATED_LABEL)
    if mark is not None:
        wanted["metadata"].setdefault("labels", {})[CREATED_LABEL] = mark
    return wanted


def needs_write(live: Object, wanted: Object, manager: str) -> bool:
    """Tell whether applying `wanted` may change a live object, or which of its fields are ours."""
    return not contains(live, wanted) or gives_up_fields(live, wanted, manager)
