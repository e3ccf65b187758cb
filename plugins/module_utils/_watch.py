# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects kept current: list, watch from there, survive lost watches, restarts and refusals. PRIVATE.

One thread a source. What it learns goes into a queue, which `World` turns into the snapshot that verdicts are made on.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import http.client
import queue
import socket
import threading
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._answer import decode
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
    certificate_problem,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._known import KNOWN
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import (
    HTTP_ERRORS,
    error_text,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._signals import (
    kept_for_main_thread,
)

REOPEN = 60.0  # seconds a watch stays open; it goes on from where it ended, so that a dead connection is noticed
SILENCE = 15.0  # seconds that a watch may last beyond its end before its connection counts as dead
RELIST = 300.0  # seconds after which the objects are listed anew, in case an event was lost
POLL = 2.0  # seconds between lists where watching is not allowed
UNSERVED_PAUSE = 0.5  # seconds between looks for a kind that is not served yet: its CRD may come any moment
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0  # seconds between attempts to reach a server that does not answer

Key = tuple[str, str]  # namespace (empty for cluster-scoped objects) and name


@dataclasses.dataclass(frozen=True)
class Source:
    """A collection, or one object of it, that a wait watches.

    One that may not be read ends the wait, unless it is `optional`: read for detail only.
    """

    kind: Kind
    namespace: str | None = None
    name: str | None = None
    label_selector: str | None = None
    optional: bool = dataclasses.field(default=False, compare=False)

    def __str__(self) -> str:
        """What messages call it."""
        plural = f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural
        which = f" {self.name}" if self.name else (f" ({self.label_selector})" if self.label_selector else "")
        return f"{plural}{which}" + (f" in {self.namespace}" if self.namespace else "")


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


@dataclasses.dataclass(frozen=True)
class News:
    """One thing that a reader learned: a list, an event, or why it cannot read."""

    what: str  # "list", "event", "unserved", "online", "offline", "refused" or "bug"
    source: Source
    content: t.Any = None


@dataclasses.dataclass(frozen=True)
class Loss:
    """Why a source cannot be read at the moment."""

    why: str
    blame: str = ""  # what is broken between a well API server and the objects, where that is known
    since: float = 0.0  # monotonic


class World:
    """What all readers have learned so far; changed by the thread that waits, and by it alone."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._news: queue.Queue[News] = queue.Queue()
        self._readers: dict[Source, _Reader] = {}
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
                self._readers[source] = reader = _Reader(self._session, source, self._news)
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


class _Reader(threading.Thread):
    """Keeps one source current."""

    def __init__(self, session: Session, source: Source, out: queue.Queue[News]) -> None:
        super().__init__(daemon=True, name=f"watch-{source.kind.plural}")
        self._session, self._source, self._out = session, source, out
        self._stopped = threading.Event()
        self._response: t.Any = None
        self._version = ""  # of the last event or list, where the watch goes on; empty: list again
        self._blamed: str | None = None
        self._pause = SHORTEST_PAUSE
        self._short = 0  # watches in a row that ended at once and brought nothing
        self._offline = False

    def stop(self) -> None:
        """End the thread soon; an open watch is cut."""
        self._stopped.set()
        response = self._response
        if response is not None:
            _cut(response)

    def run(self) -> None:
        try:
            self._read()
        except Exception as exc:  # a bug: the wait must end with it, and not go on blind
            self._tell("bug", exc)

    def _read(self) -> None:
        relist_at = 0.0
        while not self._stopped.is_set():
            if self._short > 1:  # what ends each watch at once must not be hammered, and brings no news: list again
                self._stopped.wait(min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**self._short))
            try:
                if not self._version or self._short > 1 or time.monotonic() >= relist_at:
                    self._list()
                    relist_at = time.monotonic() + RELIST
                self._watch()
            except ApiError as exc:
                self._trouble(exc)
            except NotAnEvent as exc:
                self._lost(str(exc))
            except HTTP_ERRORS as exc:
                self._lost(error_text(exc))

    def _tell(self, what: str, content: t.Any = None) -> None:
        self._out.put(News(what, self._source, content))

    def _trouble(self, exc: ApiError) -> None:
        """Tell the waiting thread of an error and pause. Only where the server was away the watch goes on."""
        if exc.status == 410:  # what happened in between is not known
            self._version = ""
            self._short += 1
        elif exc.transient and not certificate_problem(exc):
            if self._blamed is None:  # asked once an outage
                self._blamed = self._session.blame(exc)
            self._lost(exc.message, self._blamed, exc.retry_after)
        elif exc.not_found:
            self._version = ""
            self._tell("unserved")
            self._stopped.wait(UNSERVED_PAUSE)
        else:
            self._version = ""
            self._tell("refused", exc)
            self._stopped.wait(POLL)

    def _lost(self, why: str, blame: str = "", at_least: float = 0.0) -> None:
        """The server does not answer, or cut a line: try again, less and less often."""
        if self._stopped.is_set():  # it was us who cut it
            return
        self._offline = True
        self._tell("offline", Loss(why, blame))
        self._session.count("retries")
        self._stopped.wait(max(self._pause, at_least))
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def _reached(self) -> None:
        self._pause, self._blamed = SHORTEST_PAUSE, None
        if self._offline:
            self._offline = False
            self._tell("online")

    def _selectors(self) -> tuple[str | None, str | None]:
        name = self._source.name
        return self._source.label_selector, f"metadata.name={name}" if name else None

    def _list(self) -> None:
        items, version = self._session.list_page(
            self._source.kind, self._source.namespace, *self._selectors(), patient=False
        )
        self._version = version
        self._tell("list", items)
        self._reached()

    def _watch(self) -> None:
        """Watch until the connection ends."""
        labels, fields = self._selectors()
        query = {
            "labelSelector": labels,
            "fieldSelector": fields,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(REOPEN)),
        }
        try:
            response = self._session.stream(self._source.kind, self._source.namespace, query, timeout=REOPEN + SILENCE)
        except ApiError as exc:
            if not (exc.forbidden or exc.status == 405 or (exc.foreign and not exc.transient)):
                raise
            self._version = ""  # listing is allowed, watching is not, or a proxy cannot do it: poll
            self._stopped.wait(POLL)
            return
        self._response = response
        opened, began_with = time.monotonic(), self._version
        try:
            self._reached()
            if self._stopped.is_set():  # before there was a response to cut
                return
            for event in read_events(response):
                if self._stopped.is_set():
                    return
                self._take(event)
        finally:
            self._response = None
            response.close()
            fruitless = self._version == began_with and time.monotonic() - opened < 1.0
            self._short = self._short + 1 if fruitless else 0

    def _take(self, event: dict[str, t.Any]) -> None:
        """Pass an event on, and remember that the watch has come this far."""
        obj = event["object"]
        if event["type"] == "ERROR":
            code = obj.get("code")
            path = self._source.kind.path(self._source.namespace)
            raise ApiError("GET", path, code if isinstance(code, int) else 500, obj)
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or not (event["type"] == "BOOKMARK" or "name" in metadata):
            raise NotAnEvent("the watch was answered with something that is no event")
        self._version = metadata.get("resourceVersion") or self._version
        if event["type"] != "BOOKMARK":
            self._tell("event", event)


def _cut(response: t.Any) -> None:
    """End the connection of a response that another thread reads; that thread closes it.

    `close` would wait for the reader, that is until the server ends the watch.
    """
    with contextlib.suppress(*HTTP_ERRORS, AttributeError, ValueError):  # the server was ending it already
        if hasattr(response, "shutdown"):
            response.shutdown()
        else:  # urllib3 before 2.3
            response.connection.sock.shutdown(socket.SHUT_RDWR)


class NotAnEvent(Exception):
    """A watch sent something else."""


def read_events(response: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Yield the decoded events of an open watch until it ends.

    Raises NotAnEvent for anything else, one of HTTP_ERRORS when the connection breaks.
    """
    # Before 2.1 urllib3 has no way to read what is there without waiting for more; the response below it has.
    read1 = getattr(response, "read1", None) or response._fp.read1
    rest = b""
    while True:
        chunk = read1(65536)
        if not chunk:
            if rest.strip():
                raise http.client.IncompleteRead(rest)
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, lines):
            event = decode(line)
            if not (isinstance(event, dict) and isinstance(event.get("object"), dict) and "type" in event):
                raise NotAnEvent("the watch was answered with something that is no event")
            yield KNOWN.learn(event)


def _older(obj: Object, known: Object | None) -> bool:
    """Tell whether an event shows an object as it was before what is known: a watch may repeat what it sent."""
    try:
        return known is not None and int(obj["metadata"]["resourceVersion"]) < int(known["metadata"]["resourceVersion"])
    except (KeyError, ValueError):  # a server that counts in another way
        return False


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
