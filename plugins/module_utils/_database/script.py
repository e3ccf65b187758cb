# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script of the database Job, and what its answers mean. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

FREE_CONNECTIONS = 40  # that the two services may take with the default size of their pools, 20 each
FULL = 0.85  # of a volume, from which on it is warned of
SCRIPT = r"""
set -u
export LC_ALL=C
errors=$(mktemp)
answers=$(mktemp)
# The answers are in the pod's status too: they can be read when the pod is gone, and without the right to read logs.
trap 'head -c 4000 "$answers" > "${TERMINATION_LOG:-/dev/termination-log}"' EXIT
if [ -n "${CA_CERTIFICATE:-}" ]; then
  PGSSLROOTCERT=$(mktemp)
  printf '%s\n' "$CA_CERTIFICATE" > "$PGSSLROOTCERT"
  export PGSSLROOTCERT
fi
tell() { printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ' | cut -c 1-1000)"; }
say() { tell "$1" "$2" | tee -a "$answers"; }
stop() { say detail "$2"; say failure "$1"; exit 1; }
# libpq does not tell why a certificate is not accepted; openssl does, where the image has it.
certificate() {
  command -v openssl > /dev/null || return 0
  case $PGHOST in *:*) address="[$PGHOST]:$PGPORT" ;; *) address=$PGHOST:$PGPORT ;; esac
  timeout 10 openssl s_client -starttls postgres -connect "$address" -CAfile "${PGSSLROOTCERT:-/dev/null}" 2>&1 \
    < /dev/null | sed -n 's/.*verify error:num=[0-9]*://p' | head -n 1
}
base=$DATABASE
end=$(($(date +%s) + RETRY_SECONDS))
told=
# Run a statement in a database; what heals by itself (a restart, a full connection table) is tried again until $end.
run() {
  while ! answer=$(printf '%s\n' "$2" | psql -X -q -A -t -v ON_ERROR_STOP=1 -v name="$DATABASE" -v item="${3:-}" \
    -d "$1" 2> "$errors"); do
    problem=$(tr '\n' ' ' < "$errors")
    case $problem in
    *refused* | *'starting up'* | *'shutting down'* | *'recovery mode'* | *'not yet accepting'* | \
      *'could not translate'* | *'timeout expired'* | *'No route'* | *unreachable* | *'closed the connection'* | \
      *'terminating connection'* | *'connection to server was lost'* | *'reset by peer'* | \
      *'too many clients'* | *'connection slots'* | *'too many connections'*)
      [ "$(date +%s)" -lt "$end" ] || return 1
      [ "$problem" = "$told" ] || tell waiting "$problem"
      told=$problem
      sleep 1 ;;
    *) return 1 ;;
    esac
  done
}
server="select current_setting('server_version_num') || ' ' || current_setting('server_version')"
until run "$base" "$server"; do
  case $problem in
  *'database "'*'" does not exist'*)
    [ "$base" = "$DATABASE" ] && [ "$base" != "$MAINTENANCE" ] || stop connection "$problem"
    base=$MAINTENANCE ;;
  *'certificate verify failed'*) cause=$(certificate); stop connection "$problem${cause:+ ($cause)}" ;;
  *) stop connection "$problem" ;;
  esac
done
say server_version "${answer#* }"
[ "${answer%% *}" -ge "${MINIMUM}0000" ] || stop old "PostgreSQL ${answer#* } is older than $MINIMUM"
case $(run "$base" '\conninfo' && printf '%s' "$answer") in
*'SSL connection ('* | *'SSL Connection|true'*) say tls yes ;;
*) say tls no ;;
esac
created=no
if [ "$base" = "$DATABASE" ]; then
  say existed yes
else
  say existed no
  run "$base" "select case when rolcreatedb or rolsuper then 'yes' else 'no' end from pg_roles
    where rolname = current_user" || stop query "$problem"
  say createdb "$answer"
  [ "$CREATE" = yes ] || stop missing "database $DATABASE does not exist"
  [ "$answer" = yes ] || stop createdb "database $DATABASE does not exist and $PGUSER may not create it"
  create="create database :\"name\" encoding 'UTF8' template template0"
  run "$base" "$create" || case $problem in
  *'does not match locale'*) run "$base" "$create lc_collate 'C' lc_ctype 'C'" ;;
  *) false ;;
  esac && created=yes || case $problem in *'already exists'*) ;; *) stop create "$problem" ;; esac
fi
say created "$created"
run "$DATABASE" "select 'encoding=' || pg_encoding_to_char(d.encoding)
  || E'\nowner=' || pg_get_userbyid(d.datdba)
  || E'\nuser=' || current_user
  || E'\nmay_create_schemas=' || has_database_privilege(d.oid, 'create')
  || E'\nread_only=' || pg_is_in_recovery()
  || E'\nsize_bytes=' || pg_database_size(d.oid)
  || E'\nall_bytes=' || (select sum(pg_database_size(oid)) from pg_database
    where has_database_privilege(oid, 'connect'))
  || E'\nmax_connections=' || (current_setting('max_connections')::int
    - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::int end)
  || E'\nconnections=' || (select count(*) from pg_stat_activity where backend_type = 'client backend')
  || E'\nconnection_limit=' || coalesce(least(nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1))::text, '')
  from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user" ||
  stop query "$problem"
facts=$(printf '%s\n' "$answer")
[ -n "$facts" ] || stop query "nothing is known of the database"
printf '%s\n' "$facts" | tee -a "$answers"
case $facts in *encoding=UTF8*) ;; *) stop encoding "database $DATABASE is not in UTF8" ;; esac
case $facts in *read_only=true*) stop readonly "PostgreSQL is a standby and read-only" ;; esac
for schema in $SCHEMAS; do
  run "$DATABASE" "select case when has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage')
    then 'yes' else 'no' end from pg_namespace where nspname = :'item'" "$schema" || stop query "$problem"
  case $answer in
  yes) say "schema.$schema" existed; continue ;;
  no) stop schema "user $PGUSER may not use schema $schema, or make tables in it" ;;
  esac
  case $facts in
  *may_create_schemas=true*) ;;
  *) stop schemas "user $PGUSER may not create schema $schema in database $DATABASE" ;;
  esac
  case " $WANTED " in
  *" $schema "*) ;;
  *) say "schema.$schema" later; continue ;;
  esac
  [ "$CREATE" = yes ] || stop schema_missing "schema $schema does not exist"
  run "$DATABASE" "create schema if not exists :\"item\"" "$schema" || stop create "$problem"
  say "schema.$schema" created
done
say done yes
"""
# Part of libpq's text, reason, remedy. The first match counts.
_FIREWALL = "Check NetworkPolicies (both namespaces), egress rules and firewalls."
_CAUSES = (
    (
        "could not translate host name",
        "NameNotResolved",
        "Check the host name; from the namespace it does not resolve.",
    ),
    ("Connection refused", "Refused", "Nothing listens at that address and port, or a firewall rejects it."),
    ("No route to host", "ServerUnreachable", _FIREWALL),
    ("unreachable", "ServerUnreachable", _FIREWALL),
    ("timeout expired", "ServerUnreachable", _FIREWALL),
    ("starting up", "StartingUp", "PostgreSQL did not finish starting in time: see its pod's log."),
    ("recovery mode", "StartingUp", "PostgreSQL did not finish its recovery in time: see its log."),
    ("not yet accepting", "StartingUp", "PostgreSQL did not finish its recovery in time: see its log."),
    ("password authentication failed", "LoginRefused", "The server knows another password than the Secret holds."),
    ("no password supplied", "LoginRefused", "The Secret's password is empty."),
    ("certificate has expired", "CertificateExpired", "Renew the server's certificate."),
    ("certificate is not yet valid", "CertificateNotYetValid", "Check the clocks of server and nodes."),
    ("does not match host name", "CertificateWrongName", "Use the name in the server's certificate as host."),
    (
        "certificate verify failed",
        "CertificateNotTrusted",
        "Give the CA that signed the server's certificate, and look whether one of the two has expired.",
    ),
    ("root certificate file", "CertificateNotTrusted", "Give the CA of the server (database.ca)."),
    ("does not support SSL", "NoTls", "The server offers no TLS: switch it on there, or set sslmode."),
    (
        "no pg_hba.conf entry",
        "HostRefused",
        "The server's pg_hba.conf allows no such login: look at user, database, address, and TLS (database.sslmode).",
    ),
    ("pg_hba.conf rejects", "HostRefused", "The server's pg_hba.conf rejects such a login (user, database, TLS)."),
    ("not currently accepting connections", "DatabaseClosed", "ALTER DATABASE ... ALLOW_CONNECTIONS true."),
    ("too many", "ConnectionsFull", "Raise max_connections or the role's connection limit, or free connections."),
    ("connection slots", "ConnectionsFull", "Raise max_connections or the role's limit, or free connections."),
    ("No space left", "DiskFull", "Free room on the server's volume, or enlarge it."),
    ("could not extend file", "DiskFull", "Free room on the server's volume, or enlarge it."),
    ("read-only", "ReadOnly", "Give the address of the primary server: this one is a standby."),
    ("permission denied for database", "NoConnectRight", "GRANT CONNECT, CREATE on the database to the user."),
    ("permission denied to create database", "NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create it beforehand."),
    ("permission denied", "NoRight", "GRANT CREATE on the database to the user."),
    ("is not permitted to log in", "LoginRefused", "ALTER ROLE ... LOGIN, or name another user in the Secret."),
    ('role "', "LoginRefused", "Create the user on the server, or correct the Secret."),
    ("closed the connection", "ConnectionLost", "Look at the server's log: it ends connections at once."),
    ("terminating connection", "ConnectionLost", "PostgreSQL was stopped and did not come back in time."),
    ("does not exist", "DatabaseMissing", "Name a database that one can log in to: maintenance_database."),
)
_FAILURES = {
    "old": ("ServerTooOld", "Upgrade PostgreSQL, or use another server (option minimum_version)."),
    "missing": ("DatabaseMissing", "Create the database, or let this module do it (create: true)."),
    "createdb": ("NoCreateDatabase", "ALTER ROLE ... CREATEDB, or create the database beforehand."),
    "encoding": (
        "WrongEncoding",
        "Name another database, which is then made in UTF8; the encoding of an existing one cannot be changed.",
    ),
    "readonly": ("ReadOnly", "Give the address of the primary server: this one is a standby."),
    "schema": ("NoSchemaRight", "GRANT USAGE, CREATE ON SCHEMA to the user, or make the user its owner."),
    "schemas": ("NoCreateSchema", "GRANT CREATE ON DATABASE to the user, or create the schema for it."),
    "schema_missing": ("SchemaMissing", "Create the schema, or let this module do it (create: true)."),
}


def read(log: str) -> dict[str, str]:
    """Return the `key=value` lines of the Job's log."""
    return dict(line.split("=", 1) for line in log.splitlines() if "=" in line and " " not in line.partition("=")[0])


def classify(failure: str, detail: str) -> tuple[str, str]:
    """Return (reason, remedy) for what the Job reports."""
    if failure in _FAILURES:
        return _FAILURES[failure]
    for part, reason, remedy in _CAUSES:
        if part in detail:
            return reason, remedy
    return "DatabaseError", "See the message of PostgreSQL."


def facts_of(answers: t.Mapping[str, str]) -> Object:
    """Return what the Job found, with types. Sizes are bytes."""
    facts: Object = {
        "existed": answers.get("existed") == "yes",
        "created": answers.get("created") == "yes",
        "server_version": answers.get("server_version", ""),
        "encoding": answers.get("encoding", ""),
        "owner": answers.get("owner", ""),
        "tls": answers.get("tls") == "yes",
        "schemas": {key[7:]: value for key, value in answers.items() if key.startswith("schema.")},
    }
    for key in ("size_bytes", "all_bytes", "max_connections", "connections", "connection_limit"):
        if answers.get(key, "").isdigit():
            facts[key] = int(answers[key])
    return facts


def warnings_of(facts: Object, volume_bytes: int = 0) -> list[str]:
    """Return what will hurt later though the connection works. `volume_bytes` is the server's volume, if known."""
    found = []
    used, limit = facts.get("connections"), facts.get("max_connections")
    if used is not None and limit is not None and limit - used < FREE_CONNECTIONS:
        found.append(
            f"Only {max(0, limit - used)} of {limit} connections are free; the two services may take 20 each: raise "
            "max_connections, or make their pools smaller."
        )
    own = facts.get("connection_limit")
    if own is not None and own < FREE_CONNECTIONS:
        found.append(f"The user or the database is limited to {own} connections; the two services may take 20 each.")
    taken = facts.get("all_bytes")
    if volume_bytes and taken and taken > FULL * volume_bytes:
        found.append(
            f"The databases take {taken / 2**20:.0f} MiB of the volume's {volume_bytes / 2**20:.0f} MiB, the "
            "write-ahead log not counted: enlarge the volume before PostgreSQL stops."
        )
    return found
