"""TLS in front of a PostgreSQL that is built without it, as the packages from PyPI are.

Speaks the beginning of PostgreSQL's protocol (SSLRequest), then TLS, and hands the plain bytes on. Clients cannot tell
it from a server of its own, but for channel binding; to the server all connections are plain, and pg_stat_ssl says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys

from sandbox.runtime.process import die_with_parent

SSL_REQUEST, GSS_REQUEST = (b"\0\0\0\x08" + code.to_bytes(4, "big") for code in (80877103, 80877104))
PAUSE = 0.05  # seconds between attempts to reach a server that starts


class Front:
    """Listens on a pod's address and port; the server listens on the same address, another port."""

    def __init__(self, address: str, port: int, behind: int, context: ssl.SSLContext) -> None:
        self._address, self._port, self._behind, self._context = address, port, behind, context

    async def run(self) -> None:
        """Serve for ever, from the moment on that the server behind listens."""
        while True:
            try:
                _reader, writer = await asyncio.open_connection(self._address, self._behind)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            writer.close()
            break
        server = await asyncio.start_server(self._client, self._address, self._port)
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            first = await reader.readexactly(8)
            while first == GSS_REQUEST:
                writer.write(b"N")
                first = await reader.readexactly(8)
            # The server tells encrypted connections from others by where they come from: see pg_hba.conf.
            source = "127.0.0.1"
            if first == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self._context)
                first, source = b"", self._address
            inner, outer = await asyncio.open_connection(self._address, self._behind, local_addr=(source, 0))
            outer.write(first)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, outer))
                group.create_task(_copy(inner, writer))
        writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


def main() -> None:
    """Arguments: address, port, port of the server, certificate, key. Ends with its parent."""
    die_with_parent(signal.SIGKILL)
    address, port, behind, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asyncio.run(Front(address, int(port), int(behind), context).run())


if __name__ == "__main__":
    main()
