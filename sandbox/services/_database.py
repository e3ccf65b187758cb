"""Connections to PostgreSQL from the URLs and variables that a pod was given."""

from __future__ import annotations

import asyncio
import os
import socket
import typing as t
import urllib.parse
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from sandbox import net


@dataclass(frozen=True)
class Target:
    """A database to connect to. The password never appears in its repr."""

    host: str
    port: int
    database: str
    schema: str
    user: str
    password: str
    sslmode: str = "prefer"  # the driver's default
    root_certificate: str = ""  # path in the container

    def __repr__(self) -> str:
        return f"Target({self.user}@{self.host}:{self.port}/{self.database}, schema {self.schema!r})"


def parse_url(url: str, user: str, password: str) -> Target:
    """Read `jdbc:postgresql://host:port/database?currentSchema=s` or the reactive form with `search_path`.

    Raises ValueError for another form, and for what the reactive driver does not accept.
    """
    text = url.removeprefix("jdbc:").removeprefix("vertx-reactive:")
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise ValueError(f"not a PostgreSQL URL: {url}")
    options = urllib.parse.parse_qs(parts.query)
    schema = (options.get("currentSchema") or options.get("search_path") or ["public"])[0].split(",")[0]
    database = urllib.parse.unquote(parts.path.strip("/")) or user
    if url.startswith("jdbc:"):
        mode = options.get("sslmode", ["prefer"])[0]
        # Job Service takes the path from a variable: in its URL the reactive driver would hand it to the server.
        variable = os.environ.get("QUARKUS_DATASOURCE_JDBC_ADDITIONAL_JDBC_PROPERTIES_SSLROOTCERT", "")
        certificate = options.get("sslrootcert", [variable])[0]
    else:
        mode, certificate = _reactive_tls(options)
    return Target(parts.hostname, parts.port or 5432, database, schema, user, password, mode, certificate)


REACTIVE = "QUARKUS_DATASOURCE_REACTIVE_"


def _reactive_tls(options: t.Mapping[str, list[str]]) -> tuple[str, str]:
    """Return mode and CA of the reactive driver, which has its own variables, and in its own words what it refuses."""
    for name in options:
        if name not in ("search_path", "sslmode"):
            raise ValueError(f'FATAL: unrecognized configuration parameter "{name}"')
    mode = os.environ.get(f"{REACTIVE}POSTGRESQL_SSL_MODE") or options.get("sslmode", ["disable"])[0]
    if mode not in ("verify-ca", "verify-full"):
        return mode, ""
    if os.environ.get(f"{REACTIVE}TRUST_ALL") == "true":
        return "require", ""
    pem = os.environ.get(f"{REACTIVE}TRUST_CERTIFICATE_PEM") == "true"
    certificate = os.environ.get(f"{REACTIVE}TRUST_CERTIFICATE_PEM_CERTS", "") if pem else ""
    if not certificate:
        raise ValueError("Trust options must be specified under verify-full or verify-ca sslmode")
    if mode == "verify-full" and not os.environ.get(f"{REACTIVE}HOSTNAME_VERIFICATION_ALGORITHM"):
        raise ValueError("Host verification algorithm must be specified under verify-full sslmode")
    return mode, certificate


def explain(target: Target, error: Exception) -> str:
    """Return a one-line cause in the words of the PostgreSQL driver for Java, without any secret."""
    if isinstance(error, net.NameNotResolved):
        if "refused" in str(error):
            return f"org.postgresql.util.PSQLException: Connection to {target.host}:{target.port} refused."
        return f"java.net.UnknownHostException: {target.host}"
    text = str(error)
    for line in text.splitlines():
        if "FATAL:" in line:
            return f"org.postgresql.util.PSQLException: FATAL: {line.partition('FATAL:')[2].strip()}"
    if "certificate verify failed" in text:
        path = "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path"
        return f"org.postgresql.util.PSQLException: SSL error: PKIX path building failed: {path} to requested target"
    if "does not match host name" in text:
        verifier = "could not be verified by hostnameverifier PgjdbcHostnameVerifier."
        return f"org.postgresql.util.PSQLException: The hostname {target.host} {verifier}"
    if "refused" in text:
        return f"org.postgresql.util.PSQLException: Connection to {target.host}:{target.port} refused."
    return f"org.postgresql.util.PSQLException: The connection attempt failed: {text.splitlines()[0] if text else ''}"


FAILURES = (OSError, psycopg.Error)


def _parameters(target: Target) -> dict[str, t.Any]:
    address, port = net.resolve(target.host, target.port)
    tls = {}
    if target.root_certificate:
        tls["sslrootcert"] = os.environ.get("SANDBOX_ROOT", "") + target.root_certificate
    return {
        "host": target.host,  # a certificate is for the name
        "hostaddr": socket.gethostbyname(address),
        "port": port,
        **tls,
        "dbname": target.database,
        "user": target.user,
        "password": target.password,
        "connect_timeout": 5,
        "sslmode": target.sslmode,
        "application_name": os.environ.get("POD_NAME", "sandbox"),
        "options": f"-c search_path={urllib.parse.quote(target.schema)}",
    }


def connect(target: Target) -> psycopg.Connection[dict[str, t.Any]]:
    """Open one connection that commits by itself. Raises one of FAILURES."""
    return psycopg.connect(**_parameters(target), autocommit=True, row_factory=dict_row)


class Pool:
    """One connection for a server, opened again when it is lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[dict[str, t.Any]] | None = None

    async def query(self, sql: str, values: t.Sequence[t.Any] = ()) -> list[dict[str, t.Any]]:
        """Run one statement and return its rows. Raises one of FAILURES."""
        async with self._lock:
            for last in (False, True):
                if self._connection is None or self._connection.closed:
                    self._connection = await psycopg.AsyncConnection.connect(
                        **_parameters(self._target), autocommit=True, row_factory=dict_row
                    )
                try:
                    cursor = await self._connection.execute(sql, values)
                    return await cursor.fetchall() if cursor.description else []
                except psycopg.OperationalError:
                    # The server was restarted meanwhile: once more on a new connection.
                    await self._connection.close()
                    if last:
                        raise
        raise AssertionError("not reached")

    async def alive(self) -> bool:
        """Return whether the database answers within two seconds."""
        try:
            async with asyncio.timeout(2):
                await self.query("SELECT 1")
        except (*FAILURES, TimeoutError):
            return False
        return True
