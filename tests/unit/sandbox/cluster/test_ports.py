"""Choosing ports and loopback networks."""

from __future__ import annotations

import socket

import pytest

from sandbox.cluster import ports


def test_known_free_ports_are_kept() -> None:
    assert ports.choose(["a", "b"], {"a": 20001, "b": 20002}, free=lambda _: True) == {"a": 20001, "b": 20002}


def test_taken_port_is_replaced_and_no_port_is_given_twice() -> None:
    names = [f"n{i}" for i in range(50)]
    chosen = ports.choose(names, {"n0": 20001, "n1": 20001}, free=lambda port: port != 20002)
    assert chosen["n0"] == 20001
    assert chosen["n1"] != 20001
    assert len(set(chosen.values())) == len(names)
    assert 20002 not in chosen.values()


def test_is_free_sees_a_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_loopback_is_kept_or_chosen_beside_the_reserved_ones() -> None:
    assert ports.choose_loopback(98, free=lambda _: True) == 98
    assert ports.choose_loopback(98, {32, 33}, free=lambda n: n != 98) == 34
    with pytest.raises(OSError, match="every loopback network"):
        ports.choose_loopback(None, free=lambda _: False)
