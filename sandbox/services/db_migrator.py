"""Stand-in for the database migration tool: makes the two services' schemas, then ends.

Settings: services.db-migrator.{fail,start_seconds}.
"""

from __future__ import annotations

import os

from sandbox.services import _common, _database, _schema

SERVICES = {"DATAINDEX": _schema.DATA_INDEX, "JOBSSERVICE": _schema.JOBS_SERVICE}


def main() -> None:
    """Migrate what MIGRATE_DB_DATAINDEX and MIGRATE_DB_JOBSSERVICE ask for; exit with code 1 when a database fails."""
    _common.begin("db-migrator")
    for name, tables in SERVICES.items():
        if os.environ.get(f"MIGRATE_DB_{name}") != "true":
            continue
        prefix = f"QUARKUS_DATASOURCE_{name}"
        user, password = os.environ.get(f"{prefix}_USERNAME", ""), os.environ.get(f"{prefix}_PASSWORD", "")
        try:
            target = _database.parse_url(os.environ.get(f"{prefix}_JDBC_URL", ""), user, password)
        except ValueError as error:
            _common.die(str(error))
        schema = os.environ.get(f"QUARKUS_FLYWAY_{name}_SCHEMAS") or target.schema
        try:
            with _database.connect(target) as connection:
                _schema.migrate(connection, schema, tables)
        except _database.FAILURES as error:
            _common.die(_database.explain(target, error))
        _common.say("INFO", "org.flywaydb.core", f'Successfully migrated schema "{schema}" of {name.lower()}')


if __name__ == "__main__":
    main()
