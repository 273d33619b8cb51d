"""S11: public reads agree with the book, in every profile."""

from typing import Any

import pytest

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from tests.adapters.kalshi.simulated.rest_rig import START_S, A, B, Desk, desk, play

PROFILES = list(Profile)
PROFILE = pytest.mark.parametrize("profile", PROFILES)


async def trade(at: Desk) -> None:
    """Let yes bids rest at 40 and 41, a no bid at 56, and one contract trade at 43."""
    await at.alice.buy("0.40")
    await at.alice.buy("0.41", "5")
    await at.alice.buy("0.43", "1")
    await at.bob.buy_no("0.56", "7")
    await at.bob.buy_no("0.57", "1")


@PROFILE
def test_s8_market_book_and_ticker_never_contradict_each_other(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            await trade(at)
            market = (await at.nobody.get(f"/markets/{A}"))["market"]
            book = (await at.alice.get(f"/markets/{A}/orderbook"))["orderbook_fp"]

        assert book == {
            "yes_dollars": [["0.4000", "10.00"], ["0.4100", "5.00"]],
            "no_dollars": [["0.5600", "7.00"]],
        }
        prices = ("yes_bid", "yes_ask", "no_bid", "no_ask", "last_price")
        assert [market[f"{name}_dollars"] for name in prices] == [
            "0.4100",
            "0.4400",
            "0.5600",
            "0.5900",
            "0.4300",
        ]
        assert (market["yes_bid_size_fp"], market["yes_ask_size_fp"]) == ("5.00", "7.00")
        assert (market["volume_fp"], market["volume_24h_fp"]) == ("1.00", "1.00")
        assert market["status"] == "active"
        if profile is Profile.LEGACY:
            assert [market[name] for name in prices] == [41, 44, 56, 59, 43]
            assert (market["volume"], market["tick_size"]) == (1, 1)
        else:
            assert "yes_bid" not in market

    play(main)


def test_the_old_book_has_cents_beside_the_new_one() -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=Profile.LEGACY)) as at:
            await trade(at)

            assert (await at.nobody.get(f"/markets/{A}/orderbook"))["orderbook"] == {
                "yes": [[40, 10], [41, 5]],
                "yes_dollars": [["0.4000", "10"], ["0.4100", "5"]],
                "no": [[56, 7]],
                "no_dollars": [["0.5600", "7"]],
            }

    play(main)


def test_a_book_has_as_many_levels_as_asked_for_and_newer_venues_ask_who_reads() -> None:
    async def main() -> None:
        async with desk() as at:
            await trade(at)
            path = f"/markets/{A}/orderbook"
            one = await at.alice.get(path, depth=1)
            several = await at.alice.get("/markets/orderbooks", tickers=f"{A},{B}")
            status, _ = await at.alice.raw(
                "GET", "/markets/orderbooks", query=[("tickers", A), ("tickers", B)]
            )

            assert one["orderbook_fp"]["yes_dollars"] == [["0.4100", "5.00"]]
            assert [book["ticker"] for book in several["orderbooks"]] == [A, B]
            assert status == 200
            assert await at.nobody.refused("GET", path) == (401, "authentication_error")
            for depth in ("-1", "101", "x"):
                assert await at.alice.refused("GET", path, depth=depth) == (
                    400,
                    "invalid_parameters",
                )
            assert (await at.alice.refused("GET", "/markets/orderbooks"))[0] == 400
            many = ",".join([A] * 101)
            assert (await at.alice.refused("GET", "/markets/orderbooks", tickers=many))[0] == 400

    play(main)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [A, B]),
        ({"status": "open"}, [A]),
        ({"status": "paused"}, [B]),
        ({"status": "open,paused"}, [A, B]),
        ({"status": "settled"}, []),
        ({"tickers": B}, [B]),
        ({"event_ticker": "KXRAIN-26FEB02"}, [A, B]),
        ({"event_ticker": "KXSNOW"}, []),
        ({"series_ticker": "KXRAIN"}, [A, B]),
        ({"series_ticker": "KXSNOW"}, []),
        ({"mve_filter": "only"}, []),
        ({"mve_filter": "exclude"}, [A, B]),
        ({"min_close_ts": START_S + 86_400, "max_close_ts": START_S + 86_400}, [A, B]),
        ({"max_close_ts": START_S}, []),
        ({"min_created_ts": START_S + 10}, []),
        ({"min_updated_ts": START_S + 10}, []),
        ({"min_settled_ts": START_S}, []),
    ],
)
def test_s11_markets_are_filtered(query: dict[str, Any], expected: list[str]) -> None:
    async def main() -> None:
        async with desk() as at:
            at.exchange.lifecycle.pause(B)
            found = (await at.nobody.get("/markets", **query))["markets"]

        assert [market["ticker"] for market in found] == expected

    play(main)


def test_s11_markets_come_in_pages() -> None:
    async def main() -> None:
        async with desk() as at:
            first = await at.nobody.get("/markets", limit=1)
            second = await at.nobody.get("/markets", limit=1, cursor=first["cursor"])

            assert [page["markets"][0]["ticker"] for page in (first, second)] == [A, B]
            assert second["cursor"] == ""
            for query in ({"limit": 1_001}, {"limit": 0}, {"cursor": "x"}, {"status": "active"}):
                assert await at.nobody.refused("GET", "/markets", **query) == (
                    400,
                    "invalid_parameters",
                )
            assert (await at.nobody.refused("GET", "/events", limit=201))[0] == 400

    play(main)


def test_unknown_things_are_404() -> None:
    async def main() -> None:
        async with desk() as at:
            for path in ("/markets/X", "/markets/X/orderbook", "/events/X", "/series/X"):
                assert (await at.alice.refused("GET", path))[0] == 404

    play(main)


@PROFILE
def test_s11_trades_are_newest_first_and_filtered(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            await trade(at)
            await at.bob.buy(
                "0.59", "2", side="no", yes_price_dollars=None, no_price_dollars="0.59"
            )
            newest, oldest = (await at.nobody.get("/markets/trades", ticker=A))["trades"]
            none = await at.nobody.get("/markets/trades", ticker=B)
            late = await at.nobody.get("/markets/trades", min_ts=START_S + 100)
            past = await at.nobody.get("/historical/trades")

        assert none["trades"] == late["trades"] == past["trades"] == []
        assert newest["yes_price_dollars"] == "0.4100"
        assert (oldest["yes_price_dollars"], oldest["no_price_dollars"]) == ("0.4300", "0.5700")
        assert (oldest["count_fp"], oldest["taker_side"]) == ("1.00", "no")
        assert oldest.get("taker_book_side") == ("ask" if profile is Profile.CURRENT else None)
        assert oldest.get("yes_price") == (43 if profile is Profile.LEGACY else None)

    play(main)


@PROFILE
def test_s11_candles_have_nulls_where_nothing_traded(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            await trade(at)
            query = {"start_ts": START_S - 60, "end_ts": START_S + 60, "period_interval": 1}
            path = f"/series/KXRAIN/markets/{A}/candlesticks"
            one = await at.nobody.get(path, **query)
            both = await at.nobody.get("/markets/candlesticks", market_tickers=f"{A},{B}", **query)

            traded = one["candlesticks"][-1]
            assert one["ticker"] == A
            assert traded["price"]["close_dollars"] == traded["price"]["max_dollars"] == "0.4300"
            assert traded["yes_bid"]["close_dollars"] == "0.4100"
            assert traded["volume_fp"] == "1.00"
            assert traded.get("volume") == (1 if profile is Profile.LEGACY else None)
            assert [part["market_ticker"] for part in both["markets"]] == [A, B]
            for candle in both["markets"][1]["candlesticks"]:
                assert candle["price"]["close_dollars"] is None
                assert candle["price"]["min_dollars"] is None
            for change in ({"period_interval": 5}, {"end_ts": START_S - 61}):
                assert (await at.nobody.refused("GET", path, **query | change))[0] == 400
            assert (await at.nobody.refused("GET", path))[1] == "missing_parameters"
            other = path.replace("KXRAIN/", "KXSNOW/")
            assert (await at.nobody.refused("GET", other, **query))[0] == 404

    play(main)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 1),
        ({"status": "open"}, 1),
        ({"status": "settled"}, 0),
        ({"series_ticker": "KXSNOW"}, 0),
        ({"min_close_ts": START_S}, 1),
        ({"min_close_ts": START_S + 90_000}, 0),
        ({"min_updated_ts": START_S + 10}, 0),
    ],
)
def test_s11_events_are_filtered_and_may_carry_their_markets(
    query: dict[str, Any], count: int
) -> None:
    async def main() -> None:
        async with desk() as at:
            found = (await at.nobody.get("/events", with_nested_markets="true", **query))["events"]

        assert len(found) == count
        assert all([market["ticker"] for market in event["markets"]] == [A, B] for event in found)

    play(main)


def test_s11_an_event_and_its_series_are_read_by_ticker() -> None:
    async def main() -> None:
        async with desk() as at:
            plain = await at.nobody.get("/events/KXRAIN-26FEB02")
            nested = await at.nobody.get("/events/KXRAIN-26FEB02", with_nested_markets="true")
            series = (await at.nobody.get("/series/KXRAIN"))["series"]
            listed = await at.nobody.get("/series", category="Weather")
            none = await at.nobody.get("/series", category="Sport")

        assert "markets" not in plain["event"]
        assert plain["markets"] == nested["event"]["markets"] == nested["markets"]
        assert (series["fee_type"], series["fee_multiplier"]) == ("quadratic", 1.0)
        assert listed["series"] == [series]
        assert none["series"] == []

    play(main)


def test_s13_a_settled_market_says_so_and_becomes_history() -> None:
    async def main() -> None:
        async with desk() as at:
            lifecycle = at.exchange.lifecycle
            lifecycle.close(A)
            lifecycle.determine(A, "yes")
            lifecycle.settle(A)
            market = (await at.nobody.get(f"/markets/{A}"))["market"]
            past = await at.nobody.get("/historical/markets")
            same = await at.nobody.get(f"/historical/markets/{A}")
            cutoff = await at.nobody.get("/historical/cutoff")

        assert (market["status"], market["result"]) == ("finalized", "yes")
        assert market["settlement_value_dollars"] == "1.0000"
        assert market["settlement_ts"].startswith("2026-02-02T")
        assert past["markets"] == []  # settled a moment ago
        assert same["market"] == market
        assert set(cutoff) == {"market_settled_ts", "trades_created_ts", "orders_updated_ts"}

    play(main)


def test_a_closed_exchange_says_so_with_503() -> None:
    async def main() -> None:
        async with desk() as at:
            at.exchange.lifecycle.set_trading(is_exchange_active=False, is_trading_active=False)

            status, body = await at.nobody.answer("GET", "/exchange/status")

        assert status == 503
        assert (body["exchange_active"], body["trading_active"]) == (False, False)

    play(main)
