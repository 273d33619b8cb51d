"""Whatever the venue has to say, three wires say the same, to the last digit (K65, K66)."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi import rest_reading as reading
from adapters.kalshi import wire_rest as wire
from adapters.kalshi.messages import UserOrder
from adapters.kalshi.rest_answers import read_body
from adapters.kalshi.rest_requests import create_order
from adapters.kalshi.rest_values import NewOrder
from adapters.kalshi.simulated import domain, market_bodies, portfolio_bodies
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.requests import FirstOrder, SecondOrder

PRICES = st.integers(0, domain.DOLLAR)
COUNTS = st.integers(0, 10**13)  # a hundred thousand million contracts
MONEY = st.integers(-(10**17), 10**17)
PAYMENTS = st.integers(0, 10**17)
TIMES = st.integers(0, 4 * 10**15).map(lambda microseconds: microseconds * 1_000)
SIDES: st.SearchStrategy[domain.Side] = st.sampled_from(("yes", "no"))
ORDERS = st.builds(
    domain.Order,
    order_id=st.just("o"),
    account=st.just("main"),
    user_id=st.just("u"),
    client_order_id=st.text(max_size=8),
    ticker=st.just("KX"),
    side=SIDES,
    action=st.sampled_from(("buy", "sell")),
    order_type=st.just("limit"),
    status=st.sampled_from(("resting", "canceled", "executed")),
    yes_price=PRICES,
    initial_count=COUNTS,
    fill_count=COUNTS,
    remaining_count=COUNTS,
    taker_fill_cost=PAYMENTS,
    maker_fill_cost=PAYMENTS,
    taker_fees=PAYMENTS,
    maker_fees=PAYMENTS,
    time_in_force=st.just("good_till_canceled"),
    post_only=st.just(False),
    reduce_only=st.just(False),
    cancel_order_on_pause=st.just(False),
    self_trade_prevention_type=st.just("maker"),
    order_group_id=st.just("g"),
    subaccount=st.integers(0, 63),
    expiration_ns=st.none() | TIMES,
    created_ns=TIMES,
    updated_ns=TIMES,
    last_update_reason=st.just(""),
)
FILLS = st.builds(
    domain.Fill,
    trade_id=st.just("t"),
    order_id=st.just("o"),
    client_order_id=st.just("c"),
    account=st.just("main"),
    ticker=st.just("KX"),
    outcome_side=SIDES,
    action=st.sampled_from(("buy", "sell")),
    yes_price=PRICES,
    count=COUNTS,
    is_taker=st.booleans(),
    fee=PAYMENTS,
    post_position=st.just(0),
    subaccount=st.just(0),
    time_ns=TIMES,
)
POSITIONS = st.builds(
    domain.Position,
    account=st.just("main"),
    user_id=st.just("u"),
    ticker=st.just("KX"),
    position=st.integers(-(10**13), 10**13),
    position_cost=MONEY,
    realized_pnl=MONEY,
    fees_paid=MONEY,
    updated_ns=TIMES,
)
TRADES = st.builds(
    domain.Trade,
    trade_id=st.just("t"),
    ticker=st.just("KX"),
    yes_price=PRICES,
    count=COUNTS,
    taker_side=SIDES,
    time_ns=TIMES,
)


def told(
    body_of: Callable[[Profile], Any], kind: type[msgspec.Struct], read: Callable[[Any], Any]
) -> Any:
    """Return what all three wires say, every field of them readable."""
    values = []
    for profile in Profile:
        value, left_out = read_body(msgspec.json.encode(body_of(profile)), kind, read)
        assert left_out == ""
        values.append(value)
    assert values[1:] == values[:1] * 2
    return values[0]


@given(ORDERS)
def test_orders(order: domain.Order) -> None:
    assert told(
        lambda profile: portfolio_bodies.order_body(order, profile), wire.OrderBody, reading.order
    ) == UserOrder(
        order.order_id,
        order.client_order_id,
        order.ticker,
        order.status,
        order.outcome_side,
        order.yes_price,
        order.initial_count,
        order.fill_count,
        order.remaining_count,
        user_id=order.user_id,
        taker_fill_cost=order.taker_fill_cost,
        maker_fill_cost=order.maker_fill_cost,
        taker_fees=order.taker_fees,
        maker_fees=order.maker_fees,
        order_group_id="g",
        self_trade_prevention_type="maker",
        expiration_ns=order.expiration_ns,
        created_ns=order.created_ns,
        last_update_ns=order.updated_ns,
        subaccount=order.subaccount,
    )


@given(FILLS)
def test_fills(fill: domain.Fill) -> None:
    read = told(
        lambda profile: portfolio_bodies.fill_body(fill, profile), wire.FillBody, reading.fill
    )

    assert (read.outcome_side, read.yes_price, read.count) == (
        fill.outcome_side,
        fill.yes_price,
        fill.count,
    )
    assert (read.fee_cost, read.is_taker, read.time_ns) == (fill.fee, fill.is_taker, fill.time_ns)


@given(POSITIONS)
def test_positions(position: domain.Position) -> None:
    """Money of positions has four decimals on the wire."""
    amounts = ("position_cost", "realized_pnl", "fees_paid")
    position = msgspec.structs.replace(
        position, **{name: getattr(position, name) // 100 * 100 for name in amounts}
    )

    read = told(
        lambda profile: portfolio_bodies.position_body(position, profile, resting_orders=0),
        wire.PositionBody,
        reading.position,
    )

    assert read.position == position.position
    assert [getattr(read, name) for name in amounts] == [
        getattr(position, name) for name in amounts
    ]


@given(TRADES)
def test_trades(trade: domain.Trade) -> None:
    read = told(
        lambda profile: market_bodies.trade_body(trade, profile), wire.TradeBody, reading.trade
    )

    assert (read.yes_price, read.no_price) == (trade.yes_price, domain.DOLLAR - trade.yes_price)
    assert (read.count, read.taker_side, read.time_ns) == (
        trade.count,
        trade.taker_side,
        trade.time_ns,
    )


@given(
    st.builds(
        NewOrder,
        ticker=st.just("KX"),
        client_order_id=st.just("c"),
        is_bid=st.booleans(),
        count=st.integers(1, 10**13),
        price=st.integers(1, domain.DOLLAR - 1),
        time_in_force=st.sampled_from(
            ("good_till_canceled", "immediate_or_cancel", "fill_or_kill")
        ),
        expiration_s=st.none() | st.integers(1, 4 * 10**9),
        is_post_only=st.booleans(),
        is_reduce_only=st.booleans(),
        cancels_on_pause=st.booleans(),
        order_group_id=st.sampled_from(("", "g")),
        subaccount=st.integers(0, 63),
    )
)
def test_orders_mean_the_same_in_both_generations(order: NewOrder) -> None:
    """10.4, 10.5, K65: to the venue, up to how the direction is put."""
    first = msgspec.json.decode(create_order(order, uses_first=True).body, type=FirstOrder)
    second = msgspec.json.decode(create_order(order).body, type=SecondOrder)

    meanings = [first.meaning(), second.meaning()]

    for meant in meanings:
        is_bid = (meant.side == "yes") == (meant.action == "buy")
        assert (is_bid, meant.price, meant.count) == (order.is_bid, order.price, order.count)
        expires_ns = None if order.expiration_s is None else order.expiration_s * 10**9
        assert meant.expiration_ns == expires_ns
    one, other = (msgspec.structs.replace(meant, side="yes", action="buy") for meant in meanings)
    assert one == other
