"""The cluster's network in one process: the API server's way to pods, and the kubelets' log endpoint.

Egress: the API server sends everything that is meant for pods through a CONNECT proxy on a Unix socket. It dials
127.N.x.y for the pod IP 10.98.x.y, same port, so a local process bound there *is* the pod's server. Nothing answers for
10.97.x.y: those pods are simulated.

Kubelet: all nodes name one HTTPS port of 127.0.0.1, and `GET /containerLogs/...` there serves the log files of played
pods (CRI lines: `<time> stdout|stderr F <text>`). Simulated pods have empty logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import ssl
import sys
import typing as t
from pathlib import Path

from aiohttp import web

from sandbox.cluster import ports
from sandbox.paths import Instance

_FOLLOW_SECONDS = 0.2
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def destination(target: str, loopback: str, fixed: t.Mapping[str, str]) -> str | None:
    """Return `address:port` to dial for a CONNECT target, or None when nobody answers there."""
    if target in fixed:
        return fixed[target]
    host, _, port = target.rpartition(":")
    if host in ("127.0.0.1", "localhost"):
        return f"127.0.0.1:{port}"
    if host.startswith("10.98."):
        return f"{loopback}.{host.removeprefix('10.98.')}:{port}"
    return None


class EgressProxy:
    """CONNECT proxy on a Unix socket; `fixed` maps targets to addresses outside the pod network."""

    def __init__(self, loopback: str, fixed: t.Mapping[str, str]) -> None:
        self._loopback, self._fixed = loopback, fixed

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the API server from CONNECT to its end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            writer.close()
            return
        real = destination(target, self._loopback, self._fixed) if method == "CONNECT" else None
        try:
            if real is None:
                raise OSError("no such endpoint")
            host, _, port = real.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError as error:
            print(f"{target} -> {real}: {error}", flush=True)
            with contextlib.suppress(ConnectionError):
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                await writer.drain()
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until the reader ends, then close the writer; a broken connection ends it quietly."""
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


def plain_line(line: bytes, timestamps: bool) -> bytes:
    """Return a CRI log line as `kubectl logs` shows it."""
    parts = line.split(b" ", 3)
    if len(parts) < 4:
        return line
    return parts[0] + b" " + parts[3] if timestamps else parts[3]


class Kubelet:
    """The part of a kubelet's API that `kubectl logs` uses."""

    def __init__(self, pods: Path) -> None:
        self._pods = pods

    def log_file(self, namespace: str, pod: str, container: str, *, previous: bool) -> Path | None:
        """Return the log of the newest pod of that name, or None when no process plays it."""
        if not all(_NAME.fullmatch(part) for part in (namespace, pod, container)):
            return None
        name = f"{container}.previous.log" if previous else f"{container}.log"
        found = [path / name for path in self._pods.glob(f"{namespace}_{pod}_*") if (path / name).exists()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /containerLogs/{namespace}/{pod}/{container}[?follow&previous&tailLines&timestamps]."""
        query = request.query
        where = {key: request.match_info[key] for key in ("namespace", "pod", "container")}
        path = self.log_file(**where, previous=query.get("previous") == "true")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        if path is None:
            return response
        timestamps = query.get("timestamps") == "true"
        with path.open("rb") as stream:
            lines = stream.readlines()
            if "tailLines" in query:
                lines = lines[max(0, len(lines) - int(query["tailLines"])) :]
            await response.write(b"".join(plain_line(line, timestamps) for line in lines))
            while query.get("follow") == "true" and path.parent.exists():
                await asyncio.sleep(_FOLLOW_SECONDS)
                for line in stream.readlines():
                    await response.write(plain_line(line, timestamps))
        return response

    async def refuse(self, _request: web.Request) -> web.Response:
        """Answer everything else: no exec, attach or port-forward here."""
        return web.Response(status=501, text="the sandbox's kubelets serve logs only")


async def serve(instance: Instance) -> None:
    """Run until SIGTERM. Fails at once when the loopback network is claimed by another sandbox or the port is taken."""
    state = instance.state
    claim = await asyncio.start_server(
        lambda _reader, writer: writer.close(), ports.claim_address(state["loopback"]), ports.CLAIM_PORT
    )
    socket_path = instance.root / "egress.sock"
    socket_path.unlink(missing_ok=True)
    fixed = {"10.98.255.1:5443": f"127.0.0.1:{state['ports']['packageserver']}"}
    proxy = EgressProxy(instance.loopback, fixed)
    egress = await asyncio.start_unix_server(proxy.handle, socket_path)
    socket_path.chmod(0o600)

    kubelet = Kubelet(instance.pods)
    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", kubelet.logs)
    application.router.add_route("*", "/{anything:.*}", kubelet.refuse)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(instance.secrets / "pki" / "apiserver.crt", instance.secrets / "pki" / "apiserver.key")
    await web.TCPSite(runner, "127.0.0.1", state["ports"]["kubelet"], ssl_context=context).start()

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    egress.close()
    claim.close()
    # Connections of the API server may be open for ever; the process ends with them.
    os._exit(0)


if __name__ == "__main__":
    try:
        asyncio.run(serve(Instance()))
    except OSError as problem:
        sys.exit(f"network: {problem}")
