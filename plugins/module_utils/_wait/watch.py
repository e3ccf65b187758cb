# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects kept current: list, watch from there, survive lost watches, restarts and refusals. PRIVATE.

One thread a source. What it learns goes into a queue, which `World` turns into the snapshot that verdicts are made on.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import threading
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.answer import decode
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.client import HTTP_ERRORS, error_text
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError, certificate_problem
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Loss, News, Source

REOPEN = 60.0  # seconds a watch stays open; it goes on from where it ended, so that a dead connection is noticed
SILENCE = 15.0  # seconds that a watch may last beyond its end before its connection counts as dead
RELIST = 300.0  # seconds after which the objects are listed again, in case an event was lost
POLL = 2.0  # seconds between lists where watching is not allowed
UNSERVED_PAUSE = 0.5  # seconds between looks for a kind that is not served yet: its CRD may come any moment
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0  # seconds between attempts to reach a server that does not answer


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


class Reader(threading.Thread):
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
