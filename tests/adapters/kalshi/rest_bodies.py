"""Bodies of REST answers, what they mean, and how to ask for them."""

from collections.abc import Awaitable, Callable
from typing import Any

from adapters.kalshi.messages import (
    UserOrder,
)
from adapters.kalshi.rest import KalshiRest
from tests.adapters.kalshi.scripted_rest import Rig, run

TIME = "2026-06-01T00:00:00Z"


TIME_NS = 1_780_272_000_000_000_000


TIME_S = 1_780_272_000


MARKET = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "market_type": "binary",
    "title": "Will it?",
    "status": "active",
    "open_time": TIME,
    "close_time": TIME,
    "yes_bid_dollars": "0.4100",
    "yes_ask_dollars": "0.4300",
    "last_price_dollars": "",
    "volume_fp": "120.50",
    "open_interest_fp": "7.00",
    "notional_value_dollars": "1.0000",
    "settlement_timer_seconds": 3600,
    "floor_strike": 2.5,
    "can_close_early": True,
    "fractional_trading_enabled": True,
    "price_level_structure": "linear_cent",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "rules_primary": "long text",
}


ORDER = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "ticker": "KXA-1",
    "side": "no",
    "action": "sell",
    "type": "limit",
    "status": "resting",
    "yes_price_dollars": "0.3500",
    "initial_count_fp": "20.00",
    "fill_count_fp": "5.00",
    "remaining_count_fp": "15.00",
    "maker_fees_dollars": "0.010000",
    "created_time": TIME,
    "expiration_time": None,
    "subaccount_number": 2,
}


READ_ORDER = UserOrder(
    "o-1",
    "c-1",
    "KXA-1",
    "resting",
    "yes",  # selling no is buying yes
    3_500,
    2_000,
    500,
    1_500,
    maker_fees=10_000,
    created_ns=TIME_NS,
    subaccount=2,
)


FILL = {
    "fill_id": "t-1",
    "trade_id": "t-1",
    "order_id": "o-1",
    "ticker": "KXA-1",
    "side": "no",
    "action": "sell",
    "count_fp": "5.00",
    "yes_price_dollars": "0.3500",
    "no_price_dollars": "0.6500",
    "is_taker": False,
    "fee_cost": "0.010000",
    "created_time": TIME,
    "ts": TIME_S,
}


async def everything(items: Any) -> list[Any]:
    return [item async for item in items]


async def collect(items: Any, found: list[Any]) -> None:
    """Put items where they stay when the reading fails."""
    async for item in items:
        found.append(item)  # noqa: PERF401 -- a comprehension would lose them


def ask(call: str, body: Any, question: Callable[[KalshiRest], Awaitable[Any]]) -> Any:
    """Return the client's answer where the server says `body`."""

    async def scene(rig: Rig) -> Any:
        rig.server.on(call, body)
        answer = await question(rig.rest)
        assert rig.rest.statistics()["left_out"] == 0
        return answer

    return run(scene)
