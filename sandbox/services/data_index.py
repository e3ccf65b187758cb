"""Stand-in for the Data Index: health pages, GraphQL over its tables in PostgreSQL, and the sinks that fill them.

Settings: services.data-index.{fail,start_seconds,unhealthy,graphql_error}; the last is a text that every query is
answered with.
"""

from __future__ import annotations

import json
import typing as t

import graphql
from aiohttp import web

from sandbox.services import _common, _database, _quarkus, _schema

STATES = ("PENDING", "ACTIVE", "COMPLETED", "ABORTED", "SUSPENDED", "ERROR")

SDL = """
scalar DateTime
scalar JSON
enum OrderBy { ASC DESC }
enum ProcessInstanceState { PENDING ACTIVE COMPLETED ABORTED SUSPENDED ERROR }
input Pagination { limit: Int offset: Int }
input StringArgument { equal: String in: [String] like: String isNull: Boolean }
input StateArgument { equal: ProcessInstanceState in: [ProcessInstanceState] }
input ProcessDefinitionArgument { id: StringArgument version: StringArgument name: StringArgument }
input ProcessInstanceArgument {
  id: StringArgument processId: StringArgument processName: StringArgument businessKey: StringArgument
  parentProcessInstanceId: StringArgument rootProcessInstanceId: StringArgument state: StateArgument }
input JobArgument { id: StringArgument processId: StringArgument processInstanceId: StringArgument
  status: StringArgument }
input ProcessDefinitionOrderBy { id: OrderBy version: OrderBy name: OrderBy }
input ProcessInstanceOrderBy { id: OrderBy processId: OrderBy processName: OrderBy state: OrderBy start: OrderBy
  end: OrderBy lastUpdate: OrderBy businessKey: OrderBy }
input JobOrderBy { id: OrderBy status: OrderBy expirationTime: OrderBy }
type ProcessDefinition { id: String! version: String name: String type: String source: String endpoint: String
  serviceUrl: String description: String metadata: JSON }
type NodeInstance { id: String! name: String type: String enter: DateTime exit: DateTime definitionId: String
  nodeId: String }
type ProcessInstance { id: String! processId: String! processName: String version: String
  state: ProcessInstanceState! businessKey: String endpoint: String serviceUrl: String start: DateTime end: DateTime
  lastUpdate: DateTime parentProcessInstanceId: String rootProcessInstanceId: String variables: JSON
  nodes: [NodeInstance!]! }
type Job { id: String! processId: String processInstanceId: String status: String! expirationTime: DateTime
  endpoint: String retries: Int lastUpdate: DateTime }
type Query {
  ProcessDefinitions(where: ProcessDefinitionArgument, orderBy: ProcessDefinitionOrderBy, pagination: Pagination):
    [ProcessDefinition]
  ProcessInstances(where: ProcessInstanceArgument, orderBy: ProcessInstanceOrderBy, pagination: Pagination):
    [ProcessInstance]
  Jobs(where: JobArgument, orderBy: JobOrderBy, pagination: Pagination): [Job]
}
"""
# Names in GraphQL that are not simply the column's name in camel case.
RENAMED = {"start_time": "start", "end_time": "end", "last_update_time": "lastUpdate"}

Row = dict[str, t.Any]


def camel(name: str) -> str:
    """Return the GraphQL name of a column."""
    first, *rest = name.split("_")
    return RENAMED.get(name, first + "".join(part.capitalize() for part in rest))


def to_graphql(row: t.Mapping[str, t.Any]) -> Row:
    """Return a table's row as the schema names it."""
    found = {camel(key): value.isoformat() if hasattr(value, "isoformat") else value for key, value in row.items()}
    if isinstance(found.get("state"), int):
        found["state"] = STATES[found["state"]]
    if found.get("endpoint"):
        found["serviceUrl"] = found["endpoint"].rpartition("/")[0]
    return found


def fits(row: t.Mapping[str, t.Any], where: t.Mapping[str, t.Any]) -> bool:
    """Return whether a row passes the `where` argument; several operators are joined by and."""
    for name, test in where.items():
        value = row.get(name)
        if "equal" in test and value != test["equal"]:
            return False
        if "in" in test and value not in test["in"]:
            return False
        if "like" in test and not _like(str(value or ""), test["like"]):
            return False
        if "isNull" in test and (value is None) != test["isNull"]:
            return False
    return True


def _like(value: str, pattern: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return value == pattern
    if not value.startswith(first) or not value.endswith(rest[-1]):
        return False
    position = len(first)
    for part in rest[:-1]:
        position = value.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return position <= len(value) - len(rest[-1])


def choose(rows: list[Row], arguments: t.Mapping[str, t.Any]) -> list[Row]:
    """Apply `where`, `orderBy` and `pagination` of a query."""
    found = [row for row in rows if fits(row, arguments.get("where") or {})]
    for name, direction in reversed(list((arguments.get("orderBy") or {}).items())):
        found.sort(key=lambda row: (row.get(name) is None, str(row.get(name))), reverse=direction == "DESC")
    page = arguments.get("pagination") or {}
    first = page.get("offset") or 0
    return found[first : first + page["limit"]] if page.get("limit") else found[first:]


def build_schema(query: t.Callable[..., t.Awaitable[list[Row]]]) -> graphql.GraphQLSchema:
    """Return the executable schema; `query(sql, values)` reads the tables."""
    schema = graphql.build_schema(SDL)

    def resolver(table: str) -> t.Callable[..., t.Awaitable[list[Row]]]:
        async def resolve(_root: object, _info: object, **arguments: t.Any) -> list[Row]:
            rows = await query(f"SELECT * FROM {table} ORDER BY id")
            return choose([to_graphql(row) for row in rows], arguments)

        return resolve

    async def nodes(instance: Row, _info: object) -> list[Row]:
        rows = await query("SELECT * FROM nodes WHERE process_instance_id = %s ORDER BY enter", [instance["id"]])
        return [to_graphql(row) for row in rows]

    assert schema.query_type is not None
    for name, table in (("ProcessDefinitions", "definitions"), ("ProcessInstances", "processes"), ("Jobs", "jobs")):
        schema.query_type.fields[name].resolve = resolver(table)
    instance = t.cast(graphql.GraphQLObjectType, schema.type_map["ProcessInstance"])
    instance.fields["nodes"].resolve = nodes
    return schema


def state_number(value: t.Any) -> int | None:
    """Return a state as the tables keep it; events carry the number or the name. Raises ValueError."""
    if value is None or isinstance(value, int):
        return value
    return STATES.index(str(value).upper())


def definition_row(data: t.Mapping[str, t.Any]) -> Row:
    """Return the row of a process definition event. Raises KeyError without an id."""
    return {
        "id": data["id"],
        "version": data.get("version") or "1.0",
        "name": data.get("name"),
        "type": data.get("type"),
        "source": data.get("source"),
        "endpoint": data.get("endpoint"),
        "description": data.get("description"),
        "metadata": json.dumps(data.get("metadata") or {}),
    }


def process_row(data: t.Mapping[str, t.Any]) -> Row:
    """Return the row of a process instance event. Raises KeyError without an id, ValueError for an unknown state."""
    return {
        "id": data.get("processInstanceId") or data["id"],
        "process_id": data.get("processId"),
        "process_name": data.get("processName"),
        "version": data.get("processVersion") or data.get("version"),
        "state": state_number(data.get("state")),
        "business_key": data.get("businessKey"),
        "endpoint": data.get("endpoint"),
        "start_time": data.get("startDate") or data.get("start"),
        "end_time": data.get("endDate") or data.get("end"),
        "last_update_time": data.get("eventDate") or data.get("lastUpdate"),
        "parent_process_instance_id": data.get("parentInstanceId"),
        "root_process_instance_id": data.get("rootProcessInstanceId"),
        "variables": json.dumps(data.get("variables") or {}),
    }


def job_row(data: t.Mapping[str, t.Any]) -> Row:
    """Return the row of a job event. Raises KeyError without an id."""
    return {
        "id": data["id"],
        "process_id": data.get("processId") or data.get("rootProcessId"),
        "process_instance_id": data.get("processInstanceId"),
        "status": data.get("status") or "SCHEDULED",
        "expiration_time": data.get("expirationTime"),
        "endpoint": data.get("endpoint") or data.get("callbackEndpoint"),
        "retries": data.get("retries"),
        "last_update": data.get("lastUpdate"),
    }


SINKS: dict[str, tuple[str, t.Callable[[t.Mapping[str, t.Any]], Row]]] = {
    "/definitions": ("id, version", definition_row),
    "/processes": ("id", process_row),
    "/jobs": ("id", job_row),
}


def upsert(table: str, key: str, row: Row) -> tuple[str, list[t.Any]]:
    """Return statement and values that store a row; what a later event leaves out is kept."""
    columns = ", ".join(row)
    places = ", ".join(["%s"] * len(row))
    changes = ", ".join(f"{name} = COALESCE(EXCLUDED.{name}, {table}.{name})" for name in row if name not in key)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT ({key}) DO UPDATE SET {changes}"
    return sql, list(row.values())


def application(pool: _database.Pool) -> web.Application:
    """Return the server over an open database."""
    schema = build_schema(pool.query)

    async def ready(_request: web.Request) -> web.Response:
        alive = await pool.alive() and not _common.switch("data-index", "unhealthy")
        return _common.health({"Database connections health check": alive, "data-index": True})

    async def live(_request: web.Request) -> web.Response:
        return _common.health({"data-index": True})

    async def answer(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            text = body["query"]
        except (ValueError, KeyError, TypeError):
            return web.json_response({"errors": [{"message": "the body has no query"}]}, status=400)
        trouble = _common.switch("data-index", "graphql_error")
        if trouble:
            return web.json_response({"errors": [{"message": trouble}], "data": {"ProcessDefinitions": None}})
        result = await graphql.graphql(
            schema, text, variable_values=body.get("variables"), operation_name=body.get("operationName")
        )
        return web.json_response(result.formatted)

    async def sink(request: web.Request) -> web.Response:
        key, to_row = SINKS[request.path]
        try:
            event = await request.json()
            # Structured events wrap the data; binary ones have them as the body and the rest in headers.
            data = event["data"] if isinstance(event, dict) and "specversion" in event else event
            for item in data if isinstance(data, list) else [data]:
                await pool.query(*upsert(request.path.strip("/"), key, to_row(item)))
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"message": f"not an event that belongs here: {error!r}"}, status=400)
        except _database.FAILURES as error:
            return web.json_response({"message": str(error).splitlines()[0]}, status=500)
        return web.Response(status=202)

    server = web.Application(client_max_size=8 << 20)
    server.router.add_get("/q/health/ready", ready)
    server.router.add_get("/q/health/live", live)
    server.router.add_get("/q/health", ready)
    server.router.add_post("/graphql", answer)
    for path in SINKS:
        server.router.add_post(path, sink)
    return server


def main() -> None:
    """Connect or crash, then serve."""
    target = _quarkus.datasource("data-index", _schema.DATA_INDEX)
    _common.say("INFO", "io.quarkus", "data-index started. Listening on: http://0.0.0.0:8080")
    _common.serve(application(_database.Pool(target)), 8080)


if __name__ == "__main__":
    main()
