"""A TLS reverse proxy before the API server that lets requests fail by rule. Only clients of its kubeconfig pass it.

HTTP/1.1; upgrades (exec, port-forward) are not passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import typing as t
from pathlib import Path

import aiohttp
from aiohttp import web

from sandbox import faults
from sandbox.faults import rules
from sandbox.paths import Instance

# Headers that belong to one connection, and those that aiohttp sets itself.
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
    }
)


class Proxy:
    """Passes requests on to `upstream`, except those that a rule of the file strikes."""

    def __init__(self, upstream: str, rules_file: Path, hits_file: Path, session: aiohttp.ClientSession) -> None:
        self._upstream, self._session = upstream, session
        self._rules_file, self._hits_file = rules_file, hits_file
        self._book = rules.Book()
        self._stamp: tuple[int, int] | None = None

    def _strike(self, method: str, path: str) -> rules.Rule | None:
        try:
            status = self._rules_file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp != self._stamp:
            self._book.rules, self._stamp = rules.load(self._rules_file), stamp
        rule = self._book.take(method, path)
        if rule:
            unfinished = self._hits_file.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(self._book.hits()), encoding="utf-8")
            unfinished.replace(self._hits_file)
            print(f"{rule.action}: {method} {path}", flush=True)
        return rule

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        rule = self._strike(request.method, request.raw_path)
        if rule and rule.action == "reset":
            return self._abort(request)
        if rule and rule.action != "cut":
            return status_answer(rule)
        headers = [(key, value) for key, value in request.headers.items() if key.lower() not in _HOP]
        body = await request.read() if request.can_read_body else None
        try:
            async with self._session.request(
                request.method,
                self._upstream + request.raw_path,
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            ) as answer:
                return await self._pass_on(request, answer, rule.seconds if rule else None)
        except (aiohttp.ClientError, ConnectionError) as error:
            print(f"broken: {request.method} {request.raw_path}: {error}", flush=True)
            return self._abort(request)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, cut_after: float | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for key, value in answer.headers.items():
            if key.lower() not in _HOP:
                response.headers.add(key, value)
        await response.prepare(request)
        try:
            async with asyncio.timeout(cut_after):
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                if cut_after is not None:
                    # A short answer is over by itself; what was asked for is a broken connection.
                    return self._abort(request)
        except TimeoutError:
            return self._abort(request)
        await response.write_eof()
        return response

    @staticmethod
    def _abort(request: web.Request) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()
        return web.Response(status=502)


def status_answer(rule: rules.Rule) -> web.Response:
    """Return the API server's form of a refusal."""
    code = int(rule.action)
    body: dict[str, t.Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"fault injected by the sandbox: {rules.STATUSES[code]}",
        "reason": rules.STATUSES[code],
        "code": code,
    }
    headers = {}
    if rule.retry_after and code in (429, 503):
        headers["Retry-After"] = str(rule.retry_after)
        body["details"] = {"retryAfterSeconds": rule.retry_after}
    return web.json_response(body, status=code, headers=headers)


async def serve(instance: Instance) -> None:
    """Run until SIGTERM."""
    keys = instance.secrets / "pki"
    ports = instance.state["ports"]
    trust = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        upstream = f"https://127.0.0.1:{ports['apiserver']}"
        proxy = Proxy(upstream, faults.rules_file(instance), faults.hits_file(instance), session)
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_route("*", "/{anything:.*}", proxy.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(keys / "apiserver.crt", keys / "apiserver.key")
        await web.TCPSite(runner, "127.0.0.1", ports["faults"], ssl_context=own).start()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
        # Watches may be open for ever; the process ends with them.
        os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(serve(Instance()))
        except OSError as problem:
            sys.exit(f"faults: {problem}")
