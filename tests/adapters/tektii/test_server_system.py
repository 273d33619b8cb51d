"""What a gateway says of itself: capabilities, links, breakers, probes (spec 14, 15, 18)."""

from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest

from adapters.tektii.server_capabilities import asset_classes
from adapters.tektii.server_settings import GatewaySettings, Place
from adapters.tektii.server_system import SystemRoutes, breakers_body
from framework.errors import JournalError
from framework.model.desk import (
    ALL_VERBS,
    READ_ONLY,
    Breaker,
    Principal,
    VenueHealth,
    Verb,
    View,
)
from framework.model.desk import Place as DeskPlace
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.market_data import Quote
from framework.settings.server import LimitSettings
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import APPLE, BITCOIN, OWNER, START_NS, FakeDesk
from tests.adapters.tektii.gateway_rig import Caller, TransportTime, place_of, shown

CAPABILITIES, STATUS = "/v1/capabilities", "/v1/status"
BREAKERS, RESET = "/v1/circuit-breakers", "/v1/circuit-breakers/reset"


def caller_of(place: Place, principal: Principal = OWNER) -> Caller:
    return Caller(SystemRoutes(place).routes(), principal)


def health_of(desk: FakeDesk, **changes: Any) -> None:
    """Change how the venue stands."""
    desk.venues = [msgspec.structs.replace(desk.venues[0], **changes)]


# -- capabilities ------------------------------------------------------------------------------


def test_the_mock_has_what_its_row_of_section_15_says_and_what_the_core_adds() -> None:
    async def scenario() -> None:
        assert await caller_of(place_of(FakeDesk())).get(CAPABILITIES) == {
            "supported_asset_classes": ["STOCK", "FOREX", "CRYPTO"],
            "supported_order_types": ["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"],
            "position_mode": "NETTING",
            "features": [
                "bracket_orders",
                "oco",
                "trailing_stop",
                "reduce_only",
                "post_only",
                "get_quote",
                "short_selling",
            ],
            "rate_limits": {"requests_per_minute": 300_000, "orders_per_second": 5_000},
        }

    run_simulated(scenario)


def test_a_real_venue_is_asked_what_it_has_and_short_selling_is_not_promised() -> None:
    async def scenario() -> None:
        desk = FakeDesk([BITCOIN])
        health_of(desk, is_simulated=False)
        place = place_of(
            desk,
            settings=GatewaySettings(platforms={"mock": "binance-spot-live"}),
            limits=LimitSettings(requests_per_s=1.5),
        )

        found = await caller_of(place).get(CAPABILITIES)

        assert found["supported_asset_classes"] == ["CRYPTO"]
        assert "short_selling" not in found["features"]
        assert found["rate_limits"] == {"requests_per_minute": 90, "orders_per_second": 1}

    run_simulated(scenario)


def test_futures_can_be_sold_short_wherever_they_are() -> None:
    async def scenario() -> None:
        desk = FakeDesk([Instrument("mock:ES", kind=InstrumentKind.FUTURE)])
        health_of(desk, is_simulated=False)
        place = place_of(desk, settings=GatewaySettings(platforms={"mock": "cme"}))

        found = await caller_of(place).get(CAPABILITIES)

        assert found["supported_asset_classes"] == ["FUTURES"]
        assert "short_selling" in found["features"]

    run_simulated(scenario)


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (Instrument("v:BTCUSDT", currency="USDT", base="BTC"), "CRYPTO"),
        (Instrument("v:BTC/USD"), "CRYPTO"),
        (Instrument("v:ETHUSD", base="ETHUSD"), "CRYPTO"),
        (Instrument("v:SOMEUSDT", currency="USDT", base="SOME"), "CRYPTO"),
        (Instrument("v:DOGEUSDC"), "CRYPTO"),
        (Instrument("v:EURUSD", base="EUR"), "FOREX"),
        (Instrument("v:EUR_USD"), "FOREX"),
        (Instrument("v:USDJPY", currency="JPY"), "FOREX"),
        (Instrument("v:XAUUSD"), "FOREX"),
        (Instrument("v:AAPL", base="AAPL"), "STOCK"),
        (Instrument("v:SAP", currency="EUR"), "STOCK"),
        (Instrument("v:EUR"), "STOCK"),
        (Instrument("v:ES-2026", kind=InstrumentKind.FUTURE), "FUTURES"),
        (Instrument("v:BTC-PERP", kind=InstrumentKind.PERPETUAL), "FUTURES"),
        (Instrument("v:RAIN", kind=InstrumentKind.BINARY), None),
        (Instrument("v:AAPL-C", kind=InstrumentKind.OPTION), None),
    ],
)
def test_the_asset_class_of_an_instrument(instrument: Instrument, expected: str | None) -> None:
    assert asset_classes([instrument]) == ({expected} if expected else set())


# -- status ------------------------------------------------------------------------------------


def test_status_tells_of_the_newest_price_and_how_long_it_took() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        for delay_ms, instrument in ((900, APPLE), (25, BITCOIN)):
            came_ns = START_NS - delay_ms * 1_000_000
            desk.emit(Quote(instrument.id, came_ns - delay_ms * 1_000_000, came_ns, 1.0, 1.1))

        assert await caller_of(place_of(desk)).get(STATUS) == {
            "connected": True,
            "latency_ms": 25,
            "last_heartbeat": "2026-03-02T14:39:59.975Z",
        }

    run_simulated(scenario)


def test_status_without_prices_tells_when_the_link_was_heard_of() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        caller = caller_of(place_of(desk))

        assert (await caller.get(STATUS))["last_heartbeat"] == "2026-03-02T14:40:00Z"
        health_of(desk, time_ns=0)  # recorded data: no link
        desk.clock.advance_to(START_NS + 1_000_000_000)
        assert (await caller.get(STATUS))["last_heartbeat"] == "2026-03-02T14:40:01Z"
        health_of(desk, is_connected=False)
        assert await caller.get(STATUS) == {
            "connected": False,
            "latency_ms": 0,
            "last_heartbeat": "1970-01-01T00:00:00Z",
        }

    run_simulated(scenario)


def test_a_clock_of_the_venue_that_is_ahead_makes_no_negative_latency() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.emit(Quote(APPLE.id, START_NS + 5_000_000, START_NS, 1.0, 1.1))

        assert (await caller_of(place_of(desk)).get(STATUS))["latency_ms"] == 0

    run_simulated(scenario)


# -- breakers ----------------------------------------------------------------------------------


def test_breakers_are_shown_as_the_protocol_has_them() -> None:
    body = breakers_body([Breaker("exits", True, 3), Breaker("adapter", False, 1)])

    assert (body.adapter.state, body.adapter.failure_count) == ("closed", 1)
    assert (body.exit_order.state, body.exit_order.failure_count) == ("open", 3)


def test_a_venue_without_a_breaker_of_its_own_reports_it_closed() -> None:
    async def scenario() -> None:
        closed = {"state": "closed", "failure_count": 0}

        found = await caller_of(place_of(FakeDesk())).get(BREAKERS)

        assert found == {"adapter": closed, "exit_order": closed}

    run_simulated(scenario)


def test_a_reset_closes_both_counts_itself_and_has_a_minute_of_cooldown() -> None:
    async def scenario() -> None:
        desk, time = FakeDesk(), TransportTime()
        desk.breaker_list = [Breaker("exits", True, 3)]
        place = place_of(desk, time=time)
        caller = caller_of(place)

        first = await caller.answer("POST", RESET)
        time.now_s += 59.5
        second = await caller.answer("POST", RESET)
        time.now_s += 0.5
        third = await caller.answer("POST", RESET)

        assert shown(first)["exit_order"] == {"state": "closed", "failure_count": 0}
        body = shown(second)
        assert (second.status, body["code"], "details" in body) == (409, "RESET_COOLDOWN", False)
        assert second.headers["Retry-After"] == "1"
        assert third.status == 200
        assert desk.reset_count == 2
        text = generate_latest(place.context.metrics).decode()
        assert "gateway_circuit_breaker_resets_total 2.0" in text

    run_simulated(scenario)


def test_a_reset_that_failed_starts_no_cooldown_and_keeps_an_older_one() -> None:
    async def scenario() -> None:
        desk, time = FakeDesk(), TransportTime()
        caller = caller_of(place_of(desk, time=time))
        desk.fail("reset_breakers", JournalError("the disk is full"))
        assert (await caller.answer("POST", RESET)).status == 503

        desk.fail("reset_breakers", None)
        assert (await caller.answer("POST", RESET)).status == 200
        time.now_s += 60
        desk.fail("reset_breakers", JournalError("the disk is full"))
        assert (await caller.answer("POST", RESET)).status == 503
        desk.fail("reset_breakers", None)
        assert (await caller.answer("POST", RESET)).status == 200

    run_simulated(scenario)


def test_the_cooldown_is_of_what_a_key_trades() -> None:
    other = Principal("other", (DeskPlace("mock", "main", "theirs"),), View.RUN, ALL_VERBS)

    async def scenario() -> None:
        place = place_of(FakeDesk())
        caller = caller_of(place)
        assert (await caller.answer("POST", RESET)).status == 200

        caller.principal = other
        assert (await caller.answer("POST", RESET)).status == 200
        assert (await caller.answer("POST", RESET)).status == 409

    run_simulated(scenario)


def test_who_may_not_administer_resets_nothing_and_delays_nobody() -> None:
    reader = Principal("reader", OWNER.places, verbs=READ_ONLY)

    async def scenario() -> None:
        desk = FakeDesk()
        caller = caller_of(place_of(desk), reader)
        assert (await caller.answer("POST", RESET)).status == 403

        caller.principal = OWNER
        assert (await caller.answer("POST", RESET)).status == 200
        assert desk.reset_count == 1

    run_simulated(scenario)


# -- probes ------------------------------------------------------------------------------------


def test_probes_are_at_the_root_and_open_to_everybody() -> None:
    routes = {route.path: route for route in SystemRoutes(place_of(FakeDesk())).routes()}

    for path in ("/livez", "/readyz", "/health"):
        assert routes[path].is_root
        assert routes[path].verb is None
    assert routes[RESET].verb is Verb.ADMIN


def test_a_gateway_with_a_prefix_leaves_the_root_to_others() -> None:
    routes = SystemRoutes(place_of(FakeDesk(), prefix="/alpaca")).routes()

    assert not any(route.is_root for route in routes)


def test_livez_never_looks_at_anything() -> None:
    async def scenario() -> None:
        desk, time = FakeDesk(), TransportTime()
        desk.venues = []
        time.is_stopping = True

        assert await caller_of(place_of(desk, time=time)).get("/livez") == {"status": "ok"}

    run_simulated(scenario)


def test_readyz_turns_503_when_the_gateway_stops() -> None:
    async def scenario() -> None:
        time = TransportTime()
        caller = caller_of(place_of(FakeDesk(), time=time))

        ready = await caller.answer("GET", "/readyz")
        time.is_stopping = True
        stopping = await caller.answer("GET", "/readyz")

        assert (ready.status, shown(ready)) == (
            200,
            {"ready": True, "providers": ["mock"], "provider_count": 1},
        )
        body = shown(stopping)
        assert stopping.status == 503
        assert body.pop("message")
        assert body == {"ready": False, "providers": [], "provider_count": 0}

    run_simulated(scenario)


def test_health_is_connected_where_all_is_well() -> None:
    async def scenario() -> None:
        place = place_of(FakeDesk(), settings=GatewaySettings(git_sha="abc1234"))

        assert await caller_of(place).get("/health") == {
            "status": "connected",
            "version": "1.2.3",
            "git_sha": "abc1234",
            "providers": [{"platform": "mock", "connected": True}],
        }

    run_simulated(scenario)


def test_health_names_what_is_stale_and_stays_200() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        health_of(desk, stale=(APPLE.id, BITCOIN.id))

        answer = await caller_of(place_of(desk)).answer("GET", "/health")

        body = shown(answer)
        assert (answer.status, body["status"]) == (200, "degraded")
        assert body["providers"] == [
            {"platform": "mock", "connected": True, "stale_instruments": ["AAPL", "BTC/USD"]}
        ]

    run_simulated(scenario)


@pytest.mark.parametrize("venues", [[], [VenueHealth("mock", True, False)]])
def test_a_venue_that_was_never_reached_or_is_lost_is_degraded(venues: list[VenueHealth]) -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.venues = venues

        body = await caller_of(place_of(desk)).get("/health")

        assert body["status"] == "degraded"
        assert body["providers"] == [{"platform": "mock", "connected": False}]

    run_simulated(scenario)
