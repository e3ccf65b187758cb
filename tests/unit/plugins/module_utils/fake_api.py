"""A scripted HTTP server for tests of the API session: each request takes the next answer of its script."""

from __future__ import annotations

import json
import threading
import typing as t
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESET = object()  # an answer: the connection is dropped without a word


class FakeApi:
    """Answers (status, body[, headers]) in order and keeps what was asked; a body is an object, or bytes."""

    def __init__(self) -> None:
        self.script: deque[t.Any] = deque()
        self.seen: list[dict[str, t.Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                fake.seen.append(
                    {"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}
                )
                answer = fake.script.popleft()
                if answer is RESET:
                    self.connection.close()
                    self.close_connection = True
                    return
                status, content, headers = (*answer, {})[:3]
                if isinstance(content, dict):  # every answer of an API server has a kind
                    kind = "Status" if status >= 400 else "List" if "items" in content else "Object"
                    content = {"kind": kind, **content}
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def log_message(self, *args: t.Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
