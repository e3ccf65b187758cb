# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes for an operator, each recorded in the diff of the call. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call


class Writes:
    """Deletes and applies objects, and records what changed."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def delete(self, operator: Operator, kind: k.Kind, name: str, uid: str | None = None) -> None:
        """Delete an object of an operator's namespace, if it is still the one that was read."""
        self._call.session.delete(kind, name, operator.namespace, uid=uid or operator.uids.get(name))
        self._call.record(kind.title(operator.namespace, name), {"present": True}, {})

    def ensure(self, kind: k.Kind, body: Object) -> None:
        """Apply an object."""
        metadata = body["metadata"]
        # A Subscription gets here only if it is ours, or adopted: fields that others have set in it are overwritten.
        written = self._call.session.ensure(kind, body, force=kind == k.SUBSCRIPTION)
        if written.changed:
            before = {"spec": written.before.get("spec")} if written.before else {}
            after = {"spec": written.after.get("spec")}
            self._call.record(kind.title(metadata.get("namespace"), metadata["name"]), before, after)
