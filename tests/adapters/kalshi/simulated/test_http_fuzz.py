"""Whatever is sent, the venue answers in its own shape and never with 500."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.kalshi.simulated.rest_rig import A, desk, play

WORDS = st.sampled_from(
    [
        *("ticker", "side", "action", "count", "count_fp", "yes_price", "price", "orders", "ids"),
        *("client_order_id", "time_in_force", "reduce_by", "reduce_to", "contracts_limit"),
        *("self_trade_prevention_type", "expiration_ts", "order_id", "buy_max_cost"),
    ]
)
VALUES = st.one_of(
    st.sampled_from([A, "yes", "no", "buy", "sell", "bid", "ask", "0.5", "10", "fill_or_kill"]),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
)
BODIES = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=8),
    max_leaves=12,
)
WHOLE = st.integers(-(2**40), 2**40)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
FIRST_ORDERS = st.fixed_dictionaries(
    {"ticker": st.just(A), "side": st.just("yes"), "action": st.sampled_from(["buy", "sell"])},
    optional={
        "count": WHOLE,
        "count_fp": DECIMALS,
        "yes_price": WHOLE,
        "no_price_dollars": DECIMALS,
        "expiration_ts": WHOLE,
        "buy_max_cost": WHOLE,
        "subaccount": WHOLE,
        "order_group_id": st.text(max_size=3),
    },
)
ORDER = "/portfolio/orders/x"
WRITES = [
    ("POST", "/portfolio/orders"),
    ("POST", "/portfolio/orders/batched"),
    ("DELETE", "/portfolio/orders/batched"),
    ("POST", f"{ORDER}/amend"),
    ("POST", f"{ORDER}/decrease"),
    ("POST", "/portfolio/events/orders"),
    ("POST", "/portfolio/events/orders/batched"),
    ("DELETE", "/portfolio/events/orders/batched"),
    ("POST", "/portfolio/events/orders/x/amend"),
    ("POST", "/portfolio/order_groups/create"),
    ("PUT", "/portfolio/order_groups/x/limit"),
    ("PUT", "/portfolio/order_groups/x/reset"),
]
READS = [
    *("/markets", "/markets/trades", "/markets/orderbooks", f"/markets/{A}/orderbook", "/events"),
    *("/markets/candlesticks", "/series", "/portfolio/orders", "/portfolio/fills"),
    *("/portfolio/positions", "/portfolio/settlements", "/historical/orders"),
]
NAMES = st.sampled_from(
    [
        *("limit", "cursor", "status", "ticker", "tickers", "min_ts", "max_close_ts", "depth"),
        *("market_tickers", "start_ts", "end_ts", "period_interval", "event_ticker", "subaccount"),
    ]
)
TEXTS = st.one_of(
    st.sampled_from([A, "open", "1", "-1", "0", "1000", "99999999999999999999", "cGFnZS8tMQ=="]),
    st.text(st.characters(codec="utf-8"), max_size=8),
)


@given(BODIES | FIRST_ORDERS)
def test_no_body_breaks_a_write(body: Any) -> None:
    async def main() -> None:
        async with desk() as at:
            for method, path in WRITES:
                status, answer = await at.alice.answer(method, path, body if body else {})
                assert status < 500
                assert isinstance(answer, dict)

    play(main)


@given(st.binary(max_size=64))
def test_no_bytes_break_a_write(body: bytes) -> None:
    async def main() -> None:
        async with desk() as at:
            for method, path in WRITES:
                headers = {"Content-Type": "application/json"}
                status, content = await at.alice.raw(method, path, data=body, headers=headers)
                assert status < 500
                assert json.loads(content) is not None

    play(main)


@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_no_parameter_breaks_a_read(query: dict[str, str]) -> None:
    async def main() -> None:
        async with desk() as at:
            for path in READS:
                status, answer = await at.alice.answer("GET", path, **query)
                assert status < 500
                assert isinstance(answer, dict)

    play(main)
