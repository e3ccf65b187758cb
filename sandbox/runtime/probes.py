"""Probes: the counting rules of a kubelet (pure), and how one attempt is made."""

from __future__ import annotations

import asyncio
import math
import typing as t
from dataclasses import dataclass

import aiohttp

MINIMUM_PERIOD = 0.2  # seconds; a scaled-down period must not turn into a busy loop
STEADY_PERIOD = 1.0  # seconds; the least while all is well: many pods are probed on one machine


@dataclass
class Probe:
    """One probe's thresholds and times (seconds, already scaled) and what its attempts have said so far.

    `verdict` is None until a threshold is reached for the first time, then True or False.
    """

    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int
    verdict: bool | None = None
    last: bool | None = None
    run: int = 0

    @classmethod
    def of(cls, spec: t.Mapping[str, t.Any], scale: float, patient: bool = False) -> Probe:
        """Read a probe of a container. Delay and period are multiplied by `scale`, the timeout is not.

        `patient` keeps the real time from the first failure to the verdict: a probe that kills the container must not
        get ten times stricter because attempts come ten times faster.
        """
        failures = spec.get("failureThreshold", 3)
        if patient and 0 < scale < 1:
            failures = math.ceil(failures / scale)
        return cls(
            initial_delay=spec.get("initialDelaySeconds", 0) * scale,
            period=max(MINIMUM_PERIOD, spec.get("periodSeconds", 10) * scale),
            timeout=spec.get("timeoutSeconds", 1),
            success_threshold=spec.get("successThreshold", 1),
            failure_threshold=failures,
        )

    @property
    def pause(self) -> float:
        """Seconds until the next attempt: while all is well, and nothing is about to change, there is no hurry."""
        return max(self.period, STEADY_PERIOD) if self.last and self.verdict else self.period

    def record(self, success: bool) -> bool:
        """Count one attempt; return whether the verdict changed."""
        self.run = self.run + 1 if success == self.last else 1
        self.last = success
        threshold = self.success_threshold if success else self.failure_threshold
        if self.run < threshold or self.verdict == success:
            return False
        self.verdict = success
        return True


def port_number(port: str | int, container: t.Mapping[str, t.Any]) -> int:
    """Return a probe's port; a name is looked up among the container's ports. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise ValueError(f"couldn't find port: {port!r}")


async def attempt(
    spec: t.Mapping[str, t.Any],
    container: t.Mapping[str, t.Any],
    address: str,
    http: aiohttp.ClientSession,
    run: t.Callable[[list[str], float], t.Awaitable[tuple[int, str]]],
) -> str | None:
    """Make one attempt at the process behind `address`; return None on success, else the kubelet's text.

    `run` executes a command inside the container and returns its exit code and output; it raises TimeoutError.
    """
    timeout = float(spec.get("timeoutSeconds", 1))
    try:
        if "httpGet" in spec:
            return await _http(spec["httpGet"], container, address, http, timeout)
        if "tcpSocket" in spec:
            port = port_number(spec["tcpSocket"]["port"], container)
            async with asyncio.timeout(timeout):
                _reader, writer = await asyncio.open_connection(address, port)
            writer.close()
            return None
        if "exec" in spec:
            code, output = await run(spec["exec"]["command"], timeout)
            return None if code == 0 else output.strip() or f"command exited with {code}"
    except TimeoutError:
        return f"context deadline exceeded (the probe's timeout is {timeout:g} s)"
    except (OSError, ValueError, aiohttp.ClientError) as error:
        return str(error)
    return None


async def _http(
    spec: t.Mapping[str, t.Any],
    container: t.Mapping[str, t.Any],
    address: str,
    http: aiohttp.ClientSession,
    seconds: float,
) -> str | None:
    port = port_number(spec["port"], container)
    url = f"{spec.get('scheme', 'HTTP').lower()}://{address}:{port}/{spec.get('path', '/').lstrip('/')}"
    headers = {"User-Agent": "kube-probe/1.36", "Connection": "close"}
    headers.update({entry["name"]: entry["value"] for entry in spec.get("httpHeaders") or ()})
    limit = aiohttp.ClientTimeout(total=seconds)
    async with http.get(url, headers=headers, ssl=False, timeout=limit, allow_redirects=False) as answer:
        if 200 <= answer.status < 400:
            return None
        return f"HTTP probe failed with statuscode: {answer.status}"
