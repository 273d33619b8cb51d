"""The OpenAPI 3.1 document of doors, from the same routes and types that decode and answer.

Source: https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from framework.model.desk import Verb
from framework.server.door import Door, Route
from framework.server.second_factor import HEADER

Json = dict[str, Any]
Mounted = Sequence[tuple[str, Door]]

JSON = "application/json"
EVENTS = "text/event-stream"
REFERENCE = "#/components/schemas/{name}"
WITH_TOKEN = frozenset({401})  # 403 too says that a host or origin may not
WITH_BODY = frozenset({415})  # 413 also says that a request's line and headers are too large
WITH_NAMES = frozenset({404})  # whatever is named may not be there
WITH_PARAMETER = frozenset({405})  # an odd value makes another path, and that another operation
WITH_PAUSE = frozenset({429, 503})  # answers that say when to try again

DECIMAL: Json = {  # what msgspec takes for a Decimal
    "anyOf": [
        {
            "type": "string",
            "format": "decimal",
            "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$",
            "maxLength": 100,
        },
        {"type": "number"},
    ]
}
HEADERS: Json = {
    "X-Correlation-ID": {
        "description": "the caller's own, or a new one: to find a request in the log",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "seconds after which to try again",
        "schema": {"type": "integer", "minimum": 0},
    },
}


def document(doors: Mounted, *, title: str, version: str, server_url: str) -> Json:
    """Return the document of doors with their prefixes, its keys sorted.

    Raises:
        TypeError: a type of a route cannot be described.
    """
    schemas = _Schemas(doors)
    paths: dict[str, Json] = {}
    names: Counter[str] = Counter()
    for prefix, door in doors:
        for route in door.routes:
            path = route.path if route.is_root else prefix + route.path
            operation = _Operation(door, route, path, schemas).described()
            name = operation["operationId"]
            names[name] += 1
            if names[name] > 1:  # paths that differ in signs alone
                operation["operationId"] = f"{name}_{names[name]}"
            paths.setdefault(path, {})[route.method.lower()] = operation
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server_url}],
        "tags": [{"name": name} for name in sorted({door.name for _, door in doors})],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": _security_schemes(doors),
            "headers": HEADERS,
        },
    }
    ordered = _ordered(made)
    assert isinstance(ordered, dict)
    return ordered


class _Schemas:
    """The schemas of all types of all routes; those of query structs are not among `components`."""

    def __init__(self, doors: Mounted) -> None:
        types, queries = _types(doors)
        found, components = msgspec.json.schema_components(
            [*types.values(), *queries.values()], ref_template=REFERENCE
        )
        keys = [*types, *(f"query {key}" for key in queries)]
        self._of = {key: _with_decimals(schema) for key, schema in zip(keys, found, strict=True)}
        self.components: Json = {name: _with_decimals(one) for name, one in components.items()}
        self._queries = {key: self.components[_name(self._of[f"query {key}"])] for key in queries}
        bodies = {_name(self._of[key]) for key in types}
        for key in queries:
            name = _name(self._of[f"query {key}"])
            if name not in bodies:
                self.components.pop(name, None)

    def of(self, kind: Any) -> Json:
        """Return the schema of a body."""
        if kind is bytes:  # encoded already, by whoever knows what it is
            return {}
        schema: Json = self._of[repr(kind)]
        return schema

    def query(self, kind: type) -> Json:
        """Return the schema of a query struct, its members among it."""
        schema: Json = self._queries[repr(kind)]
        return schema


class _Operation:
    """One route as an operation."""

    def __init__(self, door: Door, route: Route, path: str, schemas: _Schemas) -> None:
        self._door = door
        self._route = route
        self._path = path
        self._schemas = schemas
        self._path_parameters = re.findall(r"{(\w+)}", path)

    def described(self) -> Json:
        """Return the operation object."""
        route = self._route
        operation: Json = {
            "operationId": _operation_id(route.method, self._path),
            "summary": route.summary,
            "tags": [self._door.name],
            "responses": {str(status): answer for status, answer in self._answers()},
        }
        if parameters := [*self._in_path(), *self._in_query(), *self._in_header()]:
            operation["parameters"] = parameters
        if route.body is not None:
            operation["requestBody"] = {
                "required": route.needs_body,
                "content": {JSON: {"schema": self._schemas.of(route.body)}},
            }
        if route.verb is None:
            operation["security"] = []
        else:
            operation["description"] = f"Needs a token that allows to {route.verb.value}."
            names = ["bearer", *self._door.token_headers]
            operation["security"] = [{name: []} for name in names]
        return operation

    def _in_path(self) -> Iterator[Json]:
        for name in self._path_parameters:
            schema = {"type": "string", "minLength": 1}
            yield {"name": name, "in": "path", "required": True, "schema": schema}

    def _in_query(self) -> Iterator[Json]:
        if self._route.query is None:
            return
        schema = self._schemas.query(self._route.query)
        required = schema.get("required", [])
        for name, member in schema["properties"].items():
            parameter: Json = {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": _without_null(member),
            }
            if description := parameter["schema"].pop("description", ""):
                parameter["description"] = description
            if parameter["schema"].get("type") == "array":
                parameter |= {"style": "form", "explode": False}
            yield parameter

    def _in_header(self) -> Iterator[Json]:
        if self._route.verb is Verb.ADMIN:
            what = "The token's second secret, where it has one"
            schema = {"type": "string"}
            yield {"name": HEADER, "in": "header", "description": what, "schema": schema}

    def _answers(self) -> Iterator[tuple[int, Json]]:
        route = self._route
        for status, kind in self._refusals().items():
            if status not in route.answers:
                yield status, self._answer(status, kind, JSON)
        for status, kind in route.answers.items():
            media_type = route.media_type if status < 400 else JSON
            yield status, self._answer(status, kind, media_type)
        if route.has_own_reader and not any(status < 400 for status in route.answers):
            is_events = route.media_type == EVENTS
            yield (200, self._answer(200, str, EVENTS)) if is_events else (101, _switch())

    def _refusals(self) -> Mapping[int, type]:
        """Return the refusals that this route may answer with."""
        route = self._route
        without: set[int] = set()
        if route.verb is None:
            without |= WITH_TOKEN
        if route.body is None:
            without |= WITH_BODY
        if not self._path_parameters:
            without |= WITH_PARAMETER
            if route.query is None and route.body is None:
                without |= WITH_NAMES
        refusals = self._door.refusals
        return {status: kind for status, kind in refusals.items() if status not in without}

    def _answer(self, status: int, kind: Any, media_type: str) -> Json:
        names = ["X-Correlation-ID", *(["Retry-After"] if status in WITH_PAUSE else [])]
        answer: Json = {
            "description": HTTPStatus(status).phrase,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        }
        if kind is not None:
            is_json = media_type == JSON
            schema = self._schemas.of(kind) if is_json else {"type": "string"}
            answer["content"] = {media_type: {"schema": schema}}
        return answer


def _types(doors: Mounted) -> tuple[dict[str, Any], dict[str, type]]:
    """Return the types of bodies and of queries, each once, by their own names."""
    types: dict[str, Any] = {}
    queries: dict[str, type] = {}
    for _, door in doors:
        for kind in door.refusals.values():
            types[repr(kind)] = kind
        for route in door.routes:
            if route.query is not None:
                queries[repr(route.query)] = route.query
            for kind in (route.body, *route.answers.values()):
                if kind is not None and kind is not bytes:
                    types[repr(kind)] = kind
    return types, queries


def _security_schemes(doors: Mounted) -> Json:
    schemes: Json = {"bearer": {"type": "http", "scheme": "bearer"}}
    for _, door in doors:
        for header in door.token_headers:
            schemes[header] = {"type": "apiKey", "in": "header", "name": header}
    return schemes


def _switch() -> Json:
    return {"description": "Switching Protocols: a WebSocket"}


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path)
    return "_".join([method.lower(), *words])


def _name(schema: Json) -> str:
    """Return the name of what a schema refers to, "" if it says all itself."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _with_decimals(schema: Any) -> Any:
    """Return a schema in which a decimal may be text or a number."""
    if isinstance(schema, list):
        return [_with_decimals(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and schema.get("format") == "decimal":
        rest = {name: one for name, one in schema.items() if name not in ("type", "format")}
        return DECIMAL | rest
    return {name: _with_decimals(one) for name, one in schema.items()}


def _without_null(schema: Json) -> Json:
    """Return the schema of what may stand in a query, where there is no null."""
    kept = {name: one for name, one in schema.items() if (name, one) != ("default", None)}
    options = [one for one in kept.get("anyOf", []) if one != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        kept |= options[0]
    elif options:
        kept["anyOf"] = options
    return kept


def _ordered(value: Any) -> Any:
    """Return a value with the keys of its objects sorted."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_ordered(one) for one in value]
    return value
