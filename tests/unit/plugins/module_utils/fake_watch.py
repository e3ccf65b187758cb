"""A small API server with list and watch for tests of the engine: a stand-in with a history, faults and no HTTP."""

from __future__ import annotations

import json
import threading
import typing as t
from collections import Counter

from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import Kind

Object = dict[str, t.Any]


class FakeStream:
    """An open watch."""

    def __init__(self, session: FakeSession, kind: Kind, namespace: str | None, name: str, version: int) -> None:
        self.session, self.kind, self.namespace, self.name, self.version = session, kind, namespace, name, version
        self.open = True

    def read1(self, size: int) -> bytes:
        with self.session.changed:
            while True:
                if not self.open:
                    return b""
                if self.version < self.session.compacted:
                    self.open = False
                    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "metadata": {}}}
                    return json.dumps(gone).encode() + b"\n"
                for version, kind, what, obj in self.session.history:
                    if version <= self.version:
                        continue
                    self.version = version
                    metadata = obj["metadata"]
                    if kind != self.kind or self.name not in ("", metadata["name"]):
                        event: Object = {
                            "type": "BOOKMARK",
                            "object": {"metadata": {"resourceVersion": str(version)}},
                        }
                    else:
                        event = {"type": what, "object": obj}
                    return json.dumps(event).encode() + b"\n"
                self.session.changed.wait()

    def shutdown(self) -> None:
        with self.session.changed:
            self.open = False
            self.session.changed.notify_all()

    def close(self) -> None:
        self.shutdown()


class FakeSession:
    """What the engine asks of a session, over objects that a test changes."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str], Object] = {}
        self.history: list[tuple[int, Kind, str, Object]] = []
        self.version = 1
        self.compacted = 0
        self.changed = threading.Condition(threading.RLock())
        self.streams: list[FakeStream] = []
        self.refuse: dict[Kind, int] = {}  # answers to lists and watches of a kind, by HTTP status
        self.refuse_watch: dict[Kind, int] = {}
        self.failures: list[int] = []  # answers to the next requests, by HTTP status
        self.requests: Counter[str] = Counter()
        self.check_mode = False

    def count(self, what: str) -> None:
        self.requests[what] += 1

    def _fail(self, kind: Kind, status: int) -> None:
        raise ApiError("GET", kind.path(), status, {"message": f"told to answer {status}"})

    def _faults(self, kind: Kind) -> None:
        if kind in self.refuse:
            self._fail(kind, self.refuse[kind])
        if self.failures:
            self._fail(kind, self.failures.pop(0))

    def list_page(
        self,
        kind: Kind,
        namespace: str | None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        *,
        patient: bool = True,
    ) -> tuple[list[Object], str]:
        with self.changed:
            self.count("list")
            self._faults(kind)
            name = (field_selector or "=").split("=")[1]
            found = [obj for (of, known), obj in self.objects.items() if of == kind and name in ("", known)]
            return found, str(self.version)

    def stream(self, kind: Kind, namespace: str | None, query: t.Mapping[str, t.Any], timeout: float) -> FakeStream:
        with self.changed:
            self.count("watch")
            self._faults(kind)
            if kind in self.refuse_watch:
                self._fail(kind, self.refuse_watch[kind])
            name = (query.get("fieldSelector") or "=").split("=")[1]
            stream = FakeStream(self, kind, namespace, name, int(query["resourceVersion"]))
            self.streams.append(stream)
            self.changed.notify_all()
            return stream

    # -- what tests do ----------------------------------------------------------------------------------------------

    def until_watched(self) -> None:
        """Wait until a watch is open."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.streams, timeout=20)

    def put(self, kind: Kind, name: str, **content: t.Any) -> None:
        """Create or change an object."""
        with self.changed:
            self.version += 1
            metadata = {"name": name, "namespace": "ns", "resourceVersion": str(self.version)}
            obj = {**content, "metadata": {**metadata, **content.get("metadata", {})}}
            what = "MODIFIED" if (kind, name) in self.objects else "ADDED"
            self.objects[kind, name] = obj
            self.history.append((self.version, kind, what, obj))
            self.changed.notify_all()

    def remove(self, kind: Kind, name: str) -> None:
        """Delete an object."""
        with self.changed:
            obj = self.objects.pop((kind, name), None)
            if obj is None:
                return
            self.version += 1
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, kind, "DELETED", obj))
            self.changed.notify_all()

    def cut(self) -> None:
        """End all open watches."""
        with self.changed:
            for stream in self.streams:
                stream.shutdown()
            self.streams.clear()

    def compact(self) -> None:
        """Forget the history: watches from before now answer 410 Gone."""
        with self.changed:
            self.compacted = self.version
            self.history.clear()
            self.changed.notify_all()

    def lose(self, kind: Kind, name: str, **content: t.Any) -> None:
        """Change an object without any event, as when a proxy swallows one."""
        self.put(kind, name, **content)
        with self.changed:
            self.history.pop()
