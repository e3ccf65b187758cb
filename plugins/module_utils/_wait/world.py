# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all readers and polls of a wait have learned so far, as a snapshot that verdicts are made on. PRIVATE."""

from __future__ import annotations

import dataclasses
import queue
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.threads import kept_for_main_thread
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.poll import Poll, Poller
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Key, Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Loss, News, Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.watch import (
    Reader,
)


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
        self._pollers: list[Poller] = []
        self._answers: dict[str, t.Any] = {}
        self.snapshot = Snapshot(self._objects, self._unreadable, self._gone, self._answers)

    def watch(self, sources: t.Iterable[Source]) -> None:
        """Watch these as well; those that are watched already are left alone."""
        for source in sources:
            if source not in self._readers:
                self._readers[source] = reader = Reader(self._session, source, self._news)
                with kept_for_main_thread():
                    reader.start()

    def poll(self, polls: t.Iterable[Poll]) -> None:
        """Start these polls; nothing is asked before `question`."""
        for poll in polls:
            self._pollers.append(poller := Poller(poll, self._news))
            with kept_for_main_thread():
                poller.start()

    def question(self) -> None:
        """Let each poll ask what makes sense now; answers to another question are dropped."""
        for poller in self._pollers:
            if poller.put(poller.poll.question(self.snapshot)):
                self._answers.pop(poller.poll.name, None)

    def stop(self) -> None:
        """End all readers and polls; open watches are cut."""
        for thread in (*self._readers.values(), *self._pollers):
            thread.stop()

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
        if news.what == "bug":
            raise news.content
        if news.what == "answer":
            name, question, answer = news.content
            if any(each.poll.name == name and each.question == question for each in self._pollers):
                self._answers[name] = answer
            return
        source = t.cast(Source, news.source)
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
