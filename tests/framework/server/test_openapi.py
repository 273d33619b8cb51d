import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from msgspec import Meta

from framework.model.desk import Verb
from framework.server.door import Answer, Call, Pacer, Route
from framework.server.openapi import document


class Side(Enum):
    BUY = "BUY"
    SELL = "SELL"


class Ticket(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for."""

    symbol: Annotated[str, Meta(min_length=1, max_length=50, pattern="^[A-Z]+$")]
    side: Side
    quantity: Decimal
    limit_price: Annotated[Decimal, Meta(description="the worst price")] | None = None


class Order(msgspec.Struct):
    id: str
    ticket: Ticket


class Wanted(msgspec.Struct):
    limit: Annotated[int, Meta(ge=1, le=500, description="at most so many")]
    symbol: list[str] = []
    side: Side | None = None
    above: Decimal | None = None
    since: int | str | None = None


class Refusal(msgspec.Struct):
    code: str
    message: str


async def handler(call: Call) -> Answer:
    return Answer()


def route(method: str, path: str, verb: Verb | None = Verb.READ, **options: Any) -> Route:
    options = {"answers": {200: Order}, "summary": path} | options
    return Route(method, path, handler, verb, **options)


REFUSALS = dict.fromkeys((400, 401, 403, 404, 405, 413, 415, 429, 500, 503), Refusal)


class Desk:
    """As much of a door as the document needs."""

    name = "desk"
    pacer: Pacer | None = None
    refusals: Mapping[int, type] = REFUSALS
    token_headers: Sequence[str] = ("X-API-Key",)
    routes: Sequence[Route] = (
        route("GET", "/v1/orders", answers={200: list[Order]}, query=Wanted),
        route("POST", "/v1/orders", Verb.TRADE, answers={201: Order, 409: Refusal}, body=Ticket),
        route("DELETE", "/v1/orders/{order_id}", Verb.REDUCE, answers={204: None}),
        route("PATCH", "/v1/orders/{order_id}", Verb.TRADE, body=Ticket, needs_body=False),
        route("GET", "/v1/ws", Verb.MARKET, answers={}, has_own_reader=True),
        route("GET", "/v1/events", answers={}, has_own_reader=True, media_type="text/event-stream"),
        route("GET", "/live", None, is_root=True, answers={200: Refusal, 503: Refusal}),
        route("GET", "/metrics", None, answers={200: bytes}, media_type="text/plain"),
        route("GET", "/v1/raw", answers={200: bytes}),
    )

    def refuse(self, error: BaseException) -> Answer:
        return Answer()

    async def run(self) -> None: ...

    async def leave(self) -> None: ...


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document([("/api", Desk())], title="Gateway", version="1.2", server_url="http://h:1")


def operation(made: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = made["paths"][path][method]
    return found


def test_it_says_what_and_where(made: dict[str, Any]) -> None:
    assert made["openapi"] == "3.1.0"
    assert made["info"] == {"title": "Gateway", "version": "1.2"}
    assert made["servers"] == [{"url": "http://h:1"}]


def test_paths_have_their_prefix_unless_they_are_the_roots(made: dict[str, Any]) -> None:
    assert list(made["paths"]) == [
        "/api/metrics",
        "/api/v1/events",
        "/api/v1/orders",
        "/api/v1/orders/{order_id}",
        "/api/v1/raw",
        "/api/v1/ws",
        "/live",
    ]


def test_query_members_become_parameters(made: dict[str, Any]) -> None:
    parameters = operation(made, "get", "/api/v1/orders")["parameters"]

    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name["limit"] == {
        "name": "limit",
        "in": "query",
        "required": True,
        "description": "at most so many",
        "schema": {"type": "integer", "minimum": 1, "maximum": 500},
    }
    assert by_name["symbol"]["style"] == "form"
    assert by_name["symbol"]["explode"] is False
    assert by_name["symbol"]["required"] is False
    assert by_name["symbol"]["schema"]["items"] == {"type": "string"}
    assert by_name["side"]["schema"] == {"$ref": "#/components/schemas/Side"}
    assert {"type": "number"} in by_name["above"]["schema"]["anyOf"]
    assert by_name["since"]["schema"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "Wanted" not in made["components"]["schemas"]


def test_path_parameters_are_required_text(made: dict[str, Any]) -> None:
    assert operation(made, "delete", "/api/v1/orders/{order_id}")["parameters"] == [
        {
            "name": "order_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
    ]


def test_bodies_are_required_or_not(made: dict[str, Any]) -> None:
    wanted = {"application/json": {"schema": {"$ref": "#/components/schemas/Ticket"}}}

    assert operation(made, "post", "/api/v1/orders")["requestBody"] == {
        "required": True,
        "content": wanted,
    }
    assert operation(made, "patch", "/api/v1/orders/{order_id}")["requestBody"] == {
        "required": False,
        "content": wanted,
    }
    assert "requestBody" not in operation(made, "get", "/api/v1/orders")


def test_patterns_and_bounds_of_members_show(made: dict[str, Any]) -> None:
    ticket = made["components"]["schemas"]["Ticket"]

    assert ticket["properties"]["symbol"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 50,
        "pattern": "^[A-Z]+$",
    }
    assert ticket["required"] == ["symbol", "side", "quantity"]
    assert ticket["additionalProperties"] is False


@pytest.mark.parametrize(
    ("value", "is_right"),
    [("1.5", True), (1.5, True), ("-1e-8", True), (".5", True), ("", False), ("1,5", False)],
)
def test_a_decimal_is_text_or_a_number(made: dict[str, Any], value: Any, is_right: bool) -> None:
    schema = made["components"]["schemas"]["Ticket"]["properties"]["quantity"]

    assert jsonschema_rs.is_valid(schema, value) is is_right
    if is_right:
        assert msgspec.json.decode(json.dumps(value), type=Decimal) == Decimal(str(value))


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("get", "/api/v1/orders", "200 400 401 403 404 413 429 500 503"),
        ("post", "/api/v1/orders", "201 400 401 403 404 409 413 415 429 500 503"),
        ("delete", "/api/v1/orders/{order_id}", "204 400 401 403 404 405 413 429 500 503"),
        ("get", "/api/v1/ws", "101 400 401 403 413 429 500 503"),
        ("get", "/api/v1/events", "200 400 401 403 413 429 500 503"),
        ("get", "/live", "200 400 403 413 429 500 503"),
    ],
)
def test_answers_are_those_of_the_route_and_refusals_that_apply(
    made: dict[str, Any], method: str, path: str, statuses: str
) -> None:
    assert list(operation(made, method, path)["responses"]) == statuses.split()


def test_answers_have_their_types_and_headers(made: dict[str, Any]) -> None:
    answers = operation(made, "get", "/api/v1/orders")["responses"]

    assert answers["200"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Order"},
    }
    assert list(answers["400"]["headers"]) == ["X-Correlation-ID"]
    assert list(answers["429"]["headers"]) == ["Retry-After", "X-Correlation-ID"]
    nothing = operation(made, "delete", "/api/v1/orders/{order_id}")["responses"]["204"]
    assert "content" not in nothing


def test_other_media_types_are_text(made: dict[str, Any]) -> None:
    def content(path: str) -> Any:
        return operation(made, "get", path)["responses"]["200"]["content"]

    assert content("/api/metrics") == {"text/plain": {"schema": {"type": "string"}}}
    assert content("/api/v1/events") == {"text/event-stream": {"schema": {"type": "string"}}}
    assert content("/api/v1/raw") == {"application/json": {"schema": {}}}


def test_who_needs_a_token_is_told_how_to_show_it(made: dict[str, Any]) -> None:
    guarded = operation(made, "post", "/api/v1/orders")

    assert guarded["security"] == [{"bearer": []}, {"X-API-Key": []}]
    assert guarded["description"] == "Needs a token that allows to trade."
    assert operation(made, "get", "/live")["security"] == []
    assert made["components"]["securitySchemes"] == {
        "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }


def test_operations_have_names_of_their_own() -> None:
    class Twins(Desk):
        routes: Sequence[Route] = (
            route("GET", "/a-b"),
            route("GET", "/a/b"),
            route("GET", "/a/{b}"),
        )

    made = document([("", Twins())], title="t", version="1", server_url="/")

    names = [one["get"]["operationId"] for one in made["paths"].values()]
    assert sorted(names) == ["get_a_b", "get_a_b_2", "get_a_b_3"]


def test_a_query_struct_that_is_a_body_too_stays_described() -> None:
    class Both(Desk):
        routes: Sequence[Route] = (route("GET", "/a", query=Refusal),)

    made = document([("", Both())], title="t", version="1", server_url="/")

    assert "Refusal" in made["components"]["schemas"]


def test_the_same_doors_make_the_same_text(made: dict[str, Any]) -> None:
    again = document([("/api", Desk())], title="Gateway", version="1.2", server_url="http://h:1")

    assert json.dumps(again) == json.dumps(made)


def test_the_document_is_valid(made: dict[str, Any]) -> None:
    for name, schema in made["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name
    for reference in references(made):
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]

    loaded = schemathesis.openapi.from_dict(made)
    loaded.validate()
    operations = list(loaded.get_all_operations())

    assert [type(one).__name__ for one in operations] == ["Ok"] * 9


def references(value: Any) -> Iterator[str]:
    """Yield every reference in a document."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)
