"""What an address says of itself at its root."""

import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import Counter

from framework.errors import Forbidden, InvariantBroken, VenueUnavailable
from framework.model.desk import VenueHealth, Verb
from framework.server.door import Answer, Call, DoorContext, RefusalKind, Refused, Route
from framework.server.probes import STATUSES, Probes, Problem
from framework.simulation.loop import run_simulated
from tests.framework.server.door_stage import (
    NotingDesk,
    NotingDoor,
    Stage,
    listener,
    staged,
    token,
)

PATHS = ("/livez", "/readyz", "/health", "/metrics", "/openapi.json")


def play(script: Callable[[Stage], Awaitable[None]], *listeners: Any, **options: Any) -> None:
    async def main() -> None:
        async with staged(*listeners, **options) as stage:
            await script(stage)

    run_simulated(main)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand for what makes the document; return what it is asked."""
    found: list[dict[str, Any]] = []

    def document(doors: Any, **options: Any) -> dict[str, Any]:
        found.append({"doors": [(prefix, one.name) for prefix, one in doors], **options})
        return {"openapi": "3.1.0"}

    module = ModuleType("framework.server.openapi")
    module.document = document  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "framework.server.openapi", module)
    monkeypatch.setattr("framework.server.openapi", module, raising=False)
    return found


def test_on_this_machine_everything_can_be_read(asked: list[dict[str, Any]]) -> None:
    async def script(stage: Stage) -> None:
        Counter("orders", "How many", registry=stage.registry).inc()

        assert (await stage.ask("GET", "/livez", None))[:2] == (200, {"status": "ok"})
        status, body, _ = await stage.ask("GET", "/health", None)
        assert (status, body) == (
            200,
            {
                "status": "ok",
                "version": "1.2.3",
                "doors": [{"door": "noting", "prefix": "", "works": True}],
                "venues": [{"venue": "binance", "connected": True, "stale": []}],
            },
        )
        status, text, headers = await stage.ask("GET", "/metrics", None)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
        assert b"orders_total 1.0" in text
        for _ in range(2):
            assert (await stage.ask("GET", "/openapi.json", None))[1] == {"openapi": "3.1.0"}

    play(script)

    assert asked == [
        {
            "doors": [("", "noting"), ("", "server")],
            "title": "Headrace",
            "version": "1.2.3",
            "server_url": "/",
        }
    ]


def test_what_a_venue_lacks_is_told() -> None:
    async def script(stage: Stage) -> None:
        for health in (
            VenueHealth("binance", is_simulated=True, is_connected=False),
            VenueHealth("binance", is_simulated=True, is_connected=True, stale=("X",)),
        ):
            stage.desk.states = [health]
            status, body, _ = await stage.ask("GET", "/health", None)
            assert (status, body["status"]) == (200, "degraded")

    play(script)


def test_from_elsewhere_the_description_needs_a_token_of_any_door(
    asked: list[dict[str, Any]],
) -> None:
    async def script(stage: Stage) -> None:
        host = {"Host": "127.0.0.1"}
        for path in PATHS:
            expected = 401 if path == "/openapi.json" else 200
            assert (await stage.ask("GET", path, None, headers=host))[0] == expected
            assert (await stage.ask("GET", path, "bad", headers=host))[0] == expected
            assert (await stage.ask("GET", path, "other", headers=host))[0] == 200

    address = listener(token("all"), listen="0.0.0.0:80", is_insecure=True, prefix="/a")
    second = listener(token("other"), prefix="/b").doors
    address.doors.extend(second)
    play(script, address)


def test_a_door_may_say_it_in_its_own_words() -> None:
    class Own(NotingDoor):
        def __init__(self, desk: NotingDesk, context: DoorContext) -> None:
            super().__init__(desk, context)
            self.routes = [
                *self.routes,
                Route("GET", "/livez", self.own, None, {200: Any}, "", is_root=True),
            ]

        async def own(self, _: Call) -> Answer:
            return Answer("own")

    async def script(stage: Stage) -> None:
        assert (await stage.ask("GET", "/livez", None))[1] == "own"
        assert (await stage.ask("GET", "/readyz", None))[1]["ready"]

    play(script, listener(token("all"), prefix="/a"), make=Own)


def test_an_address_without_metrics_has_none() -> None:
    stage = Probes(
        [],
        NotingDesk(),  # type: ignore[arg-type]
        registry=None,
        document=dict,
        is_stopping=lambda: False,
        is_private=True,
        version="",
    )

    assert [route.path for route in stage.routes] == [
        "/livez",
        "/readyz",
        "/health",
        "/openapi.json",
    ]
    assert all(route.verb is None for route in stage.routes)


@pytest.mark.parametrize("kind", RefusalKind)
def test_every_refusal_has_a_status(kind: RefusalKind) -> None:
    answer = refusing().refuse(Refused(kind, "no", field="here"))

    assert answer == Answer(Problem(kind.value, "no", "here"), STATUSES[kind])


def test_other_errors_have_one_as_well() -> None:
    door = refusing()

    assert door.refuse(Forbidden("no")).status == 403
    assert door.refuse(VenueUnavailable("secret")).body == Problem("unavailable", "try again later")
    assert door.refuse(InvariantBroken("secret")).body == Problem("internal", "internal error")
    assert door.refuse(ValueError("secret")).status == 500


def test_the_description_needs_the_right_to_read() -> None:
    async def script(stage: Stage) -> None:
        host = {"Host": "127.0.0.1"}
        assert (await stage.ask("GET", "/openapi.json", "blind", headers=host))[0] == 403

    blind = token("blind", verbs=[Verb.MARKET])
    play(script, listener(blind, listen="0.0.0.0:80", is_insecure=True))


def refusing() -> Probes:
    return Probes(
        [],
        NotingDesk(),  # type: ignore[arg-type]
        registry=None,
        document=dict,
        is_stopping=lambda: False,
        is_private=False,
        version="",
    )


def test_the_real_document_describes_every_route() -> None:
    async def script(stage: Stage) -> None:
        status, found, _ = await stage.ask("GET", "/openapi.json", None)

        assert status == 200
        assert {"/orders", "/orders/{order_id}", "/livez", "/metrics"} <= set(found["paths"])

    play(script)
