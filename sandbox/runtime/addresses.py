"""Pod IPs of played pods: 10.98.x.y, each in use once."""

from __future__ import annotations

import zlib


class Pool:
    """Gives out addresses. 10.98.255.* is left to fixed endpoints of the sandbox itself."""

    _SIZE = 254 * 255

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def claim(self, address: str, uid: str) -> bool:
        """Note that the pod holds this address already; return False when another pod does."""
        return self._owners.setdefault(address, uid) == uid

    def take(self, uid: str) -> str:
        """Return an address that no other pod holds. Raises RuntimeError when all are in use."""
        # The start follows the uid, so that an address is not given to the next pod as soon as it is free.
        start = zlib.crc32(uid.encode())
        for step in range(self._SIZE):
            number = (start + step) % self._SIZE
            address = f"10.98.{number // 254}.{number % 254 + 1}"
            if self.claim(address, uid):
                return address
        raise RuntimeError("no free pod address in 10.98.0.0/16")

    def release(self, uid: str) -> None:
        """Free what the pod holds."""
        self._owners = {address: owner for address, owner in self._owners.items() if owner != uid}
