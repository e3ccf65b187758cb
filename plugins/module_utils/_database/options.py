# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One description of a PostgreSQL database, for the Hub's own one and for external ones. PRIVATE to the collection.

Checks the description, renders it to what a SonataFlowPlatform wants (serviceRef, or jdbcUrl with the variables and the
volume that TLS needs), and judges the objects behind it. Pure functions over plain dicts.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import typing as t
from urllib.parse import quote

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import OBJECT_NAME
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING = ("verify-ca", "verify-full")
HUB_DATABASE = "backstage_plugin_orchestrator"
DEFAULT_PORT = 5432
CA_VOLUME, CA_DIRECTORY = "database-ca", "/etc/orchestrator/database-ca"
SERVICE_SUFFIX = {"data_index": "data-index-service", "job_service": "jobs-service"}
# What PostgreSQL keeps as it is without quotes. A quoted name works in SQL, but not in every tool that meets it here.
_PLAIN_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")
_SCHEMA_NAME = re.compile(r"^[a-z_][a-z0-9_-]{0,62}$")  # the operator's own default names have dashes
# Keywords that PostgreSQL (16 and 18) puts in quotes where they are names: quote_ident(word) <> word.
_KEYWORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
grouping having ilike in initially inner inout int integer intersect interval into is isnull join json json_array
json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value
lateral leading least left like limit localtime localtimestamp merge_action national natural nchar none normalize
not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision
primary real references returning right row select session_user setof similar smallint some substring symmetric
system_user table tablesample then time timestamp to trailing treat trim true union unique user using values varchar
variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces
xmlparse xmlpi xmlroot xmlserialize xmltable
"""
_QUOTED = frozenset(_KEYWORDS.split())
_KEY = re.compile(r"^[A-Za-z0-9._-]{1,253}$")  # of a Secret or a ConfigMap
_HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^\[?[0-9A-Fa-f:]+\]?$")


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Where the CA certificate of a server is: one key of a ConfigMap or of a Secret."""

    kind: str  # "config_map" or "secret"
    name: str
    key: str

    @property
    def path(self) -> str:
        """Where it is mounted in the services' containers."""
        return f"{CA_DIRECTORY}/{self.key}"

    def source(self) -> Object:
        """The `valueFrom` of a container variable that holds the certificate."""
        return {
            ("configMapKeyRef" if self.kind == "config_map" else "secretKeyRef"): {"name": self.name, "key": self.key}
        }

    def volume(self) -> Object:
        """The pod volume that holds the certificate."""
        if self.kind == "config_map":
            return {"name": CA_VOLUME, "configMap": {"name": self.name}}
        return {"name": CA_VOLUME, "secret": {"secretName": self.name}}


@dataclasses.dataclass(frozen=True)
class Database:
    """A database as the platform's services reach it. Holds the name of the Secret, never its values."""

    namespace: str  # of the services and of the Secret
    host: str
    port: int
    name: str
    secret: str
    user_key: str
    password_key: str
    service: str = ""  # name of the Service in the cluster, when it is one
    service_namespace: str = ""
    schemas: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    sslmode: str = ""
    ca: Certificate | None = None

    @property
    def address(self) -> str:
        """Host and port as a person reads them."""
        return f"{_bracketed(self.host)}:{self.port}"

    def schema(self, platform: str, service: str) -> str:
        """The schema of one of the platform's services (`data_index` or `job_service`)."""
        return self.schemas.get(service) or f"{platform}-{SERVICE_SUFFIX[service]}"

    def jdbc_url(self, platform: str, service: str) -> str:
        """The JDBC URL of one of the platform's services.

        The Job Service uses the same URL for its reactive driver, which hands unknown parameters to the server, and
        the server refuses those: the certificate's path is therefore only in Data Index's URL.
        """
        parameters = [("currentSchema", self.schema(platform, service))]
        if self.sslmode:
            parameters.append(("sslmode", self.sslmode))
        if self.ca and service == "data_index":
            parameters.append(("sslrootcert", self.ca.path))
        query = "&".join(f"{key}={quote(value, safe='-_./')}" for key, value in parameters)
        return f"jdbc:postgresql://{self.address}/{quote(self.name, safe='-_.')}?{query}"

    def persistence(self, platform: str, service: str) -> Object:
        """The `persistence.postgresql` block of one of the platform's services."""
        secret = {"name": self.secret, "userKey": self.user_key, "passwordKey": self.password_key}
        if not self.service or self.sslmode or self.ca:
            return {"secretRef": secret, "jdbcUrl": self.jdbc_url(platform, service)}
        reference = {
            "name": self.service,
            "namespace": self.service_namespace,
            "port": self.port,
            "databaseName": self.name,
        }
        if self.schemas.get(service):
            reference["databaseSchema"] = self.schemas[service]
        return {"secretRef": secret, "serviceRef": reference}

    def pod_template(self, platform: str, service: str) -> Object:
        """What TLS adds to a service's podTemplate; empty without TLS.

        Volumes and mounts take the place of the operator's own: whoever merges this adds its properties file again.
        """
        env: list[Object] = []
        template: Object = {}
        if service == "job_service" and self.sslmode:
            env.append({"name": "QUARKUS_DATASOURCE_REACTIVE_POSTGRESQL_SSL_MODE", "value": self.sslmode})
            if self.sslmode == "verify-full":
                env.append({"name": "QUARKUS_DATASOURCE_REACTIVE_HOSTNAME_VERIFICATION_ALGORITHM", "value": "HTTPS"})
            elif self.sslmode in ("allow", "prefer", "require"):
                env.append({"name": "QUARKUS_DATASOURCE_REACTIVE_TRUST_ALL", "value": "true"})
        if self.ca:
            if service == "job_service":
                prefix = "QUARKUS_DATASOURCE_REACTIVE_TRUST_CERTIFICATE_PEM"
                env.append({"name": prefix, "value": "true"})
                env.append({"name": f"{prefix}_CERTS", "value": self.ca.path})
                additional = "QUARKUS_DATASOURCE_JDBC_ADDITIONAL_JDBC_PROPERTIES_SSLROOTCERT"
                env.append({"name": additional, "value": self.ca.path})
            template["volumes"] = [self.ca.volume()]
            template["container"] = {
                "volumeMounts": [{"name": CA_VOLUME, "mountPath": CA_DIRECTORY, "readOnly": True}],
            }
        if env:
            template.setdefault("container", {})["env"] = env
        return template


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def hub_database(hub: str, namespace: str) -> Database:
    """Return the database that the Developer Hub operator prepares on its own PostgreSQL for the Orchestrator."""
    service = f"backstage-psql-{hub}"
    return Database(
        namespace=namespace,
        host=f"{service}.{namespace}.svc",
        port=DEFAULT_PORT,
        name=HUB_DATABASE,
        secret=f"backstage-psql-secret-{hub}",
        user_key="POSTGRES_USER",
        password_key="POSTGRES_PASSWORD",
        service=service,
        service_namespace=namespace,
    )


def problems(given: t.Mapping[str, t.Any], namespace: str) -> list[str]:
    """Return everything that is wrong with a description of an external database, as the user wrote it."""
    found: list[str] = []
    host, service = given.get("host"), given.get("service")
    if bool(host) == bool(service):
        found.append("database: give either host (any PostgreSQL) or service (a Service in the cluster), not both.")
    if host and not _HOST.match(host):
        found.append(f"database.host: {host!r} is not a host name or address (port and URL do not belong here).")
    if service and not OBJECT_NAME.fullmatch(service):
        found.append(f"database.service: {service!r} is not the name of a Service.")
    if given.get("service_namespace") and not service:
        found.append("database.service_namespace: says something only together with database.service.")
    port = given.get("port")
    if port is not None and not 1 <= port <= 65535:
        found.append(f"database.port: {port} is not between 1 and 65535.")
    name = given.get("name")
    if not name:
        found.append("database.name: the name of the database is missing.")
    else:
        found += name_problems("database.name", name)
        if name in ("template0", "template1"):
            found.append(f"database.name: {name} is what PostgreSQL copies new databases from; use another one.")
    schemas = {key: value for key, value in (given.get("schemas") or {}).items() if value}
    for key, value in schemas.items():
        found += name_problems(f"database.schemas.{key}", value, dashes=True)
        if value.startswith("pg_"):
            found.append(f"database.schemas.{key}: names that begin with pg_ are PostgreSQL's own.")
    if len(set(schemas.values())) < len(schemas):
        found.append("database.schemas: Data Index and Job Service need different schemas.")
    found += _reference_problems(given.get("secret") or {}, namespace)
    found += _tls_problems(given)
    return found


def _reference_problems(secret: t.Mapping[str, t.Any], namespace: str) -> list[str]:
    """Return what is wrong with the reference to the Secret with user and password."""
    found: list[str] = []
    if not secret.get("name"):
        found.append("database.secret.name: the Secret with user and password is missing.")
    elif not OBJECT_NAME.fullmatch(secret["name"]):
        found.append(f"database.secret.name: {secret['name']!r} is not the name of a Secret.")
    if secret.get("namespace") and secret["namespace"] != namespace:
        found.append(
            f"database.secret.namespace: pods read Secrets of their own namespace only; copy it to {namespace}."
        )
    defaults = {"user_key": "POSTGRES_USER", "password_key": "POSTGRES_PASSWORD"}
    keys = {option: secret.get(option) or default for option, default in defaults.items()}
    for option, key in keys.items():
        if not _KEY.match(key):
            found.append(f"database.secret.{option}: {key!r} cannot be a key of a Secret.")
    if keys["user_key"] == keys["password_key"]:
        found.append(f"database.secret: user_key and password_key are the same ({keys['user_key']}).")
    return found


def name_problems(option: str, name: str, *, dashes: bool = False) -> list[str]:
    """Return what is wrong with a name that PostgreSQL must take without quotes; `dashes` as in a search_path."""
    if not (_SCHEMA_NAME if dashes else _PLAIN_NAME).match(name):
        letters = "a-z, 0-9, _ and -" if dashes else "a-z, 0-9, _"
        return [f"{option}: {name!r} would need quotes in PostgreSQL; use {letters} (up to 63, no digit first)."]
    if name in _QUOTED:
        return [f"{option}: {name!r} is a keyword and would need quotes in PostgreSQL; use another name."]
    return []


def _tls_problems(given: t.Mapping[str, t.Any]) -> list[str]:
    found = []
    mode, ca = given.get("sslmode"), given.get("ca") or {}
    if mode and mode not in SSL_MODES:
        found.append(f"database.sslmode: {mode!r} is unknown; one of {', '.join(SSL_MODES)}.")
    if ca:
        names = [ca[kind] for kind in ("config_map", "secret") if ca.get(kind)]
        if len(names) != 1:
            found.append("database.ca: give either config_map or secret.")
        found += [
            f"database.ca: {name!r} cannot be an object's name." for name in names if not OBJECT_NAME.fullmatch(name)
        ]
        if ca.get("key") and not _KEY.match(ca["key"]):
            found.append(f"database.ca.key: {ca['key']!r} cannot be a key of a ConfigMap or Secret.")
        if mode and mode not in VERIFYING:
            found.append(f"database.ca: sslmode {mode} does not verify the server; use verify-full (or verify-ca).")
    elif mode in VERIFYING:
        found.append(f"database.ca: sslmode {mode} needs the CA certificate that signed the server's.")
    return found


def describe(given: t.Mapping[str, t.Any], namespace: str) -> Database:
    """Return the database of a description without problems. With a CA, sslmode is verify-full unless given."""
    service = given.get("service") or ""
    home = given.get("service_namespace") or namespace
    secret, ca = given["secret"], given.get("ca")
    certificate = None
    if ca:
        kind = "config_map" if ca.get("config_map") else "secret"
        certificate = Certificate(kind, ca[kind], ca.get("key") or "ca.crt")
    return Database(
        namespace=namespace,
        host=(given.get("host") or f"{service}.{home}.svc").strip("[]"),
        port=given.get("port") or DEFAULT_PORT,
        name=given["name"],
        secret=secret["name"],
        user_key=secret.get("user_key") or "POSTGRES_USER",
        password_key=secret.get("password_key") or "POSTGRES_PASSWORD",
        service=service,
        service_namespace=home if service else "",
        schemas={key: value for key, value in (given.get("schemas") or {}).items() if value},
        sslmode=given.get("sslmode") or ("verify-full" if ca else ""),
        ca=certificate,
    )


# -- judging objects --------------------------------------------------------------------------------------------------


def secret_problems(secret: Object | None, database: Database) -> list[str]:
    """Return what is wrong with the Secret of a database: missing, a key missing, or a key empty. Never a value."""
    where = f"Secret {database.namespace}/{database.secret}"
    if secret is None:
        return [f"{where} does not exist."]
    data = secret.get("data") or {}
    found = []
    for key in (database.user_key, database.password_key):
        if key not in data:
            found.append(f"{where} has no key {key} (it has {', '.join(sorted(data)) or 'no keys'}).")
        elif not _decoded(data[key]).strip():
            found.append(f"{where}: key {key} is empty.")
    return found


def certificate_problems(holder: Object | None, certificate: Certificate, namespace: str) -> list[str]:
    """Return what is wrong with the object that holds the CA: missing, key missing, or not PEM."""
    kind = "ConfigMap" if certificate.kind == "config_map" else "Secret"
    where = f"{kind} {namespace}/{certificate.name}"
    if holder is None:
        return [f"database.ca: {where} does not exist."]
    data = holder.get("data") or {}
    if certificate.key not in data:
        return [f"database.ca: {where} has no key {certificate.key} (it has {', '.join(sorted(data)) or 'no keys'})."]
    text = data[certificate.key] if certificate.kind == "config_map" else _decoded(data[certificate.key])
    return [] if is_pem(text) else [f"database.ca: {where}, key {certificate.key}, is not a PEM certificate."]


def is_pem(text: str) -> bool:
    """Tell whether a text is one or more PEM certificates by its shape."""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----\s*(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    try:
        return bool(blocks) and all(base64.b64decode("".join(block.split()), validate=True) for block in blocks)
    except (binascii.Error, ValueError):
        return False


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def database_options() -> Object:
    """Return the argument spec of the option `database`."""
    text: Object = {"type": "str"}
    return {
        "type": "dict",
        "options": {
            "host": text,
            "service": text,
            "service_namespace": text,
            "port": {"type": "int", "default": DEFAULT_PORT},
            "name": text,
            "schemas": {"type": "dict", "options": {"data_index": text, "job_service": text}},
            "secret": {
                "type": "dict",
                "no_log": False,
                "options": {
                    "name": text,
                    "namespace": text,
                    "user_key": {"type": "str", "default": "POSTGRES_USER", "no_log": False},
                    "password_key": {"type": "str", "default": "POSTGRES_PASSWORD", "no_log": False},
                },
            },
            "sslmode": text,
            "ca": {
                "type": "dict",
                "options": {
                    "config_map": text,
                    "secret": {"type": "str", "no_log": False},
                    "key": {"type": "str", "default": "ca.crt", "no_log": False},
                },
            },
        },
    }
