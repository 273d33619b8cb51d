"""REST calls about an account: what is asked, what is understood, in every generation."""

from typing import Any

import pytest

from adapters.kalshi.messages import (
    Fill,
    MarketPosition,
)
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import (
    Balance,
    EndpointCost,
    EndpointCosts,
    HistoricalCutoff,
    Limits,
    OrderGroup,
    Settlement,
)
from framework.errors import (
    MalformedMessage,
)
from tests.adapters.kalshi.rest_bodies import (
    FILL,
    MARKET,
    ORDER,
    READ_ORDER,
    TIME,
    TIME_NS,
    TIME_S,
    ask,
    everything,
)
from tests.adapters.kalshi.scripted_rest import Rig, run


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        ({"balance": 1_234, "portfolio_value": 500, "updated_ts": TIME_S}, 12_340_000),
        (
            {"balance": 1_234, "balance_dollars": "12.3456", "portfolio_value": 500}
            | {"updated_ts": TIME_S},
            12_345_600,
        ),
    ],
)
def test_a_balance_in_cents_or_dollars(body: Any, balance: int) -> None:
    found = ask("GET /portfolio/balance", body, KalshiRest.balance)

    assert found == Balance(balance, 5_000_000, TIME_NS)


def test_positions_in_dollars_or_cents() -> None:
    new = {
        "ticker": "KXA-1",
        "position_fp": "-3.00",
        "market_exposure_dollars": "1.9500",
        "realized_pnl_dollars": "-0.5000",
        "fees_paid_dollars": "0.0200",
        "last_updated_ts": TIME,
    }
    old = {"ticker": "KXA-1", "position": -3, "market_exposure": 195, "realized_pnl": -50}
    old |= {"fees_paid": 2, "last_updated_ts": TIME}

    found = ask(
        "GET /portfolio/positions",
        {"market_positions": [new, old], "event_positions": [], "cursor": ""},
        lambda rest: everything(rest.positions(count_filter="position")),
    )

    position = MarketPosition(
        "KXA-1",
        -300,
        position_cost=1_950_000,
        realized_pnl=-500_000,
        fees_paid=20_000,
        time_ns=TIME_NS,
    )
    assert found == [position, position]


@pytest.mark.parametrize(("path", "is_historical"), [("portfolio", False), ("historical", True)])
def test_fills_now_and_then(path: str, is_historical: bool) -> None:
    """7.7, 10.3: `side` alone is the outcome acquired, `action` never turns it around."""
    old = {name: value for name, value in FILL.items() if not name.endswith(("_fp", "_dollars"))}
    old |= {"count": 5, "yes_price": 35}
    current = FILL | {"outcome_side": "no", "book_side": "ask"}
    del current["side"]

    found = ask(
        f"GET /{path}/fills",
        {"fills": [FILL, old, current]},
        lambda rest: everything(rest.fills(is_historical=is_historical, min_ts=5)),
    )

    fill = Fill("t-1", "o-1", "", "KXA-1", "no", 3_500, 500, False, 10_000, time_ns=TIME_NS)
    assert found == [fill] * 3


@pytest.mark.parametrize("missing", ["order_id", "ticker", "count_fp", "side"])
def test_a_fill_without_what_is_needed_is_malformed(missing: str) -> None:
    async def scene(rig: Rig) -> None:
        bad = {name: value for name, value in FILL.items() if name != missing}
        rig.server.on("GET /portfolio/fills", {"fills": [bad]})
        with pytest.raises(MalformedMessage, match="is missing"):
            await everything(rig.rest.fills())

    run(scene)


@pytest.mark.parametrize(("path", "is_historical"), [("portfolio", False), ("historical", True)])
def test_orders_now_and_then(path: str, is_historical: bool) -> None:
    current = ORDER | {"outcome_side": "yes", "book_side": "bid"}
    by_book = {k: v for k, v in current.items() if k not in ("outcome_side", "side", "action")}
    old = {name: value for name, value in ORDER.items() if not name.endswith("_fp")}
    old |= {"initial_count": 20, "fill_count": 5, "remaining_count": 15, "yes_price": 35}
    del old["yes_price_dollars"]

    found = ask(
        f"GET /{path}/orders",
        {"orders": [ORDER, current, by_book, old]},
        lambda rest: everything(rest.orders(is_historical=is_historical, status="resting")),
    )

    assert found == [READ_ORDER] * 4


@pytest.mark.parametrize(
    ("action", "side", "outcome"),
    [("buy", "yes", "yes"), ("sell", "no", "yes"), ("buy", "no", "no"), ("sell", "yes", "no")],
)
def test_the_direction_of_an_old_order(action: str, side: str, outcome: str) -> None:
    """7.7: buy/yes and sell/no are for yes."""
    found = ask(
        "GET /portfolio/orders/o-1",
        {"order": ORDER | {"action": action, "side": side}},
        lambda rest: rest.order("o-1"),
    )

    assert found.outcome_side == outcome


def test_an_order_without_a_direction_is_malformed() -> None:
    async def scene(rig: Rig) -> None:
        rig.server.on("GET /portfolio/orders/o-1", {"order": ORDER | {"side": None}})
        with pytest.raises(MalformedMessage, match="outcome_side is missing"):
            await rig.rest.order("o-1")

    run(scene)


def test_settlements() -> None:
    new = {
        "ticker": "KXA-1",
        "event_ticker": "KXA",
        "market_result": "yes",
        "yes_count_fp": "3.00",
        "no_count_fp": "0.00",
        "yes_total_cost_dollars": "1.2000",
        "no_total_cost_dollars": "0.0000",
        "revenue": 300,
        "fee_cost": "0.020000",
        "value": 100,
        "settled_time": TIME,
    }
    dropped = ("_fp", "_dollars")
    old = {name: value for name, value in new.items() if not name.endswith(dropped)}
    old |= {"yes_count": 3, "no_count": 0, "yes_total_cost": 120, "no_total_cost": 0}

    found = ask(
        "GET /portfolio/settlements",
        {"settlements": [new, old], "cursor": ""},
        lambda rest: everything(rest.settlements(min_ts=1)),
    )

    settled = Settlement(
        "KXA-1", "yes", 300, 0, 3_000_000, 20_000, TIME_NS, "KXA", 1_200_000, 0, 10_000
    )
    assert found == [settled, settled]


def test_small_reads() -> None:
    async def scene(rig: Rig) -> None:
        server, rest = rig.server, rig.rest
        server.on(
            "GET /portfolio/orders/queue_positions",
            {
                "queue_positions": [
                    {"order_id": "o-1", "market_ticker": "K", "queue_position_fp": "12.00"},
                    {"order_id": "o-2", "market_ticker": "K", "queue_position": 3},
                ]
            },
        )
        server.on("GET /historical/cutoff", {"orders_updated_ts": TIME})
        server.on("GET /exchange/user_data_timestamp", {"as_of_time": TIME})
        costs = [{"method": "POST", "path": "/x", "cost": 2}]
        server.on("GET /account/endpoint_costs", {"default_cost": 10, "endpoint_costs": costs})
        server.on("GET /historical/markets", {"markets": [MARKET]})

        assert await rest.queue_positions(["K", "L"]) == {"o-1": 1_200, "o-2": 300}
        assert rig.last.query == [("market_tickers", "K,L")]
        assert await rest.historical_cutoff() == HistoricalCutoff(orders_updated_ns=TIME_NS)
        assert await rest.user_data_timestamp() == TIME_NS
        assert await rest.endpoint_costs() == EndpointCosts(10, (EndpointCost("POST", "/x", 2),))
        assert len(await everything(rest.markets(is_historical=True))) == 1

    run(scene)


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ({"usage_tier": "basic", "read_limit": 200, "write_limit": 100}, Limits("basic", 200, 100)),
        (
            {
                "usage_tier": "prime",
                "read": {"bucket_capacity": 4_000, "refill_rate": 4_000},
                "write": {"bucket_capacity": 8_000, "refill_rate": 4_000},
            },
            Limits("prime", 4_000, 4_000, 4_000, 8_000),
        ),
    ],
)
def test_account_limits_of_both_shapes(body: Any, limits: Limits) -> None:
    """Section 9."""
    assert ask("GET /account/limits", body, KalshiRest.account_limits) == limits


def test_our_own_limits_follow_what_the_venue_granted() -> None:
    """B25, R-68: below the venue's, and as fast as the account's tier allows."""

    async def scene(rig: Rig) -> tuple[float, float]:
        body = {"usage_tier": "prime", "read_limit": 4_000, "write_limit": 4_000}
        rig.server.on("GET /account/limits", body)
        rig.server.on("GET /markets/K", {"market": MARKET})

        slow_s = await seconds_for_reads(rig)
        assert (await rig.rest.adopt_limits()).usage_tier == "prime"
        return slow_s, await seconds_for_reads(rig)

    slow_s, fast_s = run(scene)

    assert slow_s > 1.4  # 40 reads of 10 tokens: a burst of 144, then 180 per second
    assert fast_s < 0.2


async def seconds_for_reads(rig: Rig) -> float:
    begin_ns = rig.context.clock.now_ns
    for _ in range(40):
        await rig.rest.market("K")
    return (rig.context.clock.now_ns - begin_ns) / 1e9


def test_order_groups() -> None:
    """10.6: bodies of empty objects are sent as JSON all the same."""

    async def scene(rig: Rig) -> None:
        server, rest = rig.server, rig.rest
        group = {"contracts_limit_fp": "250.00", "is_auto_cancel_enabled": True}
        below = "/portfolio/order_groups"
        server.on(f"GET {below}", {"order_groups": [group | {"id": "g"}]})
        server.on(f"GET {below}/g", group | {"orders": ["o-1"]})
        server.on(f"POST {below}/create", {"order_group_id": "g"}, status=201)
        for verb in ("DELETE", "PUT"):
            for end in ("", "/reset", "/trigger", "/limit"):
                server.on(f"{verb} {below}/g{end}", {})

        assert await rest.order_groups() == [OrderGroup("g", 25_000, True)]
        assert await rest.order_group("g") == OrderGroup("g", 25_000, True, ("o-1",))
        assert await rest.create_order_group(25_000) == "g"
        await rest.reset_order_group("g")
        await rest.trigger_order_group("g")
        await rest.limit_order_group("g", 150)
        await rest.delete_order_group("g")

        limit = {"contracts_limit_fp": "1.50"}
        assert [each.body for each in server.heard[2:]] == [
            {"contracts_limit_fp": "250.00"}, {}, {}, limit, None,
        ]  # fmt: skip
        assert server.heard[3].headers["Content-Type"] == "application/json"

    run(scene)
