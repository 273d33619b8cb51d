"""S11: what an account reads about itself, at once or with a lag."""

import asyncio
from typing import Any

import pytest

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from tests.adapters.kalshi.simulated.rest_rig import (
    START_S,
    A,
    B,
    Desk,
    desk,
    exchange_settings,
    play,
)

PROFILE = pytest.mark.parametrize("profile", list(Profile))


async def trade(at: Desk) -> None:
    """Let alice hold four yes contracts from bob at 40 cents, six of her order rest."""
    await at.alice.buy("0.40", client_order_id="a1")
    await at.bob.buy_no("0.60", "4")


@PROFILE
def test_s11_fills_name_the_outcome_that_was_acquired(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            await trade(at)
            (mine,) = (await at.alice.get("/portfolio/fills"))["fills"]
            (theirs,) = (await at.bob.get("/portfolio/fills"))["fills"]

        assert mine["trade_id"] == mine["fill_id"] == theirs["trade_id"]
        assert (mine["side"], theirs["side"]) == ("yes", "no")
        assert (mine["is_taker"], theirs["is_taker"]) == (False, True)
        assert (mine["count_fp"], mine["yes_price_dollars"]) == ("4.00", "0.4000")
        assert theirs["no_price_dollars"] == "0.6000"
        assert mine["ticker"] == mine["market_ticker"] == A
        assert mine["ts"] == START_S
        assert float(theirs["fee_cost"]) > 0
        assert theirs.get("book_side") == ("ask" if profile is Profile.CURRENT else None)
        assert theirs.get("no_price") == (60 if profile is Profile.LEGACY else None)

    play(main)


@PROFILE
def test_s11_positions_are_signed_and_summed_up_by_event(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile)) as at:
            await trade(at)
            mine = await at.alice.get("/portfolio/positions")
            theirs = await at.bob.get("/portfolio/positions", count_filter="position,total_traded")

        (position,), (event,) = mine["market_positions"], mine["event_positions"]
        assert (position["ticker"], position["position_fp"]) == (A, "4.00")
        assert position["market_exposure_dollars"] == "1.6000"
        assert position["resting_orders_count"] == 1
        assert event["event_ticker"] == "KXRAIN-26FEB02"
        assert event["event_exposure_dollars"] == "1.6000"
        assert theirs["market_positions"][0]["position_fp"] == "-4.00"
        is_legacy = profile is Profile.LEGACY
        assert position.get("market_exposure") == (160 if is_legacy else None)
        assert theirs["market_positions"][0].get("position") == (-4 if is_legacy else None)
        assert event.get("event_exposure") == (160 if is_legacy else None)

    play(main)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 1),
        ({"ticker": A}, 1),
        ({"ticker": B}, 0),
        ({"event_ticker": "KXRAIN-26FEB02"}, 1),
        ({"event_ticker": "KXSNOW"}, 0),
        ({"count_filter": "position"}, 0),
        ({"count_filter": "total_traded"}, 1),
    ],
)
def test_s11_positions_are_filtered(query: dict[str, Any], count: int) -> None:
    async def main() -> None:
        async with desk() as at:
            await trade(at)
            (resting,) = (await at.alice.get("/portfolio/orders"))["orders"]
            await at.alice.call("DELETE", f"/portfolio/orders/{resting['order_id']}")
            await at.bob.buy("0.30", "4")
            await at.alice.buy("0.30", "4", action="sell")  # which closes both positions
            found = await at.bob.get("/portfolio/positions", **query)

        assert len(found["market_positions"]) == count

    play(main)


def test_s11_the_balance_is_what_no_order_reserves() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.alice.buy("0.40")
            balance = await at.alice.get("/portfolio/balance")
            resting = await at.alice.get("/portfolio/summary/total_resting_order_value")

        assert balance == {
            "balance": 99_600,
            "balance_dollars": "996.0000",
            "portfolio_value": 0,
            "updated_ts": START_S,
        }
        assert resting["total_resting_order_value"] == 400

    play(main)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["c3", "c2", "c1"]),
        ({"status": "resting"}, ["c3", "c1"]),
        ({"status": "canceled"}, ["c2"]),
        ({"ticker": B}, ["c3"]),
        ({"event_ticker": "KXRAIN-26FEB02,KXSNOW"}, ["c3", "c2", "c1"]),
        ({"event_ticker": "KXSNOW"}, []),
        ({"subaccount": 1}, []),
        ({"min_ts": START_S + 10}, ["c3"]),
        ({"max_ts": START_S + 10}, ["c2", "c1"]),
        ({"limit": 2}, ["c3", "c2"]),
    ],
)
def test_s11_orders_are_newest_first_and_filtered(
    query: dict[str, Any], expected: list[str]
) -> None:
    async def main() -> None:
        async with desk() as at:
            await at.alice.buy("0.40", client_order_id="c1")
            second = await at.alice.buy("0.41", client_order_id="c2")
            await at.alice.call("DELETE", f"/portfolio/orders/{second['order_id']}")
            await asyncio.sleep(20)
            await at.alice.buy("0.40", ticker=B, client_order_id="c3")
            found = (await at.alice.get("/portfolio/orders", **query))["orders"]

        assert [order["client_order_id"] for order in found] == expected

    play(main)


def test_s11_filters_that_make_no_sense_are_refused() -> None:
    async def main() -> None:
        async with desk() as at:
            for query in ({"status": "open"}, {"event_ticker": ",".join("abcdefghijk")}):
                assert await at.alice.refused("GET", "/portfolio/orders", **query) == (
                    400,
                    "invalid_parameters",
                )
            await trade(at)
            for path in ("/portfolio/orders", "/portfolio/fills"):
                assert (await at.alice.refused("GET", path, min_ts="soon"))[0] == 400

    play(main)


@pytest.mark.parametrize(
    ("query", "count"),
    [({"ticker": B}, 0), ({"order_id": "x"}, 0), ({"max_ts": START_S}, 1), ({"subaccount": 3}, 0)],
)
def test_s11_fills_are_filtered(query: dict[str, Any], count: int) -> None:
    async def main() -> None:
        async with desk() as at:
            await trade(at)

            assert len((await at.alice.get("/portfolio/fills", **query))["fills"]) == count

    play(main)


def test_s11_queue_positions_count_what_is_ahead() -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=Profile.LEGACY)) as at:
            await at.bob.buy("0.40", "3")
            order_id = (await at.alice.buy("0.40"))["order_id"]
            all_of_them = await at.alice.get(
                "/portfolio/orders/queue_positions", market_tickers=f"{A},{B}"
            )
            one = await at.alice.get(f"/portfolio/orders/{order_id}/queue_position")
            unknown = await at.alice.refused("GET", "/portfolio/orders/x/queue_position")

        expected = {
            "order_id": order_id,
            "market_ticker": A,
            "queue_position_fp": "3.00",
            "queue_position": 3,
        }
        assert all_of_them["queue_positions"] == [expected]
        assert one == expected
        assert unknown == (404, "not_found")

    play(main)


def test_s13_settlements_tell_what_was_paid() -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=Profile.LEGACY)) as at:
            await trade(at)
            lifecycle = at.exchange.lifecycle
            lifecycle.close(A)
            lifecycle.determine(A, "yes")
            lifecycle.settle(A)
            (settlement,) = (await at.alice.get("/portfolio/settlements"))["settlements"]

        assert (settlement["ticker"], settlement["market_result"]) == (A, "yes")
        assert (settlement["yes_count"], settlement["no_count_fp"]) == (4, "0.00")
        assert (settlement["revenue"], settlement["value"]) == (400, 100)
        assert settlement["yes_total_cost"] == 160

    play(main)


def test_ended_orders_and_fills_become_history() -> None:
    async def main() -> None:
        async with desk(exchange=exchange_settings(history_after_s=60)) as at:
            await trade(at)
            order = await at.alice.buy("0.10")
            await at.alice.call("DELETE", f"/portfolio/orders/{order['order_id']}")
            await asyncio.sleep(120)
            live = await at.alice.get("/portfolio/orders")
            past = await at.alice.get("/historical/orders")
            fills = await at.alice.get("/portfolio/fills"), await at.alice.get("/historical/fills")
            at.api.reads.lag_ms = 1
            late = await at.alice.get("/portfolio/orders"), await at.alice.get("/historical/orders")
            late_fills = await at.alice.get("/historical/fills")

        assert [order["client_order_id"] for order in live["orders"]] == ["a1"]
        assert [one["order_id"] for one in past["orders"]] == [order["order_id"]]
        assert [len(page["fills"]) for page in fills] == [0, 1]
        assert late == (live, past)
        assert late_fills == fills[1]

    play(main)


@PROFILE
def test_s11_an_account_reads_its_limits(profile: Profile) -> None:
    async def main() -> None:
        async with desk(RestSettings(profile=profile, tier="premier")) as at:
            limits = await at.alice.get("/account/limits")
            costs = (await at.alice.get("/account/endpoint_costs"))["endpoint_costs"]

        assert limits["usage_tier"] == "premier"
        if profile is Profile.LEGACY:
            assert (limits["read_limit"], limits["write_limit"]) == (1_000, 1_000)
        else:
            assert limits["write"] == {"bucket_capacity": 2_000, "refill_rate": 1_000}
        assert {"method": "POST", "path": "/trade-api/v2/portfolio/orders", "cost": 100} in costs

    play(main)


# -- lag -----------------------------------------------------------------------------------------


def test_s11_portfolio_reads_show_the_state_of_a_while_ago() -> None:
    async def read(at: Desk, order_id: str) -> list[Any]:
        orders = (await at.alice.get("/portfolio/orders"))["orders"]
        status, _ = await at.alice.answer("GET", f"/portfolio/orders/{order_id}")
        fills = (await at.alice.get("/portfolio/fills"))["fills"]
        positions = (await at.alice.get("/portfolio/positions"))["market_positions"]
        balance = (await at.alice.get("/portfolio/balance"))["balance"]
        return [len(orders), status, len(fills), len(positions), balance]

    async def main() -> None:
        async with desk(RestSettings(lag_ms=500)) as at:
            order_id = (await at.alice.buy("0.40"))["order_id"]
            await asyncio.sleep(0.3)
            await at.bob.buy(
                "0.60", "4", side="no", yes_price_dollars=None, no_price_dollars="0.60"
            )

            before = await read(at, order_id)
            await asyncio.sleep(0.3)
            between = await read(at, order_id)
            await asyncio.sleep(0.3)
            after = await read(at, order_id)
            fresh = await at.nobody.get("/exchange/user_data_timestamp")

        assert before == [0, 404, 0, 0, 100_000]
        assert between == [1, 200, 0, 0, 99_600]
        assert after == [1, 200, 1, 1, 99_600]
        assert fresh == {"as_of_time": "2026-02-02T02:40:00.400000Z"}

    play(main)


def test_s11_settlements_lag_too_and_a_lag_may_end_at_any_time() -> None:
    async def main() -> None:
        async with desk(RestSettings(lag_ms=60_000)) as at:
            await trade(at)
            lifecycle = at.exchange.lifecycle
            lifecycle.close(A)
            lifecycle.determine(A, "yes")
            lifecycle.settle(A)
            early = await at.alice.get("/portfolio/settlements")
            at.api.reads.lag_ms = 0
            now = await at.alice.get("/portfolio/settlements")
            at.api.reads.lag_ms = 1
            await asyncio.sleep(0.01)
            late = await at.alice.get("/portfolio/settlements")

        assert early["settlements"] == []
        assert len(now["settlements"]) == 1
        assert late == now

    play(main)
