"""The API's description, where it is wanted (spec 7.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.tektii.server_account import AccountRoutes
from adapters.tektii.server_document import (
    DOCUMENT_PATH,
    PAGE_PATH,
    DocumentRoutes,
    lines_of,
    page_of,
)
from adapters.tektii.server_errors import REFUSALS, answer_to
from adapters.tektii.server_markets import MarketRoutes
from adapters.tektii.server_settings import GatewaySettings
from adapters.tektii.server_system import SystemRoutes
from framework.model.desk import Verb
from framework.server.door import Answer, Pacer, Route
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import FakeDesk
from tests.adapters.tektii.gateway_rig import Caller, place_of

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "A <b>", "version": "1"},
    "paths": {
        "/v1/x/{id}": {
            "parameters": [{"name": "id"}],
            "get": {"summary": "Shows <x> & more", "responses": {"200": {}, "404": {}}},
        },
        "/y": {"delete": {"responses": {"204": {}}}},
    },
}


class ReadingDoor:
    """A door of the reading routes, and its own description."""

    name = "tektii"
    refusals: Mapping[int, type] = REFUSALS
    token_headers: Sequence[str] = ("X-API-Key",)
    pacer: Pacer | None = None

    def __init__(self, *, swagger: bool) -> None:
        place = place_of(FakeDesk(), settings=GatewaySettings(swagger=swagger))
        self.documents = DocumentRoutes(place, self)
        self.routes: Sequence[Route] = [
            *AccountRoutes(place).routes(),
            *MarketRoutes(place).routes(),
            *SystemRoutes(place).routes(),
            *self.documents.routes(),
        ]

    def refuse(self, error: BaseException) -> Answer:
        return answer_to(error)

    async def run(self) -> None: ...

    async def leave(self) -> None: ...


def test_nothing_is_offered_where_it_is_not_wanted() -> None:
    assert ReadingDoor(swagger=False).documents.routes() == []


def test_both_are_behind_the_key() -> None:
    routes = ReadingDoor(swagger=True).documents.routes()

    assert {route.path: route.verb for route in routes} == {
        DOCUMENT_PATH: Verb.READ,
        PAGE_PATH: Verb.READ,
    }


def test_the_document_describes_every_operation_itself_included() -> None:
    async def scenario() -> None:
        door = ReadingDoor(swagger=True)
        caller = Caller(door.routes)

        document = await caller.get(DOCUMENT_PATH)

        described = {
            (method.upper(), path)
            for path, operations in document["paths"].items()
            for method in operations
        }
        assert {(route.method, route.path) for route in door.routes} <= described
        assert document["info"]["version"] == "1.2.3"
        assert await caller.get(DOCUMENT_PATH) == document

    run_simulated(scenario)


def test_the_page_shows_every_operation_and_fetches_nothing() -> None:
    async def scenario() -> None:
        door = ReadingDoor(swagger=True)

        answer = await Caller(door.routes).answer("GET", PAGE_PATH)

        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        page = answer.body.decode()
        for route in door.routes:
            assert f"<code>{route.path}</code>" in page
        assert "<script" not in page
        assert "src=" not in page

    run_simulated(scenario)


def test_operations_are_listed_and_nothing_else_of_a_path() -> None:
    first, second = lines_of(DOCUMENT)

    assert "<b>GET</b><code>/v1/x/{id}</code> Shows &lt;x&gt; &amp; more" in first
    assert "200, 404" in first
    assert "<b>DELETE</b><code>/y</code>" in second


def test_no_text_of_the_document_becomes_html() -> None:
    page = page_of(DOCUMENT)

    assert "<title>A &lt;b&gt; 1</title>" in page
    assert "<x>" not in page
