"""Our commands in the venue's words, and its answers in the core's."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi import order_words as words
from adapters.kalshi.market_reads import instrument_of
from adapters.kalshi.messages import Fill, MarketPosition, PriceRange, UserOrder
from adapters.kalshi.rest_values import Market, NewOrder, Settlement
from framework.model.account import Settled
from framework.model.commands import SubmitOrder
from framework.model.decimals import CONTEXT
from framework.model.orders import (
    Fee,
    Liquidity,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from framework.model.reports import EndKind, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderReport, PositionReport

NOW_NS = 1_780_000_000_123_456_789
NOW_MS_NS = 1_780_000_000_123_000_000
TAPERED = (PriceRange(0, 1_000, 10), PriceRange(1_000, 9_000, 100), PriceRange(9_000, 10_000, 10))
INSTRUMENT = instrument_of(Market("K", price_ranges=TAPERED, is_fractional=True), "x")


def command(side: Side = Side.BUY, *, reduce_only: bool = False, **intent: Any) -> SubmitOrder:
    terms: dict[str, Any] = {"type": OrderType.LIMIT, "price": Decimal("0.455")} | intent
    wish = OrderIntent("run", "key", "x:K", side, Decimal("2.5"), **terms)
    return SubmitOrder("c-1", "main", wish, Decimal("2.50"), NOW_NS, reduce_only)


LIMIT = NewOrder(ticker="K", client_order_id="c-1", is_bid=True, count=250, price=4_550)


@pytest.mark.parametrize(
    ("intent", "changes"),
    [
        ({}, {}),
        ({"side": Side.SELL}, {"is_bid": False}),
        ({"post_only": True}, {"is_post_only": True}),
        ({"reduce_only": True}, {"is_reduce_only": True}),
        ({"time_in_force": TimeInForce.IOC}, {"time_in_force": "immediate_or_cancel"}),
        ({"time_in_force": TimeInForce.FOK}, {"time_in_force": "fill_or_kill"}),
        (
            {"time_in_force": TimeInForce.GTD, "expire_ns": 5_000_000_001},
            {"expiration_s": 6},  # whole seconds: not before the time that was asked for
        ),
        ({"time_in_force": TimeInForce.GTD, "expire_ns": 5_000_000_000}, {"expiration_s": 5}),
    ],
)
def test_an_order_in_the_venues_words(intent: Any, changes: Any) -> None:
    sent = words.new_order(command(**intent), INSTRUMENT)

    assert sent == msgspec.structs.replace(LIMIT, **changes)


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 9_990), (Side.SELL, 10)])
def test_a_market_order_is_a_limit_at_the_end_of_the_grid(side: Side, price: int) -> None:
    """10.4: a price is required, and this one takes whatever rests."""
    sent = words.new_order(command(side, type=OrderType.MARKET, price=None), INSTRUMENT)

    assert (sent.price, sent.time_in_force) == (price, "immediate_or_cancel")


def test_a_market_order_where_no_end_of_the_grid_is_known() -> None:
    unlimited = msgspec.structs.replace(INSTRUMENT, minimum_price=None, maximum_price=None)
    prices = [
        words.new_order(command(side, type=OrderType.MARKET, price=None), unlimited).price
        for side in (Side.BUY, Side.SELL)
    ]

    assert prices == [10_000, 0]  # which the venue refuses


@given(st.integers(0, 10_000), st.integers(0, 10**14), st.integers(-(10**17), 10**17))
def test_integers_become_decimals_and_integers_again(price: int, count: int, amount: int) -> None:
    """K65."""
    assert words.price_of(words.dollars(price)) == price
    assert words.count_of(words.contracts(count)) == count
    assert words.money(amount) * 1_000_000 == CONTEXT.create_decimal(amount)


ORDER = UserOrder("o-1", "c-1", "K", "resting", "yes", 4_550, 1_000, 0, 1_000, created_ns=5)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, OrderStatus.ACCEPTED),
        ({"fill_count": 1}, OrderStatus.PARTIALLY_FILLED),
        ({"status": "executed", "fill_count": 1_000}, OrderStatus.FILLED),
        ({"status": "canceled"}, OrderStatus.CANCELLED),
        ({"status": "canceled", "last_update_reason": "SelfTradeCancel"}, OrderStatus.CANCELLED),
        ({"status": "canceled", "last_update_reason": "ExpiryCancel"}, OrderStatus.EXPIRED),
        ({"status": "canceled", "last_update_reason": "CloseCancel"}, OrderStatus.EXPIRED),
        ({"status": "canceled", "last_update_reason": "PostOnlyCrossCancel"}, OrderStatus.REJECTED),
        (
            {"status": "canceled", "last_update_reason": "ReduceOnlyCancel", "fill_count": 5},
            OrderStatus.CANCELLED,
        ),
    ],
)
def test_where_an_order_stands(changes: Any, status: OrderStatus) -> None:
    assert words.status_of(msgspec.structs.replace(ORDER, **changes)) is status


def test_how_an_order_ended() -> None:
    ended = msgspec.structs.replace(ORDER, status="canceled")

    assert words.end_of(ended) is EndKind.CANCELLED


def test_the_report_of_an_order() -> None:
    report = words.order_report(ORDER, "main", "x", NOW_NS)

    assert report == OrderReport(
        "main",
        "o-1",
        "x:K",
        Side.BUY,
        Decimal(10),
        Decimal(0),
        OrderStatus.ACCEPTED,
        5,
        "c-1",
        price=Decimal("0.455"),
    )


@pytest.mark.parametrize(
    ("status", "counts", "quantity"),
    [
        ("resting", (1_000, 300, 200), 5),  # it was made smaller, and says its first count
        ("executed", (1_000, 300, 0), 3),
        ("canceled", (1_000, 300, 0), 10),
        ("canceled", (200, 300, 0), 3),  # it was made larger
    ],
)
def test_the_quantity_of_an_order(status: str, counts: tuple[int, int, int], quantity: int) -> None:
    initial, filled, remaining = counts
    order = UserOrder("o", "c", "K", status, "no", 100, initial, filled, remaining)

    report = words.order_report(order, "main", "x", NOW_NS)

    assert (report.quantity, report.filled) == (Decimal(quantity), Decimal(filled) / 100)
    assert (report.side, report.time_ns) == (Side.SELL, NOW_NS)


FILL = Fill("t", "o", "", "K", "no", 3_500, 250, True, 12_345, time_ns=NOW_NS)


def test_a_fill_as_a_fact_and_as_a_report() -> None:
    """Both name a fill's time alike, wherever it was read: the stream has milliseconds."""
    fees = (Fee("USD", Decimal("0.012345")),)
    price, quantity = Decimal("0.35"), Decimal("2.5")

    assert words.fill_fact(FILL, "c", 7) == OrderFilled(
        "c", "t", quantity, price, NOW_MS_NS, fees, Liquidity.TAKER
    )
    assert words.execution_report(FILL, "main", "x", "c", 7) == ExecutionReport(
        "main",
        "t",
        "o",
        "x:K",
        Side.SELL,
        quantity,
        price,
        NOW_MS_NS,
        "c",
        fees,
        Liquidity.TAKER,
    )


@pytest.mark.parametrize(
    ("is_taker", "liquidity"),
    [(None, Liquidity.UNKNOWN), (True, Liquidity.TAKER), (False, Liquidity.MAKER)],
)
def test_a_fill_of_which_little_is_said(is_taker: bool | None, liquidity: Liquidity) -> None:
    fill = msgspec.structs.replace(FILL, is_taker=is_taker, fee_cost=None, time_ns=None)

    fact = words.fill_fact(fill, "c", NOW_NS)

    assert (fact.fees, fact.liquidity, fact.time_ns) == ((), liquidity, NOW_MS_NS)


def test_a_position_of_no_is_less_than_nothing() -> None:
    report = words.position_report(MarketPosition("K", -250), "main", "x", NOW_NS)

    assert report == PositionReport("main", "x:K", Decimal("-2.5"), NOW_NS)


def paid(result: str, *, yes: int = 0, no: int = 0, revenue: int = 0, **more: Any) -> Decimal:
    settlement = Settlement("K", result, yes, no, revenue, value=more.pop("cents", None))
    told = words.settled(settlement, "main", "x", NOW_NS, **more)
    assert told == Settled("main", "x:K", told.price, NOW_NS, "settlement K")
    return told.price


def test_what_a_yes_contract_was_worth() -> None:
    """The market knows best; else what came in, and what is said of it in whole cents."""
    assert paid("yes", yes=500, revenue=5_000_000) == 1
    assert paid("yes", no=500) == 1
    assert paid("no", no=500, revenue=5_000_000) == 0
    assert paid("no", yes=500, value=3_333) == 0
    assert paid("scalar", yes=500, revenue=1_660_000, value=3_333) == Decimal("0.3333")
    assert paid("scalar", yes=500, revenue=1_660_000) == Decimal("0.332")
    assert paid("scalar", no=500, revenue=1_660_000) == Decimal("0.668")
    assert paid("scalar", revenue=0, cents=3_300) == Decimal("0.33")
    assert paid("scalar") == 0
