"""A way to the API server that counts the bytes which its clients receive (with TLS, as on the wire)."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t
from pathlib import Path

import yaml

from sandbox.paths import Instance


class Relay:
    """Passes connections on to a port of this machine, inside `with`. `received` counts what came back."""

    def __init__(self, port: int) -> None:
        self.received = 0
        self._target = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> t.Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # `close` alone does not wake who accepts
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):  # one side has gone
            while data := source.recv(65536):
                if counts:
                    with self._lock:
                        self.received += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, instance: Instance, file: Path) -> Path:
        """Write a kubeconfig of the sandbox's user that goes through this relay; return its path."""
        config = yaml.safe_load(instance.kubeconfig.read_text(encoding="utf-8"))
        for entry in config["clusters"]:
            entry["cluster"]["server"] = f"https://127.0.0.1:{self.port}"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return file


def to_api_server(instance: Instance) -> Relay:
    """Return a relay to the API server of a sandbox that is up."""
    return Relay(instance.state["ports"]["apiserver"])
