"""The relay counts what clients receive, and only that."""

from __future__ import annotations

import socket
import threading

from sandbox.relay import Relay


def test_the_relay_counts_what_comes_back() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection = server.accept()[0]
        asked = connection.recv(100)
        connection.sendall(asked * 3)
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    with Relay(server.getsockname()[1]) as relay, socket.create_connection(("127.0.0.1", relay.port)) as client:
        client.sendall(b"hello")
        answered = b""
        while data := client.recv(100):
            answered += data
        assert answered == b"hello" * 3
        assert relay.received == 15
    server.close()
