"""What a gateway says and what becomes of it: pure."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import heard
from adapters.tektii.codec import amount, past_ns, signed, time_ns, to_candle, to_quote
from adapters.tektii.heard import FrameKind, OrderKind, Status, word
from adapters.tektii.order_codec import (
    execution_report,
    fill_fact,
    filled_of,
    held_of,
    order_report,
    side_of,
)
from adapters.tektii.words import time_text
from framework.errors import MalformedMessage
from framework.model.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce

NOW_NS = 1_780_000_000_000_000_000
D = Decimal


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_times_keep_every_nanosecond(at_ns: int) -> None:
    assert time_ns(time_text(at_ns)) == at_ns


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-03-02T15:10:00Z", 1_772_464_200_000_000_000),
        ("2026-03-02t15:10:00.5z", 1_772_464_200_500_000_000),
        ("2026-03-02 16:10:00+01:00", 1_772_464_200_000_000_000),
        ("2026-03-02T16:10:00.0000000019+0100", 1_772_464_200_000_000_001),
        ("2026-03-02T15:10:00", None),
        ("2026-13-02T15:10:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_rfc_3339_with_an_offset(text: str | None, at_ns: int | None) -> None:
    assert time_ns(text) == at_ns


def test_nothing_has_happened_in_the_future() -> None:
    assert past_ns(time_text(NOW_NS - 5), NOW_NS) == NOW_NS - 5
    assert past_ns(time_text(NOW_NS + 5), NOW_NS) == NOW_NS
    assert past_ns("1969-12-31T00:00:00Z", NOW_NS) == NOW_NS
    assert past_ns(None, NOW_NS) == NOW_NS


@pytest.mark.parametrize("value", [None, D("NaN"), D("Infinity"), D("-1"), D("1E+50")])
def test_r45_what_is_no_amount_is_none(value: Decimal | None) -> None:
    with pytest.raises(MalformedMessage):
        amount(value, "quantity")


def test_amounts_with_a_sign_are_only_taken_where_they_may_have_one() -> None:
    assert signed(D("-1.50"), "cash") == D("-1.50")
    with pytest.raises(MalformedMessage):
        signed(None, "cash")


@pytest.mark.parametrize("said", [None, "", "UP", "unknown"])
def test_a_side_that_is_none_is_refused(said: str | None) -> None:
    with pytest.raises(MalformedMessage):
        side_of(said)


def test_words_are_taken_in_any_case_and_new_ones_are_unknown() -> None:
    assert word(Status, "partially_filled") is Status.PARTIALLY_FILLED
    assert word(OrderKind, "ICEBERG") is OrderKind.UNKNOWN
    assert word(FrameKind, "QUOTE") is FrameKind.QUOTE
    assert word(FrameKind, None) is FrameKind.UNKNOWN


# -- quotes and candles ----------------------------------------------------------------------------


def quote(**said: Any) -> heard.Quote:
    return heard.Quote(**{"symbol": "AAPL", "bid": 149.9, "ask": 150.1, **said})


def test_a_quote_has_the_gateways_time_and_sizes() -> None:
    made = to_quote(
        quote(bid_size=3.0, ask_size=0.0, timestamp=time_text(NOW_NS - 7)),
        "x",
        stamp=None,
        received_ns=NOW_NS,
        unstated=1.0,
    )

    assert (made.instrument, made.time_ns, made.received_ns) == ("x:AAPL", NOW_NS - 7, NOW_NS)
    assert (made.bid, made.ask, made.bid_size, made.ask_size) == (149.9, 150.1, 3.0, 0.0)


def test_a_size_that_is_not_said_is_no_zero_and_a_side_without_a_price_is_one() -> None:
    made = to_quote(
        quote(ask=None), "x", stamp=time_text(NOW_NS - 9), received_ns=NOW_NS, unstated=2.0
    )

    assert (made.bid_size, made.ask, made.ask_size) == (2.0, 0.0, 0.0)
    assert made.time_ns == NOW_NS - 9


@pytest.mark.parametrize(
    "said",
    [
        {"symbol": None},
        {"bid": float("nan")},
        {"ask": float("inf")},
        {"bid": -1.0},
        {"bid_size": -1.0},
        {"ask_size": float("nan")},
        {"bid": 150.1},
    ],
)
def test_t21_a_quote_that_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        to_quote(quote(**said), "x", stamp=None, received_ns=NOW_NS, unstated=1.0)


def bar(**said: Any) -> heard.Bar:
    opened = time_text(NOW_NS - 300_000_000_000)
    numbers = {"open": 2.0, "high": 3.0, "low": 1.0, "close": 2.5, "volume": 7.0}
    return heard.Bar(**{"symbol": "A", "timeframe": "5m", "timestamp": opened, **numbers, **said})


def test_a_bar_is_closed_once_its_frame_is_not_older_than_its_end() -> None:
    closed = to_candle(bar(), "x", stamp=time_text(NOW_NS), received_ns=NOW_NS)
    forming = to_candle(bar(), "x", stamp=time_text(NOW_NS - 1), received_ns=NOW_NS)
    early = to_candle(bar(), "x", stamp=None, received_ns=NOW_NS - 5)

    assert (closed.is_closed, closed.time_ns) == (True, closed.close_ns)
    assert (forming.is_closed, forming.time_ns) == (False, NOW_NS - 1)
    assert (early.is_closed, early.time_ns) == (False, NOW_NS - 5)
    assert (closed.open_ns, closed.close_ns) == (NOW_NS - 300_000_000_000, NOW_NS)


@pytest.mark.parametrize(
    "said",
    [
        {"symbol": ""},
        {"timeframe": "7m"},
        {"timeframe": None},
        {"timestamp": "noon"},
        {"open": None},
        {"close": float("nan")},
        {"low": 2.2},
        {"volume": -1.0},
        {"volume": float("inf")},
    ],
)
def test_t21_a_bar_that_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        to_candle(bar(**said), "x", stamp=None, received_ns=NOW_NS)


# -- orders and trades -----------------------------------------------------------------------------


def order(**said: Any) -> heard.Order:
    terms = {"id": "o-1", "symbol": "A", "side": "sell", "quantity": D(10)}
    return heard.Order(**{**terms, **said})


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("PENDING", None, OrderStatus.ACCEPTED),
        ("OPEN", "0", OrderStatus.ACCEPTED),
        ("OPEN", "3", OrderStatus.PARTIALLY_FILLED),
        ("PENDING_CANCEL", "3", OrderStatus.PARTIALLY_FILLED),
        ("FILLED", None, OrderStatus.FILLED),
        ("CANCELLED", "3", OrderStatus.CANCELLED),
        ("EXPIRED", "0", OrderStatus.EXPIRED),
        ("REJECTED", None, OrderStatus.REJECTED),
        ("THAWED", "0", OrderStatus.ACCEPTED),
        (None, "10", OrderStatus.FILLED),
    ],
)
def test_statuses(status: str | None, filled: str | None, expected: OrderStatus) -> None:
    amount_of = None if filled is None else D(filled)
    said = order(status=status, filled_quantity=amount_of)
    report = order_report(said, "main", "x", order_id="", now_ns=NOW_NS)

    assert report.status is expected
    assert report.filled == filled_of(said)


def test_a_report_says_what_the_order_asks_for() -> None:
    said = order(
        order_type="STOP_LIMIT",
        limit_price=D("1.10"),
        stop_price=D("1.20"),
        average_fill_price=D("1.15"),
        filled_quantity=D(12),
        time_in_force="DAY",
        created_at=time_text(NOW_NS - 1),
        reject_reason="UNKNOWN",
    )
    report = order_report(said, "main", "x", order_id="mine", now_ns=NOW_NS)

    assert (report.type, report.time_in_force) == (OrderType.STOP_LIMIT, TimeInForce.DAY)
    assert (report.price, report.stop_price, report.average_price) == (
        D("1.10"),
        D("1.20"),
        D("1.15"),
    )
    assert (report.quantity, report.time_ns, report.side) == (D(12), NOW_NS - 1, Side.SELL)


def test_zero_is_no_price() -> None:
    said = order(limit_price=D(0), stop_price=D("NaN"), average_fill_price=D(5))
    report = order_report(said, "main", "x", order_id="", now_ns=NOW_NS)

    assert (report.price, report.stop_price, report.average_price) == (None, None, None)


@pytest.mark.parametrize("said", [{"id": None}, {"symbol": ""}, {"quantity": None}, {"side": "?"}])
def test_what_makes_no_order_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        order_report(order(**said), "main", "x", order_id="", now_ns=NOW_NS)


def trade(**said: Any) -> heard.Trade:
    terms = {"id": "t", "order_id": "o", "symbol": "A", "side": "BUY"}
    return heard.Trade(**{**terms, "quantity": D(1), "price": D(2), **said})


def test_a_trade_without_a_commission_cost_nothing() -> None:
    fill = fill_fact(trade(commission=D(0), commission_currency="USD"), "mine", now_ns=NOW_NS)
    nameless = fill_fact(trade(commission=D(1)), "mine", now_ns=NOW_NS)

    assert fill.fees == nameless.fees == ()
    assert fill.liquidity is Liquidity.UNKNOWN


@pytest.mark.parametrize("said", [{"id": ""}, {"quantity": None}, {"price": D(-1)}])
def test_what_makes_no_trade_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        fill_fact(trade(**said), "mine", now_ns=NOW_NS)
    with pytest.raises(MalformedMessage):
        execution_report(trade(symbol=None), "main", "x", order_id="", now_ns=NOW_NS)


def test_a_position_has_its_sign_by_its_side() -> None:
    assert held_of(heard.Position(side="SHORT", quantity=D(3))) == -3
    assert held_of(heard.Position(side="LONG", quantity=D(-3))) == 3
    assert held_of(heard.Position(side=None, quantity=D(0))) == 0


# -- leniency --------------------------------------------------------------------------------------

STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just("NaN"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(heard.Order.__struct_fields__), STRANGE))
def test_r45_an_order_of_any_members_is_read_or_refused(said: dict[str, Any]) -> None:
    """R-45: a value of another shape is refused with its place, nothing else is raised."""
    with suppress(MalformedMessage):
        found = heard.read(msgspec.json.encode(said), heard.Order)
        report = order_report(found, "main", "x", order_id="", now_ns=NOW_NS)
        assert report.venue_order_id
        assert report.quantity >= report.filled >= 0


@given(st.dictionaries(st.sampled_from(heard.Order.__struct_fields__), st.none()))
def test_null_is_the_same_as_missing(said: dict[str, None]) -> None:
    assert heard.read(msgspec.json.encode(said), heard.Order) == heard.Order()
