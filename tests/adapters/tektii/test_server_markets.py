"""Quotes and bars as clients get them (spec 6.8, 7.5, 16.2)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii.server_markets import MarketRoutes, bar_body, mid_text, quote_body
from adapters.tektii.server_settings import GatewaySettings
from adapters.tektii.words import TIMEFRAMES
from framework.errors import RateLimited, VenueUnavailable
from framework.model.desk import ALL_VERBS, Place, Principal, View
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote, Trade
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import APPLE, BITCOIN, OWNER, START_NS, FakeDesk
from tests.adapters.tektii.gateway_rig import Caller, place_of, shown

MINUTE_NS = 60_000_000_000
QUOTES, BARS = "/v1/quotes/{symbol}", "/v1/bars/{symbol}"


def caller_of(
    desk: FakeDesk, settings: GatewaySettings | None = None, owner: Principal = OWNER
) -> Caller:
    place = place_of(desk, settings=settings, owner=owner)
    return Caller(MarketRoutes(place).routes(), owner)


def with_minutes(desk: FakeDesk, count: int = 120) -> FakeDesk:
    """Give a desk the last `count` minutes of a symbol; the newest closes at its full minute."""
    last_ns = desk.clock.now_ns // MINUTE_NS * MINUTE_NS
    desk.add_candles(
        Candle(
            APPLE.id,
            close_ns,
            close_ns,
            "1m",
            close_ns - MINUTE_NS,
            close_ns,
            *(150.0, 151.5, 149.25, 151.0, 1234.5),
        )
        for close_ns in range(last_ns - (count - 1) * MINUTE_NS, last_ns + 1, MINUTE_NS)
    )
    return desk


# -- quotes ------------------------------------------------------------------------------------


def test_a_quote_has_every_member() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.emit(
            Quote(APPLE.id, START_NS + 500_000_000, START_NS, 149.99, 150.01, 200.0, 1e-7),
            Trade(APPLE.id, START_NS, START_NS, 149.995, 3.0),
        )

        assert await caller_of(desk).get(QUOTES, symbol="AAPL") == {
            "symbol": "AAPL",
            "provider": "mock",
            "bid": "149.99",
            "ask": "150.01",
            "last": "149.995",
            "timestamp": "2026-03-02T14:40:00.5Z",
            "bid_size": "200",
            "ask_size": "0.0000001",
        }

    run_simulated(scenario)


def test_without_trades_the_last_price_is_the_mid_and_without_sizes_there_are_none() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.set_quote(APPLE.id, 1.13, 1.14, size=0.0)

        quote = await caller_of(desk).get(QUOTES, symbol="AAPL")

        assert quote["last"] == "1.135"
        assert not {"bid_size", "ask_size", "volume"} & set(quote)

    run_simulated(scenario)


def test_a_symbol_with_a_slash_and_the_platforms_name() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.set_quote(BITCOIN.id, 50_000.0, 50_010.0)
        caller = caller_of(desk, GatewaySettings(platforms={"mock": "binance-spot-testnet"}))

        quote = await caller.get(QUOTES, symbol="BTC/USD")

        assert (quote["symbol"], quote["provider"]) == ("BTC/USD", "binance-spot-testnet")

    run_simulated(scenario)


def test_a_second_venues_symbols_carry_its_name() -> None:
    owner = Principal(
        "owner",
        (Place("mock", "main", "tektii"), Place("kalshi", "bets", "tektii-bets")),
        View.ACCOUNT,
        ALL_VERBS,
    )

    async def scenario() -> None:
        desk = FakeDesk([APPLE, Instrument("kalshi:RAIN")])
        desk.set_quote("kalshi:RAIN", 0.4, 0.42)

        quote = await caller_of(desk, owner=owner).get(QUOTES, symbol="kalshi:RAIN")

        assert (quote["symbol"], quote["provider"]) == ("kalshi:RAIN", "kalshi")

    run_simulated(scenario)


@pytest.mark.parametrize("symbol", ["NOPE", "x" * 21, "x" * 5_000])
@pytest.mark.parametrize("path", [QUOTES, BARS])
def test_a_symbol_that_no_venue_has_is_not_found(path: str, symbol: str) -> None:
    async def scenario() -> None:
        answer = await caller_of(FakeDesk()).answer("GET", path, "timeframe=1m", symbol=symbol)

        assert answer.status == 404
        body = shown(answer)
        assert body["code"] == "SYMBOL_NOT_FOUND"
        assert body["details"]["symbol"].startswith(symbol[:200])

    run_simulated(scenario)


def test_a_price_that_is_not_there_yet_is_worth_asking_again() -> None:
    async def scenario() -> None:
        answer = await caller_of(FakeDesk()).answer("GET", QUOTES, symbol="AAPL")

        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert shown(answer)["code"] == "PROVIDER_UNAVAILABLE"

    run_simulated(scenario)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RateLimited("mock", 3.0), 429, "RATE_LIMITED"),
        (VenueUnavailable("mock cannot be reached"), 503, "PROVIDER_UNAVAILABLE"),
    ],
)
def test_what_the_venue_says_is_passed_on(error: Exception, status: int, code: str) -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        desk.fail("quote", error)

        answer = await caller_of(desk).answer("GET", QUOTES, symbol="AAPL")

        assert (answer.status, shown(answer)["code"]) == (status, code)

    run_simulated(scenario)


@pytest.mark.parametrize(
    ("symbol", "status", "code", "details"),
    [
        (
            "SIM.RATELIMIT",
            429,
            "RATE_LIMITED",
            {"retry_after_seconds": 1, "reset_at": None},
        ),
        ("SIM.UNAVAILABLE", 503, "PROVIDER_UNAVAILABLE", None),
        ("SIM.NOTFOUND", 404, "SYMBOL_NOT_FOUND", {"symbol": "SIM.NOTFOUND"}),
        ("SIM.ERROR", 502, "PROVIDER_ERROR", {"provider": "mock"}),
    ],
)
def test_scenario_symbols_answer_as_they_are_named(
    symbol: str, status: int, code: str, details: Any
) -> None:
    async def scenario() -> None:
        answer = await caller_of(FakeDesk(), GatewaySettings(scenarios=True)).answer(
            "GET", QUOTES, symbol=symbol
        )

        body = shown(answer)
        assert (answer.status, body["code"], body.get("details")) == (status, code, details)
        assert answer.headers.get("Retry-After") == ("1" if status == 429 else None)

    run_simulated(scenario)


def test_the_scenario_of_refused_orders_has_quotes_and_without_scenarios_all_are_symbols() -> None:
    async def scenario() -> None:
        symbols = ("SIM.REJECT", "SIM.ERROR")
        desk = FakeDesk([Instrument(f"mock:{symbol}") for symbol in symbols])
        for symbol in symbols:
            desk.set_quote(f"mock:{symbol}", 99.0, 101.0)

        rejecting = await caller_of(desk, GatewaySettings(scenarios=True)).get(
            QUOTES, symbol="SIM.REJECT"
        )
        plain = await caller_of(desk).get(QUOTES, symbol="SIM.ERROR")

        assert (rejecting["last"], plain["last"]) == ("100", "100")

    run_simulated(scenario)


# -- bars --------------------------------------------------------------------------------------


def test_a_bar_has_every_member() -> None:
    async def scenario() -> None:
        bars = await caller_of(with_minutes(FakeDesk())).get(BARS, "timeframe=1m", symbol="AAPL")

        assert len(bars) == 100
        assert bars[-1] == {
            "symbol": "AAPL",
            "provider": "mock",
            "timeframe": "1m",
            "timestamp": "2026-03-02T14:39:00Z",
            "open": "150",
            "high": "151.5",
            "low": "149.25",
            "close": "151",
            "volume": "1234.5",
        }

    run_simulated(scenario)


def test_start_and_end_are_inclusive_and_a_limit_counts_from_the_start() -> None:
    async def scenario() -> None:
        caller = caller_of(with_minutes(FakeDesk()))

        async def times(query: str) -> list[str]:
            bars = await caller.get(BARS, f"timeframe=1m&{query}", symbol="AAPL")
            return [bar["timestamp"][11:16] for bar in bars]

        both = "start=2026-03-02T14:30:00Z&end=2026-03-02T14:32:00%2B00:00"
        assert await times(both) == ["14:30", "14:31", "14:32"]
        assert await times(f"{both}&limit=2") == ["14:30", "14:31"]
        assert await times("start=2026-03-02T14:35:00Z&limit=2") == ["14:35", "14:36"]
        assert await times("end=2026-03-02T14:35:00Z&limit=2") == ["14:34", "14:35"]
        assert await times("limit=2") == ["14:38", "14:39"]
        assert await times("start=2026-03-02T16:38:30%2B02:00") == ["14:39"]
        assert await times("limit=0") == []

    run_simulated(scenario)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_timeframe_is_answered(timeframe: str) -> None:
    async def scenario() -> None:
        desk = with_minutes(FakeDesk(), 14 * 1_440)

        bars = await caller_of(desk).get(BARS, f"timeframe={timeframe}&limit=1", symbol="AAPL")

        assert [bar["timeframe"] for bar in bars] == [timeframe]

    run_simulated(scenario)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "timeframe"),
        ("timeframe=3m", "timeframe"),
        ("timeframe=1M", "timeframe"),
        ("timeframe=1m&start=2026-03-02T14:30:00", "start"),
        ("timeframe=1m&end=yesterday", "end"),
        ("timeframe=1m&end=2026-02-30T00:00:00Z", "end"),
        ("timeframe=1m&start=2026-03-02T14:30:00Z&end=2026-03-02T14:29:00Z", "start"),
        ("timeframe=1m&limit=-1", "limit"),
        ("timeframe=1m&limit=many", "limit"),
    ],
)
def test_a_query_that_makes_no_sense_names_its_field(query: str, field: str) -> None:
    async def scenario() -> None:
        answer = await caller_of(FakeDesk()).answer("GET", BARS, query, symbol="AAPL")

        body = shown(answer)
        assert answer.status == 400
        assert body["code"] in ("INVALID_REQUEST", "INVALID_VALUE")
        assert body["details"]["field"] == field

    run_simulated(scenario)


def test_a_symbol_without_bars_has_an_empty_list() -> None:
    async def scenario() -> None:
        assert await caller_of(FakeDesk()).get(BARS, "timeframe=1h", symbol="AAPL") == []

    run_simulated(scenario)


# -- text --------------------------------------------------------------------------------------

PRICES = st.floats(min_value=1e-12, max_value=1e12)


@given(PRICES, PRICES)
def test_the_mid_is_plain_and_as_exact_as_15_digits(bid: float, ask: float) -> None:
    text = mid_text(bid, ask)

    assert "e" not in text.lower()
    assert float(text) == pytest.approx((bid + ask) / 2, rel=1e-14)


def test_the_mid_of_one_side_is_that_side() -> None:
    assert mid_text(0.0, 0.5) == "0.5"
    assert mid_text(1e-7, 0.0) == "0.0000001"


@given(PRICES, PRICES, st.floats(min_value=0, max_value=1e12))
def test_numbers_of_a_quote_come_through_exactly(bid: float, ask: float, size: float) -> None:
    body = quote_body(Quote(APPLE.id, 0, 0, bid, ask, size, size), None, "AAPL", "mock")

    assert (float(body.bid), float(body.ask)) == (bid, ask)
    for text in (body.bid, body.ask, body.last, body.bid_size or "0"):
        assert format(Decimal(text), "f") == text


def test_a_bar_carries_the_time_at_which_it_opened() -> None:
    candle = Candle(APPLE.id, MINUTE_NS, 0, "1m", 0, MINUTE_NS, 1.0, 2.0, 0.5, 1.5, 1e-7)

    body = bar_body(candle, "AAPL", "mock")

    assert (body.timestamp, body.volume) == ("1970-01-01T00:00:00Z", "0.0000001")
