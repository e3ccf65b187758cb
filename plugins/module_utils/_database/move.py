# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database a platform uses, and the change to another one. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import (
    DEFAULT_PORT,
    SERVICE_SUFFIX,
    Database,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object


def uses(platform: Object | None, database: Database) -> bool:
    """Tell whether every service of a platform keeps its data in this database."""
    blocks = _postgresql_blocks(platform)
    return bool(blocks) and all(_same_place(block, database) for block in blocks.values())


def leaves(platform: Object | None, database: Database) -> bool:
    """Tell whether services of a platform keep their data elsewhere; a platform without services has none to leave."""
    return bool(_postgresql_blocks(platform)) and not uses(platform, database)


def reaches(platform: Object | None, database: Database) -> bool:
    """Tell whether every service of a platform reaches this database just as described: TLS, Secret, schema."""
    blocks = _postgresql_blocks(platform)
    return bool(blocks) and all(
        _same_place(block, database) and _same_way(block, database, platform["metadata"]["name"], service)
        for service, block in blocks.items()
        if platform
    )


def places(platform: Object | None) -> list[str]:
    """Return where the services of a platform keep their data, as `host:port/name`; each place once."""
    found = []
    for block in _postgresql_blocks(platform).values():
        reference, url = block.get("serviceRef") or {}, block.get("jdbcUrl") or ""
        place = url.removeprefix("jdbc:postgresql://").partition("?")[0] if url else "memory"
        if reference:
            home = reference.get("namespace") or t.cast(Object, platform)["metadata"].get("namespace")
            port = reference.get("port") or DEFAULT_PORT
            place = f"{reference['name']}.{home}.svc:{port}/{reference.get('databaseName') or 'sonataflow'}"
        found.append(place)
    return sorted(set(found))


def move(platform: Object, wanted: Object) -> Object:
    """Return the merge patch that gives the services of a live platform the persistence that `wanted` has for them.

    What another writer has set there is taken out: of the two forms that a database can be named in, one may be there.
    What else is wanted and not there comes along, so that the services roll once; nothing else is replaced.
    """
    services: Object = {}
    live = (platform.get("spec") or {}).get("services") or {}
    for field, block in ((wanted.get("spec") or {}).get("services") or {}).items():
        new = (block.get("persistence") or {}).get("postgresql") or {}
        old = ((live.get(field) or {}).get("persistence") or {}).get("postgresql") or {}
        if new and new != old:
            gone = {key: None for key in old if key not in new}
            added = missing(live.get(field) or {}, {key: block[key] for key in block if key != "persistence"})
            services[field] = {**added, "persistence": {"postgresql": {**gone, **new}}}
    return {"services": services} if services else {}


def missing(live: Object, wanted: Object) -> Object:
    """Return the part of `wanted` that `live` has no value for."""
    found: Object = {}
    for key, value in wanted.items():
        if key not in live:
            found[key] = value
        elif isinstance(value, dict) and isinstance(live[key], dict):
            below = missing(live[key], value)
            if below:
                found[key] = below
    return found


def _postgresql_blocks(platform: Object | None) -> dict[str, Object]:
    services = ((platform or {}).get("spec") or {}).get("services") or {}
    fields = {"data_index": "dataIndex", "job_service": "jobService"}
    return {
        service: (services[field].get("persistence") or {}).get("postgresql") or {}
        for service, field in fields.items()
        if services.get(field) is not None
    }


def _same_place(postgresql: Object, database: Database) -> bool:
    reference = postgresql.get("serviceRef") or {}
    if reference:
        return (
            bool(database.service)
            and reference.get("name") == database.service
            and (reference.get("namespace") or database.namespace) == database.service_namespace
            and (reference.get("port") or DEFAULT_PORT) == database.port
            and reference.get("databaseName") == database.name
        )
    wanted = f"jdbc:postgresql://{database.address}/{quote(database.name, safe='-_.')}"
    return (postgresql.get("jdbcUrl") or "").partition("?")[0] == wanted


def _same_way(postgresql: Object, database: Database, platform: str, service: str) -> bool:
    wanted = database.persistence(platform, service)
    if postgresql.get("secretRef") != wanted["secretRef"]:
        return False
    if "jdbcUrl" in wanted:
        return bool(postgresql.get("jdbcUrl") == wanted["jdbcUrl"])
    schema = (postgresql.get("serviceRef") or {}).get("databaseSchema")
    return (schema or f"{platform}-{SERVICE_SUFFIX[service]}") == database.schema(platform, service)


def told_missing(pods: t.Iterable[Object], database: Database) -> bool:
    """Tell whether a pod that cannot start says that the database does not exist."""
    text = f'database "{database.name}" does not exist'
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = [(status.get(key) or {}).get("terminated") or {} for key in ("state", "lastState")]
            if not status.get("ready") and any(text in (each.get("message") or "") for each in ended):
                return True
    return False
