# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait engine: several objects, one deadline, watches instead of polls. PRIVATE to the collection.

Verdicts are pure functions over plain dicts. A wait ends in exactly one of ready, failed, timed_out, and keeps the
timeline of what changed on the way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import socket
import threading
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import (
    HTTP_ERRORS,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._progress import (
    reporter,
)

READY, PENDING, FAILED, TIMED_OUT = "ready", "pending", "failed", "timed_out"
RECHECK = 5.0  # seconds between evaluations when nothing changes: graces and ages move by themselves
RELIST = 60.0  # seconds a watch stays open before its objects are listed anew, in case an event was lost
POLL = 2.0  # seconds between lists where watching is not allowed
MAX_TIMELINE = 200  # entries; a flapping object must not fill memory or a job's artifact


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one target's objects say: ready, pending or failed, why, and what to do about it."""

    state: str
    reason: str = ""
    message: str = ""
    remedy: str = ""
    grace: float = 0.0  # seconds that a failure must last before it ends the wait: many heal by themselves
    stable_for: float = 0.0  # seconds that readiness must last before it counts: some are noise

    @classmethod
    def ready(cls, message: str = "", stable_for: float = 0.0) -> Verdict:
        """The target is in the wanted state."""
        return cls(READY, "Ready", message, stable_for=stable_for)

    @classmethod
    def pending(cls, reason: str, message: str = "") -> Verdict:
        """The target is on its way."""
        return cls(PENDING, reason, message)

    @classmethod
    def failed(cls, reason: str, message: str, remedy: str = "", grace: float = 0.0) -> Verdict:
        """The target will not become ready by itself."""
        return cls(FAILED, reason, message, remedy, grace)


@dataclasses.dataclass(frozen=True)
class Source:
    """A collection, or one object of it, that a wait watches."""

    kind: Kind
    namespace: str | None = None
    name: str | None = None
    label_selector: str | None = None


class Snapshot:
    """The watched objects as last seen. Objects are plain dicts and must not be changed."""

    def __init__(self, objects: dict[Source, dict[tuple[str, str], Object] | None], unreadable: set[Source]) -> None:
        self._objects = objects
        self._unreadable = unreadable

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return one object or None."""
        for source, objects in self._objects.items():
            if source.kind == kind and objects and (found := objects.get((namespace or "", name))):
                return found
        return None

    def list(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return all watched objects of a kind, sorted by namespace and name; in one namespace, if given."""
        found: dict[tuple[str, str], Object] = {}
        for source, objects in self._objects.items():
            if source.kind == kind and objects:
                found.update(objects)
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def of(self, source: Source) -> list[Object]:
        """Return the objects of one source, sorted by namespace and name."""
        objects = self._objects.get(source) or {}
        return [objects[key] for key in sorted(objects)]

    def served(self, kind: Kind) -> bool:
        """Tell whether the API server serves the kind (False as well while that is not known yet)."""
        return any(source.kind == kind and objects is not None for source, objects in self._objects.items())

    def readable(self, kind: Kind, namespace: str | None = None) -> bool:
        """Tell whether our credentials may read the kind."""
        return not any(source.kind == kind and source.namespace == namespace for source in self._unreadable)


@dataclasses.dataclass
class Result:
    """How a wait ended."""

    phase: str
    verdicts: dict[str, Verdict]
    elapsed: float
    timeline: list[dict[str, t.Any]]
    snapshot: Snapshot

    def worst(self) -> list[tuple[str, Verdict]]:
        """Return the targets that are not ready, failed ones first."""
        unready = [(name, verdict) for name, verdict in self.verdicts.items() if verdict.state != READY]
        return sorted(unready, key=lambda item: item[1].state != FAILED)

    def to_dict(self) -> dict[str, t.Any]:
        """Return what module results show of a wait. Durations are seconds."""
        return {
            "phase": self.phase,
            "elapsed": round(self.elapsed, 2),
            "timeline": self.timeline,
            "targets": {
                name: {"state": verdict.state, "reason": verdict.reason, "message": verdict.message}
                for name, verdict in self.verdicts.items()
            },
        }


Evaluate = t.Callable[[Snapshot], t.Mapping[str, Verdict]]
Progress = t.Callable[[dict[str, t.Any]], None]


class _Reader(threading.Thread):
    """Keeps one source current: list, watch from there, list again when the watch is lost or old."""

    def __init__(self, session: Session, source: Source, out: queue.Queue[tuple[str, Source, t.Any]]) -> None:
        super().__init__(daemon=True, name=f"watch-{source.kind.plural}")
        self._session, self._source, self._out = session, source, out
        self._stopped = threading.Event()
        self._response: t.Any = None

    def stop(self) -> None:
        """End the thread soon; an open watch is cut."""
        self._stopped.set()
        response = self._response
        if response is not None:
            _cut(response)

    def run(self) -> None:
        pause = 0.1
        while not self._stopped.is_set():
            try:
                version = self._list()
                pause = 0.1
                self._watch(version)
            except ApiError as exc:
                if exc.not_found:
                    self._out.put(("unserved", self._source, None))
                    pause = 0.5
                elif exc.forbidden:
                    self._out.put(("forbidden", self._source, None))
                    pause = POLL
                else:
                    pause = min(5.0, pause * 2)
            except (*HTTP_ERRORS, ValueError):
                pause = min(5.0, pause * 2)  # the server went away, or cut a line: start over
            self._stopped.wait(pause)

    def _selectors(self) -> tuple[str | None, str | None]:
        name = self._source.name
        return self._source.label_selector, f"metadata.name={name}" if name else None

    def _list(self) -> str:
        items, version = self._session.list_page(self._source.kind, self._source.namespace, *self._selectors())
        self._out.put(("list", self._source, items))
        return version

    def _watch(self, version: str) -> None:
        labels, fields = self._selectors()
        query = {
            "labelSelector": labels,
            "fieldSelector": fields,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(RELIST)),
        }
        try:
            response = self._session.stream(self._source.kind, self._source.namespace, query, timeout=RELIST + 15)
        except ApiError as exc:
            if exc.forbidden:  # listing is allowed, watching is not: poll
                self._stopped.wait(POLL)
                return
            raise
        self._response = response
        try:
            for event in read_events(response):
                if self._stopped.is_set() or event.get("type") == "ERROR":
                    return  # 410 Gone and the like: list anew
                if event.get("type") != "BOOKMARK":
                    self._out.put((event["type"], self._source, event["object"]))
        finally:
            self._response = None
            response.close()


def _cut(response: t.Any) -> None:
    """End the connection of a response that another thread reads; that thread closes it.

    `close` would wait for the reader, that is until the server ends the watch.
    """
    with contextlib.suppress(*HTTP_ERRORS, AttributeError, ValueError):  # the server was ending it already
        if hasattr(response, "shutdown"):
            response.shutdown()
        else:  # urllib3 before 2.3
            response.connection.sock.shutdown(socket.SHUT_RDWR)


def read_events(response: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Yield the decoded events of an open watch until it ends."""
    rest = b""
    while True:
        chunk = response.read1(65536) if hasattr(response, "read1") else response.read(65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


class _Judge:
    """Applies graces and stability to verdicts, and writes the timeline."""

    def __init__(self, started: float, progress: Progress | None) -> None:
        self._started, self._progress = started, progress
        self._since: dict[str, tuple[tuple[str, str], float]] = {}
        self._told: dict[str, tuple[str, str, str]] = {}
        self.timeline: list[dict[str, t.Any]] = []

    def settle(self, verdicts: t.Mapping[str, Verdict], now: float) -> tuple[str, float]:
        """Return the overall state and the time (monotonic) at which it may change by itself."""
        states: list[str] = []
        next_change = now + RECHECK
        for target, verdict in verdicts.items():
            key = (verdict.state, verdict.reason)
            if self._since.get(target, (None, 0.0))[0] != key:
                self._since[target] = (key, now)
            state, needed = verdict.state, {FAILED: verdict.grace, READY: verdict.stable_for}.get(verdict.state, 0.0)
            counts_from = self._since[target][1] + needed
            if needed and now < counts_from:
                state = PENDING
                next_change = min(next_change, counts_from)
            if (verdict.state, state) != (READY, PENDING):  # told once it has lasted
                self._tell(target, state, verdict, now)
            states.append(state)
        if FAILED in states:
            return FAILED, next_change
        return (READY if all(state == READY for state in states) else PENDING), next_change

    def _tell(self, target: str, state: str, verdict: Verdict, now: float) -> None:
        """Write a change to the timeline; a failure that may still heal is told as pending."""
        told = (state, verdict.reason, verdict.message)
        if self._told.get(target) == told:
            return
        self._told[target] = told
        entry = {
            "at": round(now - self._started, 2),
            "target": target,
            "state": state,
            "reason": verdict.reason,
            "message": verdict.message,
        }
        if len(self.timeline) < MAX_TIMELINE:
            self.timeline.append(entry)
        if self._progress:
            self._progress(entry)


def wait(
    session: Session,
    sources: t.Sequence[Source],
    evaluate: Evaluate,
    *,
    timeout: float,
    act: t.Callable[[Snapshot], None] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Watch `sources` until `evaluate` calls every target ready, one failed for good, or `timeout` seconds are over.

    `act` runs before each evaluation and may write (approve a plan, say); what it raises ends the wait. `progress`
    receives every new entry of the timeline; by default it goes to the action plugin, which shows it.
    """
    started = time.monotonic()
    deadline = started + timeout
    changes: queue.Queue[tuple[str, Source, t.Any]] = queue.Queue()
    objects: dict[Source, dict[tuple[str, str], Object] | None] = {}
    heard: set[Source] = set()
    unreadable: set[Source] = set()
    snapshot = Snapshot(objects, unreadable)
    judge = _Judge(started, progress or reporter())
    verdicts: t.Mapping[str, Verdict] = {}
    readers = [_Reader(session, source, changes) for source in dict.fromkeys(sources)]
    for reader in readers:
        reader.start()
    try:
        next_look = started
        while True:
            _take(changes, objects, unreadable, heard, next_look)
            now = time.monotonic()
            # Verdicts need one answer from every source: an unknown is not an absence.
            if len(heard) == len(readers):
                if act:
                    act(snapshot)
                    now = time.monotonic()
                verdicts = evaluate(snapshot)
                state, next_look = judge.settle(verdicts, now)
                if state != PENDING:
                    return Result(state, dict(verdicts), now - started, judge.timeline, snapshot)
            else:
                next_look = now + RECHECK
            if now >= deadline:
                return Result(TIMED_OUT, dict(verdicts), now - started, judge.timeline, snapshot)
            next_look = min(next_look, deadline)
    finally:
        for reader in readers:
            reader.stop()


def _take(
    changes: queue.Queue[tuple[str, Source, t.Any]],
    objects: dict[Source, dict[tuple[str, str], Object] | None],
    unreadable: set[Source],
    heard: set[Source],
    until: float,
) -> None:
    """Take all changes that are there, waiting for the first one until the given (monotonic) time."""
    try:
        change = changes.get(timeout=max(0.0, until - time.monotonic()))
        while True:
            what, source, content = change
            heard.add(source)
            if what == "list":
                unreadable.discard(source)
                objects[source] = {_key(item): item for item in content}
            elif what == "unserved":
                objects[source] = None
            elif what == "forbidden":
                unreadable.add(source)
                objects[source] = {}
            elif what == "DELETED":
                (objects.setdefault(source, {}) or {}).pop(_key(content), None)
            else:
                known = objects.get(source)
                if known is None:
                    known = objects[source] = {}
                known[_key(content)] = content
            change = changes.get_nowait()
    except queue.Empty:
        return


def _key(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


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


def rolled_out(workload: Object | None) -> Verdict:
    """Judge a Deployment or StatefulSet: rolled out in its current generation, with at least one replica."""
    if workload is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if workload["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    status = workload.get("status") or {}
    wanted = (workload.get("spec") or {}).get("replicas", 1)
    if wanted == 0:
        return Verdict.pending("ScaledToZero", "is scaled to 0 replicas: nothing runs, though it counts as available")
    if not current(workload) or "observedGeneration" not in status:
        return Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    ready, updated = status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    progress = condition(workload, "Progressing")
    if progress and progress.get("reason") == "ProgressDeadlineExceeded":
        return Verdict.pending("ProgressDeadlineExceeded", progress.get("message") or "exceeded its progress deadline")
    if updated < wanted or ready < wanted or (status.get("replicas") or 0) > wanted:
        return Verdict.pending("RollingOut", f"{ready} of {wanted} replicas ready, {updated} updated")
    return Verdict.ready(f"{ready} of {wanted} replicas ready")
