"""What the stand-in services share: their switches, Java-like log lines, health answers."""

from __future__ import annotations

import datetime
import os
import sys
import time
import typing as t

from aiohttp import web

from sandbox import settings


def say(level: str, source: str, message: str) -> None:
    """Print one log line in the form of the product's services."""
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    print(f"{now} {level:<5} [{source}] (main) {message}", flush=True)


def switch(service: str, name: str, default: t.Any = None) -> t.Any:
    """Return the setting `services.<service>.<name>`.

    All services know `fail` (true or a text: end at once with exit code 1), `start_seconds` (time before anything is
    done) and, when they serve health pages, `unhealthy` (true: readiness answers 503).
    """
    return settings.get(f"services.{service}.{name}", default)


def begin(service: str) -> None:
    """Obey the switches that count at the start. May exit with code 1."""
    time.sleep(float(switch(service, "start_seconds", 0)))
    reason = switch(service, "fail")
    if reason:
        die(reason if isinstance(reason, str) else f"the setting services.{service}.fail says so")


def die(message: str) -> t.NoReturn:
    """Say why in the log and exit with code 1. The termination log stays empty, as in the product."""
    say("ERROR", "io.quarkus.runtime.Application", f"Failed to start application: {message}")
    sys.exit(1)


def bind_address() -> str:
    """Return the pod's own loopback address."""
    return os.environ.get("SANDBOX_BIND", "127.0.0.1")


def health(checks: t.Mapping[str, bool]) -> web.Response:
    """Return a health page as the product's services write it: 200 and UP, or 503 and DOWN."""
    good = all(checks.values())
    body = {
        "status": "UP" if good else "DOWN",
        "checks": [{"name": name, "status": "UP" if value else "DOWN"} for name, value in checks.items()],
    }
    return web.json_response(body, status=200 if good else 503)


def serve(application: web.Application, port: int) -> None:
    """Serve on the pod's address until SIGTERM."""
    web.run_app(application, host=bind_address(), port=port, print=None, access_log=None, shutdown_timeout=2)
