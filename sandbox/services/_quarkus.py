"""Start of the two Quarkus services: the datasource from the environment, the tables, or a crash that says why."""

from __future__ import annotations

import os

from sandbox.services import _common, _database, _schema


def datasource(service: str, tables: str) -> _database.Target:
    """Return the database of the pod's environment, connected once and migrated unless that is switched off.

    Exits with code 1, as the product does, when a variable is missing, or the database, its server or the login fails.
    """
    _common.begin(service)
    url = os.environ.get("QUARKUS_DATASOURCE_JDBC_URL")
    if not url:
        _common.die("Datasource '<default>' is not configured: QUARKUS_DATASOURCE_JDBC_URL is not set")
    user = os.environ.get("QUARKUS_DATASOURCE_USERNAME", "")
    password = os.environ.get("QUARKUS_DATASOURCE_PASSWORD", "")
    urls = [url]
    if "QUARKUS_DATASOURCE_REACTIVE_URL" in os.environ:
        urls.append(os.environ["QUARKUS_DATASOURCE_REACTIVE_URL"])
    targets = []
    for text in urls:
        try:
            targets.append(_database.parse_url(text, user, password))
        except ValueError as error:
            _common.die(str(error))
    for target in targets:
        try:
            with _database.connect(target) as connection:
                if target is targets[0] and os.environ.get("QUARKUS_FLYWAY_MIGRATE_AT_START", "true") != "false":
                    _schema.migrate(connection, target.schema, tables)
                    _common.say("INFO", "org.flywaydb.core", f'Schema "{target.schema}" is up to date')
        except _database.FAILURES as error:
            _common.die(_database.explain(target, error))
    return targets[0]
