"""Ports and loopback networks that nobody uses, so that several sandboxes run side by side."""

from __future__ import annotations

import contextlib
import random
import socket
import typing as t

# Below the range that Linux hands out to outgoing connections, so that a chosen port stays free between two starts.
_FIRST, _LAST = 20000, 29999
_LOOPBACKS = range(32, 250)
# The network part keeps this port bound while the sandbox runs: the machine-wide claim on its loopback network.
CLAIM_PORT = 17717


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether a TCP server could bind `address`:`port` now, on that address and on all of them."""
    for host in (address, "0.0.0.0"):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def claim_address(loopback: int) -> str:
    """Return the address on which a sandbox with this loopback network binds CLAIM_PORT."""
    return f"127.{loopback}.255.254"


def loopback_is_free(loopback: int) -> bool:
    """Say whether no running sandbox has claimed 127.<loopback>.0.0/16."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((claim_address(loopback), CLAIM_PORT))
        except OSError:
            return False
    return True


def choose(
    names: t.Iterable[str], known: t.Mapping[str, int], free: t.Callable[[int], bool] = is_free
) -> dict[str, int]:
    """Return a free port for every name: the known one where it is still free, another one otherwise."""
    taken: set[int] = set()
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name, 0)
        while not port or port in taken or not free(port):
            port = random.randint(_FIRST, _LAST)
        taken.add(port)
        chosen[name] = port
    return chosen


def choose_loopback(
    known: int | None, reserved: t.Collection[int] = (), free: t.Callable[[int], bool] = loopback_is_free
) -> int:
    """Return N of a loopback network 127.N that no sandbox uses, `known` if possible; `reserved` ones are avoided."""
    if known is not None and free(known):
        return known
    for loopback in _LOOPBACKS:
        if loopback not in reserved and free(loopback):
            return loopback
    raise OSError("every loopback network from 127.32 to 127.249 is claimed by a running sandbox")
