"""Stand-in for the Developer Hub backend: its health page, and the databases that its plugins make at start.

Settings: services.developer-hub.{fail,start_seconds,unhealthy} and services.developer-hub.database_seconds (how long it
waits for its database before it ends with code 1, default 10).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg
from aiohttp import web
from psycopg import sql

from sandbox import net
from sandbox.services import _common, _database

PLUGINS = ("app", "auth", "catalog", "extensions", "permission", "scaffolder", "search")
ORCHESTRATOR = "orchestrator"


def installed(directory: Path) -> list[str]:
    """Return the dynamic plugins in the plugin volume."""
    return sorted(place.name for place in directory.iterdir() if place.is_dir()) if directory.is_dir() else []


def databases(plugins: list[str]) -> list[str]:
    """Return the databases that the backend makes for itself and its plugins."""
    names = list(PLUGINS)
    if any("orchestrator-backend" in plugin and "module" not in plugin for plugin in plugins):
        names.append(ORCHESTRATOR)
    return [f"backstage_plugin_{name}" for name in names]


def ensure_databases(target: _database.Target, names: list[str]) -> None:
    """Create the databases that are missing. Raises one of _database.FAILURES."""
    with _database.connect(target) as connection:
        present = {row["datname"] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in names:
            if name in present:
                continue
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                continue  # the operator's Job was faster


def connect_or_die(names: list[str]) -> _database.Target:
    """Return the Hub's database after all plugin databases exist; exits with code 1 when it cannot be reached."""
    host = os.environ.get("POSTGRES_HOST")
    if not host:
        _common.die("Backend startup failed: the database has no host, POSTGRES_HOST is not set")
    port = int(os.environ.get("POSTGRES_PORT") or "5432")
    user, password = os.environ.get("POSTGRES_USER", ""), os.environ.get("POSTGRES_PASSWORD", "")
    target = _database.Target(host, port, "postgres", "public", user, password)
    deadline = time.monotonic() + float(_common.switch("developer-hub", "database_seconds", 10))
    while True:
        try:
            ensure_databases(target, names)
            return target
        except _database.FAILURES as error:
            refused = isinstance(error, psycopg.Error) and "FATAL" in str(error)
            if time.monotonic() > deadline or (refused and "the database system is" not in str(error)):
                reason = str(error) if isinstance(error, net.NameNotResolved) else _database.explain(target, error)
                reason = reason.removeprefix("org.postgresql.util.PSQLException: ")
                _common.die(f"Failed to connect to the database to make sure that '{names[0]}' exists, {reason}")
        time.sleep(0.5)


def main() -> None:
    """Make the databases, then serve the health page."""
    _common.begin("developer-hub")
    plugins = installed(Path("dynamic-plugins-root"))
    connect_or_die(databases(plugins))

    async def readiness(_request: web.Request) -> web.Response:
        if _common.switch("developer-hub", "unhealthy"):
            return web.json_response({"message": "Backend has not started yet", "status": "error"}, status=503)
        return web.json_response({"status": "ok"})

    async def liveness(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def loaded(request: web.Request) -> web.Response:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.json_response({"error": {"name": "AuthenticationError"}}, status=401)
        return web.json_response([{"name": name} for name in plugins])

    server = web.Application()
    server.router.add_get("/.backstage/health/v1/readiness", readiness)
    server.router.add_get("/.backstage/health/v1/liveness", liveness)
    server.router.add_get("/api/extensions/loaded-plugins", loaded)
    server.router.add_get("/api/dynamic-plugins-info/loaded-plugins", loaded)
    port = int(os.environ.get("APP_CONFIG_backend_listen_port", "7007"))  # noqa: SIM112 (the product's)
    _common.say("INFO", "backstage", f"Plugin initialization complete, {len(plugins)} dynamic plugins. Port {port}")
    _common.serve(server, port)


if __name__ == "__main__":
    main()
