"""REST calls about the market: what is asked, what is understood, in every generation."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.kalshi.messages import (
    Book,
    PriceRange,
    Trade,
)
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import (
    ExchangeStatus,
    MarketCandle,
    Prices,
    Series,
)
from framework.errors import (
    MalformedMessage,
    VenueUnavailable,
)
from tests.adapters.kalshi.rest_bodies import (
    FILL,
    MARKET,
    TIME,
    TIME_NS,
    TIME_S,
    ask,
    collect,
    everything,
)
from tests.adapters.kalshi.scripted_rest import Rig, run


def test_a_market_in_the_newest_spelling() -> None:
    market = ask("GET /markets/KXA-1", {"market": MARKET}, lambda rest: rest.market("KXA-1"))

    assert (market.ticker, market.event_ticker, market.status) == ("KXA-1", "KXA", "active")
    assert (market.yes_bid, market.yes_ask, market.last_price) == (4_100, 4_300, None)
    assert (market.volume, market.notional_value) == (12_050, 1_000_000)
    assert (market.open_ns, market.settlement_timer_s) == (TIME_NS, 3_600)
    assert (market.floor_strike, market.can_close_early) == (Decimal("2.5"), True)
    assert market.price_ranges == (PriceRange(0, 10_000, 100),)
    assert market.is_fractional


def test_a_market_in_cents_and_contracts() -> None:
    """K66: the old spelling says the same."""
    dropped = ("yes_bid_dollars", "yes_ask_dollars", "volume_fp", "open_interest_fp")
    old = {name: value for name, value in MARKET.items() if name not in dropped}
    old |= {"yes_bid": 41, "yes_ask": 43, "volume": 120, "open_interest": 7}
    new = MARKET | {"volume_fp": "120.00"}

    async def question(rest: KalshiRest) -> Any:
        return await rest.market("KXA-1")

    markets = [ask("GET /markets/KXA-1", {"market": each}, question) for each in (old, new)]

    assert markets[0] == markets[1]


def test_lists_are_read_to_their_last_page() -> None:
    """K64: to the empty cursor, all other parameters unchanged."""

    async def scene(rig: Rig) -> None:
        pages = [
            {"markets": [MARKET | {"ticker": "KXA-1"}], "cursor": "next=&1"},
            {"markets": None, "cursor": "next2"},
            {"markets": [MARKET | {"ticker": "KXA-2"}], "cursor": ""},
        ]
        rig.server.on("GET /markets", *pages)

        found = await everything(
            rig.rest.markets(tickers=["KXA-1", "KXA-2"], status="open", min_close_ts=None)
        )

        assert [market.ticker for market in found] == ["KXA-1", "KXA-2"]
        fixed = [("limit", "1000"), ("tickers", "KXA-1,KXA-2"), ("status", "open")]
        cursors = [[], [("cursor", "next=&1")], [("cursor", "next2")]]
        assert [each.query for each in rig.server.heard] == [fixed + more for more in cursors]

    run(scene)


@pytest.mark.parametrize("cursors", [("a", "a"), ("a", "b", "a")])
def test_a_cursor_that_comes_again_is_an_error(cursors: tuple[str, ...]) -> None:
    """K64: what was read until then is delivered, and the rest is not missed in silence."""

    async def scene(rig: Rig) -> list[Any]:
        rig.server.on("GET /portfolio/fills", *({"fills": [FILL], "cursor": c} for c in cursors))
        found: list[Any] = []
        with pytest.raises(MalformedMessage, match="came again"):
            await collect(rig.rest.fills(), found)
        return found

    assert len(run(scene)) == len(cursors)


def test_a_list_of_more_than_a_thousand_pages_is_read_whole() -> None:
    """B29: there is no number of pages after which it stops."""

    async def scene(rig: Rig) -> int:
        pages = [{"trades": [], "cursor": str(number)} for number in range(1_100)]
        trade = {"trade_id": "t", "ticker": "K", "count": 1, "yes_price": 40}
        rig.server.on("GET /markets/trades", *pages, {"trades": [trade]})
        return len(await everything(rig.rest.trades("K")))

    assert run(scene, read_tokens_per_s=1e9) == 1


def test_a_bad_optional_field_is_left_out_and_counted() -> None:
    """B21."""

    async def scene(rig: Rig) -> None:
        bad = MARKET | {"yes_bid_dollars": 0.41, "price_ranges": "none"}
        rig.server.on("GET /markets", {"markets": [bad, MARKET, bad, bad]})

        markets = await everything(rig.rest.markets())

        assert [market.yes_bid for market in markets] == [None, 4_100, None, None]
        assert rig.rest.statistics()["left_out"] == 3

    run(scene)


def test_books_of_both_generations_are_the_same() -> None:
    """Section 10.2: the keys differ from those of the stream, and an empty side may be null."""
    new = {"orderbook_fp": {"yes_dollars": [["0.4100", "3.00"]], "no_dollars": []}}
    older = {"orderbook": {"yes": [[41, 3]], "yes_dollars": [["0.41", 3]], "no_dollars": None}}
    oldest = {"orderbook": {"yes": [[41, 3]], "no": None}}

    for body in (new, older, oldest):
        book = ask(
            "GET /markets/KXA-1/orderbook", body, lambda rest: rest.orderbook("KXA-1", depth=5)
        )
        assert book == Book("KXA-1", "", ((4_100, 300),), ())


def test_several_books_are_asked_for_one_by_one_in_the_query() -> None:
    async def scene(rig: Rig) -> None:
        side = {"yes_dollars": [["0.4", "3"]], "no_dollars": []}
        books = [{"ticker": name, "orderbook_fp": side} for name in ("A", "B")]
        rig.server.on("GET /markets/orderbooks", {"orderbooks": books})

        found = await rig.rest.orderbooks(["A", "B"])

        assert rig.last.query == [("tickers", "A"), ("tickers", "B")]
        assert found == {name: Book(name, "", ((4_000, 300),), ()) for name in ("A", "B")}

    run(scene)


def test_trades_of_the_tape() -> None:
    new = {
        "trade_id": "t-1",
        "ticker": "KXA-1",
        "count_fp": "2.00",
        "yes_price_dollars": "0.4000",
        "no_price_dollars": "0.6000",
        "taker_side": "no",
        "created_time": TIME,
    }
    old = {"trade_id": "t-1", "ticker": "KXA-1", "count": 2, "yes_price": 40}
    old |= {"taker_side": "no", "created_time": TIME}

    for path, is_historical in (("/markets/trades", False), ("/historical/trades", True)):

        async def question(rest: KalshiRest, past: bool = is_historical) -> Any:
            return await everything(rest.trades("KXA-1", min_s=1, max_s=2, is_historical=past))

        found = ask(f"GET {path}", {"trades": [new, old]}, question)
        assert found == [Trade("t-1", "KXA-1", 4_000, 6_000, 200, "no", False, TIME_NS)] * 2


CANDLE = {
    "end_period_ts": TIME_S,
    "yes_bid": {"open_dollars": "0.4000", "low_dollars": "0.3900", "high_dollars": "0.4200",
                "close_dollars": "0.4100"},
    "yes_ask": {"open": 42, "low": 41, "high": 44, "close": 43},
    "price": {"open_dollars": None, "low_dollars": None, "high_dollars": None,
              "close_dollars": None, "previous_dollars": "0.4050"},
    "volume_fp": "0.00",
    "open_interest": 9,
}  # fmt: skip


READ_CANDLE = MarketCandle(
    TIME_NS,
    Prices(None, None, None, None, 4_050),
    Prices(4_000, 4_200, 3_900, 4_100),
    Prices(4_200, 4_400, 4_100, 4_300),
    0,
    900,
)


def test_candles_of_one_market_and_of_several() -> None:
    one = ask(
        "GET /series/KX/markets/KXA-1/candlesticks",
        {"ticker": "KXA-1", "candlesticks": [CANDLE]},
        lambda rest: rest.candlesticks("KX", "KXA-1", 1, 2, 60),
    )
    several = ask(
        "GET /markets/candlesticks",
        {
            "markets": [
                {"market_ticker": "KXA-1", "candlesticks": [CANDLE]},
                {"ticker": "KXA-2", "candlesticks": None},
            ]
        },
        lambda rest: rest.candlesticks_of(["KXA-1", "KXA-2"], 1, 2, 60),
    )

    assert one == [READ_CANDLE]
    assert several == {"KXA-1": [READ_CANDLE], "KXA-2": []}


def test_events_and_series() -> None:
    event = {
        "event_ticker": "KXA",
        "series_ticker": "KX",
        "title": "Will it?",
        "mutually_exclusive": True,
        "strike_date": TIME,
        "markets": [MARKET],
    }
    without = {name: value for name, value in event.items() if name != "markets"}

    async def scene(rig: Rig) -> None:
        rig.server.on("GET /events", {"events": [event]})
        rig.server.on("GET /events/KXA", {"event": without, "markets": [MARKET]})
        rig.server.on(
            "GET /series/KX",
            {"series": {"title": "It", "fee_type": "quadratic", "fee_multiplier": 0.1}},
        )

        listed = await everything(rig.rest.events(with_nested_markets=True))
        assert rig.last.query == [("limit", "200"), ("with_nested_markets", "true")]
        assert listed == [await rig.rest.event("KXA")]
        assert (listed[0].is_mutually_exclusive, listed[0].strike_ns) == (True, TIME_NS)
        assert [market.ticker for market in listed[0].markets] == ["KXA-1"]
        assert await rig.rest.series("KX") == Series("KX", "It", "quadratic", Decimal("0.1"))

    run(scene)


def test_the_exchange_says_that_it_is_down_in_a_failure() -> None:
    """10.2: 500, 503 and 504 have the same body."""
    up = {
        "exchange_active": True,
        "trading_active": False,
        "exchange_estimated_resume_time": None,
    }
    down = up | {"exchange_active": False, "exchange_estimated_resume_time": TIME}

    async def scene(rig: Rig) -> None:
        rig.server.then("GET /exchange/status", (200, up), (503, down))
        assert await rig.rest.exchange_status() == ExchangeStatus(True, False)
        assert await rig.rest.exchange_status() == ExchangeStatus(False, False, TIME_NS)

        rig.server.on("GET /exchange/status", {"error": {"code": "x"}}, status=503)
        with pytest.raises(VenueUnavailable):
            await rig.rest.exchange_status()

    run(scene)
