"""A stand-in for the API server, over real HTTP on a socket: lists and watches with a history, and faults."""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
import threading
import time
import typing as t
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from kubernetes import client as kubernetes_client

Object = dict[str, t.Any]
KINDS = {(kind.group, kind.version, kind.plural): kind for kind in vars(k).values() if isinstance(kind, k.Kind)}
PATIENCE = 20  # seconds that a test waits for the product at most


@dataclasses.dataclass
class Answer:
    """An answer that is no object of the store: whatever stands in front of, or in place of, an API server."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    length: int | None = None  # what Content-Length says, where that is not true
    slow: float = 0.0  # seconds before the headers


PAGE = Answer(200, b"<!doctype html><title>Red Hat &amp; OpenShift</title>hello", {"Content-Type": "text/html"})


def status(code: int, reason: str = "", message: str = "") -> Answer:
    """Return the API server's own answer to what it refuses."""
    content = {"kind": "Status", "code": code, "reason": reason, "message": message or f"asked to answer {code}"}
    return Answer(code, json.dumps(content).encode(), {"Content-Type": "application/json", "Audit-Id": "a"})


@dataclasses.dataclass
class Watch:
    """An open watch."""

    kind: k.Kind
    name: str
    version: int
    end: str = ""  # how it shall end: see `StandInApiServer.cut`


class StandInApiServer:
    """Serves objects that a test changes. `session` is a real session with it."""

    def __init__(self, urllib3: t.Any = None) -> None:
        """With a `urllib3`, the session uses that package's pool of connections."""
        self.objects: dict[tuple[k.Kind, str], Object] = {}
        self.history: list[tuple[int, k.Kind, str, Object]] = []
        self.version = 1
        self.compacted = 0
        self.changed = threading.Condition(threading.RLock())
        self.watches: list[Watch] = []
        self.opened: list[int] = []  # the version that each watch began with
        self.refuse: dict[k.Kind, int | Answer] = {}  # answers to lists and watches of a kind
        self.refuse_watch: dict[k.Kind, int | Answer] = {}
        self.refuse_all: int | Answer | None = None
        self.failures: list[int | Answer] = []  # answers to the next requests; 0 resets the connection
        self.clock_skew = 0.0  # seconds that its clock is ahead
        self.repeats = False  # a watch begins with what was sent already, as from a server with an old cache
        self.asked: list[str] = []
        self._stopped = threading.Event()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stand_in._serve(self)

            do_GET = do_PATCH = do_DELETE = _serve

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate((timestamp or time.time()) + stand_in.clock_skew, usegmt=True)

            def log_message(self, *args: t.Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_args: None  # type: ignore[method-assign] # connections that clients cut
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        configuration = kubernetes_client.Configuration(host=self.url)
        configuration.api_key = {"authorization": "Bearer canary"}
        client = kubernetes_client.ApiClient(configuration)
        if urllib3 is not None:
            client.rest_client.pool_manager = urllib3.PoolManager()
        self.session = Session(client)

    def close(self) -> None:
        """Stop listening, and end what is open."""
        self.cut("reset")
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    # -- serving ------------------------------------------------------------------------------------------------------

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with self.changed:
            self.asked.append(request.path)
            kind, name = _parse(url.path)
            name = name or query.get("fieldSelector", "=").split("=")[1]
            answer = self._fault(kind, bool(query.get("watch")))
            if answer is None and not query.get("watch"):
                answer = self._read(kind, name, single=url.path.endswith(f"/{name}") if name else False)
            if answer is None:
                watch = Watch(kind, name, int(query["resourceVersion"]))
                self.watches.append(watch)
                self.opened.append(watch.version)
                watch.version = self.compacted if self.repeats else watch.version
                self.changed.notify_all()
        if answer is not None:
            self._answer(request, answer)
        else:
            self._watch(request, watch)

    def _fault(self, kind: k.Kind, watch: bool) -> Answer | None:
        fault = self.refuse_all if self.refuse_all is not None else self.refuse.get(kind)
        if fault is None and self.failures:
            fault = self.failures.pop(0)
        if fault is None and watch:
            fault = self.refuse_watch.get(kind)
        return status(fault) if isinstance(fault, int) else fault

    def _read(self, kind: k.Kind, name: str, single: bool) -> Answer:
        found = [obj for (of, known), obj in self.objects.items() if of == kind and name in ("", known)]
        content: Object = {
            "kind": f"{kind.kind}List",
            "items": found,
            "metadata": {"resourceVersion": str(self.version)},
        }
        if single:
            if not found:
                return status(404, "NotFound")
            content = {"kind": kind.kind, **found[0]}
        return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _answer(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        time.sleep(answer.slow)
        if answer.status == 0:
            _reset(request)
            return
        request.send_response_only(answer.status)
        for header, value in {"Date": request.date_time_string(), **answer.headers}.items():
            request.send_header(header, value)
        request.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        request.end_headers()
        request.wfile.write(answer.body)
        if answer.length is not None:
            request.close_connection = True

    def _watch(self, request: BaseHTTPRequestHandler, watch: Watch) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while True:
            with self.changed:
                while not (watch.end or (event := self._next(watch))):
                    self.changed.wait()
                if watch.end:
                    break
            _chunk(request, json.dumps(event).encode() + b"\n")
            if event["type"] == "ERROR":
                watch.end = "end"
        request.close_connection = watch.end != "end"
        if watch.end == "reset":
            _reset(request)
        elif watch.end == "chunk":  # says more than comes
            request.wfile.write(b"ff\r\n" + b'{"type": "MODI')
        elif watch.end == "event":
            _chunk(request, b'{"type": "MODIFIED", "object": {"meta')
            _chunk(request, b"")
        elif watch.end == "end":
            _chunk(request, b"")
        elif watch.end == "silence":
            self._stopped.wait()

    def _next(self, watch: Watch) -> Object | None:
        if watch.version < self.compacted:
            return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}}}
        for version, kind, what, obj in self.history:
            if version <= watch.version:
                continue
            watch.version = version
            if kind != watch.kind or watch.name not in ("", obj["metadata"]["name"]):
                return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}
            return {"type": what, "object": obj}
        return None

    # -- what tests do ------------------------------------------------------------------------------------------------

    def until_watched(self, times: int = 1) -> None:
        """Wait until watches are open, and everything that has happened was sent on them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.opened) >= times and bool(self.watches), timeout=PATIENCE)

    def put(self, kind: k.Kind, name: str, **content: t.Any) -> None:
        """Create or change an object."""
        with self.changed:
            self.version += 1
            metadata = {"name": name, "namespace": "ns", "resourceVersion": str(self.version)}
            obj = {**content, "metadata": {**metadata, **content.get("metadata", {})}}
            what = "MODIFIED" if (kind, name) in self.objects else "ADDED"
            self.objects[kind, name] = obj
            self.history.append((self.version, kind, what, obj))
            self.changed.notify_all()

    def remove(self, kind: k.Kind, name: str) -> None:
        """Delete an object."""
        with self.changed:
            obj = self.objects.pop((kind, name), None)
            if obj is None:
                return
            self.version += 1
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, kind, "DELETED", obj))
            self.changed.notify_all()

    def cut(self, how: str = "end") -> None:
        """End all open watches.

        `end` politely, `reset` with a reset connection, `chunk` within a chunk of HTTP, `event` within an event,
        `close` by closing the connection between two chunks; `silence` leaves it open and sends nothing any more.
        """
        with self.changed:
            for watch in self.watches:
                watch.end = how
            self.watches.clear()
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the history: watches from before now answer 410 Gone."""
        with self.changed:
            self.compacted = self.version
            self.history.clear()
            self.watches.clear()
            self.changed.notify_all()

    def lose(self, kind: k.Kind, name: str, **content: t.Any) -> None:
        """Change an object without any event, as when a proxy swallows one."""
        with self.changed:
            self.put(kind, name, **content)
            self.history.pop()


def _parse(path: str) -> tuple[k.Kind, str]:
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    plural, name = rest[0], rest[1] if len(rest) > 1 else ""
    return KINDS.get((group, version, plural), k.Kind(group, version, plural, plural)), name


def _chunk(request: BaseHTTPRequestHandler, data: bytes) -> None:
    request.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _reset(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
