# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watched objects as they were last seen. PRIVATE to the collection."""

from __future__ import annotations

import builtins
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source

Key = tuple[str, str]  # namespace (empty for cluster-scoped objects) and name


class Snapshot:
    """The watched objects as last seen. Objects are plain dicts and must not be changed."""

    def __init__(
        self,
        objects: dict[Source, dict[Key, Object] | None],
        unreadable: set[Source] | None = None,
        gone: dict[tuple[Kind, Key], Object] | None = None,
        answers: dict[str, t.Any] | None = None,
    ) -> None:
        self._objects = objects
        self._unreadable = set() if unreadable is None else unreadable
        self._gone = {} if gone is None else gone
        self._answers = {} if answers is None else answers

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return one object or None."""
        for source, objects in self._objects.items():
            if source.kind == kind and objects and (found := objects.get((namespace or "", name))):
                return found
        return None

    def last(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return an object as it was last seen, also when it has been deleted since; None if it was never seen."""
        return self.get(kind, name, namespace) or self._gone.get((kind, (namespace or "", name)))

    def list(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return all watched objects of a kind, sorted by namespace and name; in one namespace, if given."""
        found: dict[Key, Object] = {}
        for source, objects in self._objects.items():
            if source.kind == kind and objects:
                found.update(objects)
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def of(self, source: Source) -> builtins.list[Object]:
        """Return the objects of one source, sorted by namespace and name."""
        objects = self._objects.get(source) or {}
        return [objects[key] for key in sorted(objects)]

    def served(self, kind: Kind) -> bool:
        """Tell whether the API server serves the kind (False as well while that is not known yet)."""
        return any(source.kind == kind and objects is not None for source, objects in self._objects.items())

    def readable(self, kind: Kind, namespace: str | None = None) -> bool:
        """Tell whether our credentials may read the kind."""
        return not any(source.kind == kind and source.namespace == namespace for source in self._unreadable)

    def answer(self, name: str) -> t.Any:
        """Return the last answer of a poll to its present question; None when there is none yet."""
        return self._answers.get(name)
