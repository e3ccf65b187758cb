# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all objects of the API have in common: conditions, generations, who created them. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

CREATED_LABEL = "rhdh.orchestrator/created"  # on every object that this collection created; adopted ones never get it
TOUCHED = "rhdh.orchestrator/touched"  # annotation: its change makes an operator look at an object at once
Object = dict[str, t.Any]


def current(obj: Object | None) -> bool:
    """Tell whether an object exists, is not being deleted, and its status (where it says so) is of its generation."""
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return False
    observed = (obj.get("status") or {}).get("observedGeneration")
    return observed is None or observed >= obj["metadata"].get("generation", 0)


def condition(obj: Object | None, kind: str) -> Object | None:
    """Return the condition of the given type, or None. Never look conditions up by position."""
    for found in ((obj or {}).get("status") or {}).get("conditions") or []:
        if found.get("type") == kind:
            return t.cast(Object, found)
    return None


def created_by_us(obj: Object) -> bool:
    """Tell whether this collection created an object; any other is adopted, and never removed unasked."""
    return CREATED_LABEL in (obj["metadata"].get("labels") or {})
