"""Stand-in for the Job Service: health pages and /v2/jobs kept in PostgreSQL; jobs are stored, never fired.

Settings: services.jobs-service.{fail,start_seconds,unhealthy}.
"""

from __future__ import annotations

import json
import uuid

from aiohttp import web

from sandbox.services import _common, _database, _quarkus, _schema


def application(pool: _database.Pool) -> web.Application:
    """Return the server over an open database."""

    async def ready(_request: web.Request) -> web.Response:
        alive = await pool.alive() and not _common.switch("jobs-service", "unhealthy")
        return _common.health({"Database connections health check": alive, "Job Service": True})

    async def live(_request: web.Request) -> web.Response:
        return _common.health({"Job Service": True})

    async def create(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            job = {**body, "id": str(body.get("id") or uuid.uuid4()), "state": "SCHEDULED"}
        except (ValueError, TypeError, AttributeError):
            return web.json_response({"message": "the body is no job"}, status=400)
        await pool.query(
            "INSERT INTO job_details (id, status, body) VALUES (%s, 'SCHEDULED', %s) "
            "ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body",
            [job["id"], json.dumps(job)],
        )
        return web.json_response(job)

    async def read(request: web.Request) -> web.Response:
        rows = await pool.query("SELECT body FROM job_details WHERE id = %s", [request.match_info["id"]])
        return web.json_response(rows[0]["body"]) if rows else web.json_response({}, status=404)

    async def remove(request: web.Request) -> web.Response:
        rows = await pool.query("DELETE FROM job_details WHERE id = %s RETURNING body", [request.match_info["id"]])
        return web.json_response(rows[0]["body"]) if rows else web.json_response({}, status=404)

    async def event(_request: web.Request) -> web.Response:
        return web.Response(status=202)

    server = web.Application()
    server.router.add_get("/q/health/ready", ready)
    server.router.add_get("/q/health/live", live)
    server.router.add_get("/q/health", ready)
    server.router.add_post("/v2/jobs", create)
    server.router.add_post("/v2/jobs/events", event)
    server.router.add_get("/v2/jobs/{id}", read)
    server.router.add_delete("/v2/jobs/{id}", remove)
    return server


def main() -> None:
    """Connect or crash, then serve."""
    target = _quarkus.datasource("jobs-service", _schema.JOBS_SERVICE)
    _common.say("INFO", "io.quarkus", "jobs-service started. Listening on: http://0.0.0.0:8080")
    _common.serve(application(_database.Pool(target)), 8080)


if __name__ == "__main__":
    main()
