"""Tables of the two services, created by themselves at start or by the migration Job."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

DATA_INDEX = """
CREATE TABLE IF NOT EXISTS definitions (
  id text NOT NULL, version text NOT NULL, name text, type text, source text, endpoint text, description text,
  metadata jsonb NOT NULL DEFAULT '{}', PRIMARY KEY (id, version));
CREATE TABLE IF NOT EXISTS processes (
  id text PRIMARY KEY, process_id text, process_name text, version text, state integer, business_key text,
  endpoint text, start_time timestamptz, end_time timestamptz, last_update_time timestamptz,
  parent_process_instance_id text, root_process_instance_id text, variables jsonb NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS nodes (
  id text PRIMARY KEY, process_instance_id text, definition_id text, node_id text, name text, type text,
  enter timestamptz, exit timestamptz);
CREATE TABLE IF NOT EXISTS jobs (
  id text PRIMARY KEY, process_id text, process_instance_id text, status text, expiration_time timestamptz,
  endpoint text, retries integer, last_update timestamptz);
"""
JOBS_SERVICE = """
CREATE TABLE IF NOT EXISTS job_details (
  id text PRIMARY KEY, status text NOT NULL, body jsonb NOT NULL, created timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS job_service_management (id text PRIMARY KEY, last_heartbeat timestamptz);
"""


def migrate(connection: psycopg.Connection[t.Any], schema: str, tables: str) -> None:
    """Create the schema and its tables where they are missing. Raises psycopg.Error."""
    # Two replicas may come at the same time; CREATE ... IF NOT EXISTS alone can then fail.
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [schema])
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))
        connection.execute(tables)
