# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watched objects as they were last seen. PRIVATE to the collection.

Readers put what they learn into a queue; `World` turns it into the snapshot that verdicts are made on.
"""

from __future__ import annotations

import builtins
import dataclasses
import queue
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.threads import kept_for_main_thread
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Loss, News, Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.watch import (
    Reader,
)

Key = tuple[str, str]  # namespace (empty for cluster-scoped objects) and name


class Snapshot:
    """The watched objects as last seen. Objects are plain dicts and must not be changed."""

    def __init__(
        self,
        objects: dict[Source, dict[Key, Object] | None],
        unreadable: set[Source] | None = None,
        gone: dict[tuple[Kind, Key], Object] | None = None,
    ) -> None:
        self._objects = objects
        self._unreadable = set() if unreadable is None else unreadable
        self._gone = {} if gone is None else gone

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


class World:
    """What all readers have learned so far; changed by the thread that waits, and by it alone."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._news: queue.Queue[News] = queue.Queue()
        self._readers: dict[Source, Reader] = {}
        self._objects: dict[Source, dict[Key, Object] | None] = {}
        self._gone: dict[tuple[Kind, Key], Object] = {}
        self._unreadable: set[Source] = set()
        self._heard: set[Source] = set()
        self.refused: dict[Source, ApiError] = {}  # sources that are refused, with the answer
        self.offline: dict[Source, Loss] = {}  # sources that cannot be read at the moment
        self.answered_at = 0.0  # (monotonic) when the API server answered any reader last
        self.snapshot = Snapshot(self._objects, self._unreadable, self._gone)

    def watch(self, sources: t.Iterable[Source]) -> None:
        """Watch these as well; those that are watched already are left alone."""
        for source in sources:
            if source not in self._readers:
                self._readers[source] = reader = Reader(self._session, source, self._news)
                with kept_for_main_thread():
                    reader.start()

    def stop(self) -> None:
        """End all readers; open watches are cut."""
        for reader in self._readers.values():
            reader.stop()

    def unheard(self) -> set[Source]:
        """Return the sources that have not answered yet: an unknown is not an absence.

        For those that are read for detail only it is an answer as well that they cannot be read.
        """
        return {
            source
            for source in self._readers
            if source not in self._heard
            and not (source.optional and (source in self.refused or source in self.offline))
        }

    def take(self, until: float) -> None:
        """Take all news that are there, waiting for the first one until the given (monotonic) time."""
        try:
            self._learn(self._news.get(timeout=max(0.0, until - time.monotonic())))
            while True:
                self._learn(self._news.get_nowait())
        except queue.Empty:
            return

    def _learn(self, news: News) -> None:
        source = news.source
        if news.what == "bug":
            raise news.content
        if news.what == "offline":
            known = self.offline.get(source)
            since = known.since if known else time.monotonic()
            self.offline[source] = dataclasses.replace(news.content, since=since)
            return
        self.answered_at = time.monotonic()
        self.offline.pop(source, None)
        if news.what == "online":
            return
        if news.what == "refused":
            self.refused[source] = news.content
            self._unreadable.add(source)
            self._objects.setdefault(source, {})
            return
        self._heard.add(source)
        self.refused.pop(source, None)
        self._unreadable.discard(source)
        if news.what == "unserved":
            self._forget(source, {})
            self._objects[source] = None
        elif news.what == "list":
            found = {_key(item): item for item in news.content}
            self._forget(source, found)
            self._objects[source] = found
        else:
            self._event(source, news.content)

    def _event(self, source: Source, event: dict[str, t.Any]) -> None:
        obj = event["object"]
        key = _key(obj)
        known = self._objects.get(source)
        if known is None:
            known = self._objects[source] = {}
        if _older(obj, known.get(key) or self._gone.get((source.kind, key))):
            return
        if event["type"] == "DELETED":
            known.pop(key, None)
            self._gone[source.kind, key] = obj
        else:
            known[key] = obj
            self._gone.pop((source.kind, key), None)

    def _forget(self, source: Source, found: t.Container[Key]) -> None:
        """Keep what a new list no longer has as it was last seen."""
        for key, obj in (self._objects.get(source) or {}).items():
            if key not in found:
                self._gone[source.kind, key] = obj


def _older(obj: Object, known: Object | None) -> bool:
    """Tell whether an event shows an object as it was before what is known: a watch may repeat what it sent."""
    try:
        return known is not None and int(obj["metadata"]["resourceVersion"]) < int(known["metadata"]["resourceVersion"])
    except (KeyError, ValueError):  # a server that counts in another way
        return False


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
