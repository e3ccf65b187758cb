"""Pure parts of the stand-in services."""

from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

import graphql
import psycopg
import pytest

from sandbox import net
from sandbox.services import _database, data_index, hub, install_plugins, postgres

Row = dict[str, t.Any]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "jdbc:postgresql://db.ns:5433/orch?currentSchema=sonataflow-platform-data-index-service",
            ("db.ns", 5433, "orch", "sonataflow-platform-data-index-service"),
        ),
        ("postgresql://db/orch?search_path=s", ("db", 5432, "orch", "s")),
        ("jdbc:postgresql://db:5432/orch", ("db", 5432, "orch", "public")),
    ],
)
def test_urls(url: str, expected: tuple[str, int, str, str]) -> None:
    target = _database.parse_url(url, "me", "word")
    assert (target.host, target.port, target.database, target.schema) == expected
    assert "word" not in repr(target)


@pytest.mark.parametrize("url", ["jdbc:mysql://db/x", "", "postgresql:///x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL URL"):
        _database.parse_url(url, "me", "word")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (net.NameNotResolved("could not resolve"), "java.net.UnknownHostException: db"),
        (psycopg.OperationalError('x FATAL:  database "d" does not exist'), 'FATAL: database "d" does not exist'),
        (psycopg.OperationalError("Connection refused"), "Connection to db:5432 refused."),
        (psycopg.OperationalError("SSL error: certificate verify failed"), "unable to find valid certification path"),
        (psycopg.OperationalError('"x" does not match host name "db"'), "The hostname db could not be verified"),
    ],
)
def test_causes(error: Exception, text: str) -> None:
    assert text in _database.explain(_database.Target("db", 5432, "d", "s", "u", "p"), error)


def answer(query: str, tables: dict[str, list[Row]]) -> t.Any:
    async def rows(sql: str, _values: t.Sequence[t.Any] = ()) -> list[Row]:
        return tables.get(sql.split()[3], [])

    result = asyncio.run(graphql.graphql(data_index.build_schema(rows), query))
    assert result.errors is None
    return result.data


def test_graphql_over_tables() -> None:
    tables = {
        "definitions": [{"id": "a", "version": "1", "name": "A", "endpoint": "http://a/a"}],
        "processes": [
            {"id": "1", "process_id": "a", "state": 1, "start_time": None},
            {"id": "2", "process_id": "a", "state": 2, "start_time": None},
        ],
        "nodes": [{"id": "n", "name": "Start"}],
    }
    assert answer("{ ProcessDefinitions { id serviceUrl __typename } }", tables) == {
        "ProcessDefinitions": [{"id": "a", "serviceUrl": "http://a", "__typename": "ProcessDefinition"}]
    }
    found = answer("{ ProcessInstances(where: {state: {equal: COMPLETED}}) { id state nodes { name } } }", tables)
    assert found == {"ProcessInstances": [{"id": "2", "state": "COMPLETED", "nodes": [{"name": "Start"}]}]}
    found = answer("{ ProcessInstances(orderBy: {id: DESC}, pagination: {limit: 1}) { id } }", tables)
    assert found == {"ProcessInstances": [{"id": "2"}]}


@pytest.mark.parametrize(
    ("test", "passes"),
    [
        ({"like": "gr*ng"}, True),
        ({"like": "*et*"}, True),
        ({"like": "greet"}, False),
        ({"in": ["greeting"]}, True),
        ({"isNull": True}, False),
        ({"equal": "greeting", "like": "x*"}, False),
    ],
)
def test_where(test: Row, passes: bool) -> None:
    assert data_index.fits({"id": "greeting"}, {"id": test}) is passes


def test_events_become_rows() -> None:
    assert data_index.process_row({"processInstanceId": "1", "state": "ACTIVE"})["state"] == 1
    sql, values = data_index.upsert("jobs", "id", {"id": "1", "status": "S"})
    assert sql.endswith("ON CONFLICT (id) DO UPDATE SET status = COALESCE(EXCLUDED.status, jobs.status)")
    assert values == ["1", "S"]


OCI = "oci://registry.access.redhat.com/rhdh/red-hat-developer-hub-backstage-plugin-orchestrator-backend:{{inherit}}"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"package": "@redhat/backstage-plugin-orchestrator@1.8.9"}, "No integrity hash provided for Package @redhat/"),
        ({"package": "@redhat/x@1", "integrity": "nonsense"}, "must be a string of the form"),
        ({"package": "oci://registry.example.com/x"}, "neither a tag nor a digest"),
        ({"package": OCI}, "inherit"),
        ({}, "must have a string 'package'"),
    ],
)
def test_refused_plugins(entry: Row, text: str) -> None:
    with pytest.raises(install_plugins.InstallException, match=text):
        install_plugins.check(entry, {})


def test_accepted_plugins() -> None:
    install_plugins.check({"package": OCI}, {"CATALOG_INDEX_IMAGE": "x"})
    install_plugins.check({"package": "./dynamic-plugins/dist/x"}, {})
    install_plugins.check({"package": "@redhat/x@1"}, {"SKIP_INTEGRITY_CHECK": "true"})


def test_installed_plugins_decide_on_the_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_INDEX_IMAGE", "x")
    content = {
        "includes": [install_plugins.IMAGE_DEFAULT],
        "plugins": [{"package": OCI, "pluginConfig": {"a": {"b": 1}}}, {"package": "./x", "disabled": True}],
    }
    install_plugins.install(content, tmp_path, tmp_path, 0)
    plugins = hub.installed(tmp_path)
    assert plugins == ["red-hat-developer-hub-backstage-plugin-orchestrator-backend"]
    assert "backstage_plugin_orchestrator" in hub.databases(plugins)
    assert "backstage_plugin_orchestrator" not in hub.databases([])
    assert "b: 1" in (tmp_path / install_plugins.RESULT).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (
            "@redhat/backstage-plugin-orchestrator-backend-dynamic@1.8.9",
            "redhat-backstage-plugin-orchestrator-backend-dynamic",
        ),
        ("oci://quay.io/a/b:1.0!plugin", "plugin"),
        ("./dynamic-plugins/dist/backstage-plugin-notifications", "backstage-plugin-notifications"),
    ],
)
def test_plugin_directories(package: str, name: str) -> None:
    assert install_plugins.directory_name(package) == name


def test_tls_of_a_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "jdbc:postgresql://db.ns:5432/orch?currentSchema=s&sslmode=verify-full"
    assert _database.parse_url(f"{url}&sslrootcert=/etc/ca%20file", "u", "p").root_certificate == "/etc/ca file"
    assert _database.parse_url("jdbc:postgresql://db/orch", "u", "p").sslmode == "prefer"
    monkeypatch.setenv("QUARKUS_DATASOURCE_JDBC_ADDITIONAL_JDBC_PROPERTIES_SSLROOTCERT", "/etc/ca")
    target = _database.parse_url(url, "u", "p")
    assert (target.sslmode, target.root_certificate) == ("verify-full", "/etc/ca")


def test_tls_of_a_reactive_url_has_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    url, prefix = "postgresql://db.ns:5432/orch?search_path=s", "QUARKUS_DATASOURCE_REACTIVE_"

    def tls(more: str = "") -> tuple[str, str]:
        target = _database.parse_url(url + more, "u", "p")
        return target.sslmode, target.root_certificate

    assert tls() == ("disable", "")
    with pytest.raises(ValueError, match='unrecognized configuration parameter "sslrootcert"'):
        tls("&sslrootcert=/etc/ca")
    with pytest.raises(ValueError, match="Trust options"):
        tls("&sslmode=verify-full")
    monkeypatch.setenv(f"{prefix}TRUST_CERTIFICATE_PEM_CERTS", "/etc/ca")
    monkeypatch.setenv(f"{prefix}TRUST_CERTIFICATE_PEM", "true")
    assert tls("&sslmode=verify-ca") == ("verify-ca", "/etc/ca")
    with pytest.raises(ValueError, match="Host verification algorithm"):
        tls("&sslmode=verify-full")
    monkeypatch.setenv(f"{prefix}HOSTNAME_VERIFICATION_ALGORITHM", "HTTPS")
    monkeypatch.setenv(f"{prefix}POSTGRESQL_SSL_MODE", "verify-full")
    assert tls() == ("verify-full", "/etc/ca")
    monkeypatch.setenv(f"{prefix}TRUST_ALL", "true")
    assert tls() == ("require", "")


def test_settings_of_the_server_are_read_as_the_image_does(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("ssl = on # TLS\nssl_cert_file = '/certs/tls.crt'\n\n# max_connections = 5\n")
    (tmp_path / "b.conf").write_text("ssl=off\n")
    (tmp_path / "other.txt").write_text("jit = on\n")
    assert postgres.configuration(tmp_path) == {"ssl": "off", "ssl_cert_file": "/certs/tls.crt"}
    assert postgres.configuration(tmp_path / "missing") == {}


def test_database_credentials() -> None:
    assert postgres.credentials({"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p"}) == ("u", "p")
    assert postgres.credentials({"POSTGRESQL_ADMIN_PASSWORD": "a", "POSTGRES_PASSWORD": "p"}) == ("postgres", "a")
    with pytest.raises(ValueError, match="no password"):
        postgres.credentials({})
    environment = {"POSTGRESQL_USER": "u", "POSTGRESQL_PASSWORD": "it's", "POSTGRESQL_DATABASE": "d"}
    assert postgres.extra_statements(environment, "postgres") == [
        "CREATE ROLE \"u\" LOGIN PASSWORD 'it''s'",
        'CREATE DATABASE "d" OWNER "u"',
    ]
