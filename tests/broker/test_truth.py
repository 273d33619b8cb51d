"""The broker's own books: whatever else fails in a test, these must not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.protocol import Submit
from tests.broker.truth import (
    CANCELLED,
    FILLED,
    REJECTED,
    ZERO,
    Books,
    NoOrder,
    Received,
    TrueOrder,
)


def books() -> Books:
    kept = Books(cash={"main": Decimal(1000)})
    kept.set_price("BTC", Decimal(100), Decimal(101))
    return kept


def wish(
    name: str = "a",
    side: str = "buy",
    quantity: str = "1",
    price: str | None = None,
    stop: str | None = None,
) -> Submit:
    kind = "market" if price is None else "limit"
    limit = None if price is None else Decimal(price)
    stop_price = None if stop is None else Decimal(stop)
    return Submit(1, name, "BTC", side, kind, Decimal(quantity), limit, stop_price)


def test_a_buy_pays_price_and_fee_and_a_sell_receives_less_the_fee() -> None:
    kept = books()

    kept.fill(kept.submit("main", wish("a"), 1), Decimal(1), 2)
    kept.fill(kept.submit("main", wish("b", "sell", "0.4"), 3), Decimal(1), 4)

    assert [row.quantity for row in kept.positions("main")] == [Decimal("0.6")]
    expected = Decimal(1000) - Decimal("101.101") + Decimal("40") - Decimal("0.04")
    assert [row.total for row in kept.balances("main")] == [expected]
    assert [order.status for order in kept] == [FILLED, FILLED]
    kept.audit()


def test_a_second_order_of_the_same_client_id_is_taken_and_shows() -> None:
    kept = books()
    for number in (1, 2):
        kept.received.append(Received(number, "main", "submit", "a"))
        kept.submit("main", wish("a"), number)

    assert [order.venue_order_id for order in kept] == ["V1", "V2"]
    assert kept.sent_twice() == ["a"]


def test_a_repeated_cancel_is_no_order_sent_twice() -> None:
    kept = books()
    kept.received += [Received(n, "main", "cancel", "a") for n in (1, 2)]

    assert kept.sent_twice() == []


@pytest.mark.parametrize(
    ("order", "trades"),
    [
        (wish(), True),
        (wish(price="101"), True),
        (wish(price="100.5"), False),
        (wish(side="sell", price="100"), True),
        (wish(side="sell", price="100.5"), False),
        (wish(stop="102"), False),
    ],
)
def test_an_order_trades_at_prices_as_good_as_its_own(order: Submit, trades: bool) -> None:
    kept = books()

    taken = kept.submit("main", order, 1)

    assert kept.may_trade(taken) is trades
    assert kept.fillable("BTC") == ([taken] if trades else [])


@pytest.mark.parametrize(("side", "stop", "price"), [("buy", "105", 104), ("sell", "95", 95)])
def test_a_stop_wakes_when_it_is_touched_and_stays_awake(side: str, stop: str, price: int) -> None:
    kept = books()
    order = kept.submit("main", wish(side=side, stop=stop), 1)

    kept.set_price("BTC", Decimal(price), Decimal(price + 1))
    kept.set_price("BTC", Decimal(100), Decimal(101))

    assert order.is_triggered
    assert kept.may_trade(order)


def test_a_bust_returns_money_and_goods_and_ends_the_order() -> None:
    kept = books()
    order = kept.submit("main", wish(quantity="2"), 1)
    execution = kept.fill(order, Decimal(1), 2)

    kept.bust(execution.execution_id, 5)
    kept.bust(execution.execution_id, 6)

    assert kept.positions("main") == ()
    assert kept.balances("main")[0].total == 1000
    assert (order.status, order.filled) == (CANCELLED, ZERO)
    assert [row.time_ns for row in kept.executions_since("main", 5)] == [5]
    kept.audit()


def test_a_bust_of_a_whole_fill_takes_the_order_with_it() -> None:
    kept = books()
    order = kept.submit("main", wish(), 1)

    kept.bust(kept.fill(order, Decimal(1), 2).execution_id, 5)

    assert (order.status, order.filled, order.changed_ns) == (CANCELLED, ZERO, 5)
    kept.audit()


@pytest.mark.parametrize(
    "order",
    [
        wish(quantity="0"),
        wish(side="long"),
        Submit(1, "a", "GOLD", "buy", "market", Decimal(1)),
    ],
)
def test_what_makes_no_sense_is_rejected(order: Submit) -> None:
    kept = books()

    assert kept.submit("main", order, 1).status == REJECTED
    assert kept.submit("nobody", wish(), 1).reason == "unknown account nobody"
    assert kept.working_orders("main") == []


def test_only_a_working_order_is_found_to_be_cancelled_or_changed() -> None:
    kept = books()
    order = kept.submit("main", wish(quantity="2"), 1)
    kept.fill(order, Decimal(1), 2)

    with pytest.raises(NoOrder, match="unknown order"):
        kept.working_order("main", "b")
    with pytest.raises(NoOrder, match="1 is filled already"):
        change(kept, order, Decimal(1))
    change(kept, order, Decimal(3))
    assert kept.working_order("main", "a").remaining == 2
    kept.end(order, 4)
    with pytest.raises(NoOrder, match="the order is cancelled"):
        kept.working_order("main", "a")


def change(kept: Books, order: TrueOrder, quantity: Decimal) -> None:
    kept.change(order, 3, revision=1, quantity=quantity, price=None, stop_price=None)


def test_an_audit_finds_books_that_were_cooked() -> None:
    kept = books()
    order = kept.submit("main", wish(), 1)
    kept.fill(order, Decimal(1), 2)

    order.filled = Decimal("0.9")

    with pytest.raises(AssertionError):
        kept.audit()


quantities = st.decimals("0.01", 5, places=2)
prices = st.decimals(50, 150, places=1)


@given(st.lists(st.tuples(st.sampled_from("SFBEP"), quantities, prices, st.booleans())))
def test_sums_agree_with_the_executions_whatever_happens(
    steps: list[tuple[str, Decimal, Decimal, bool]],
) -> None:
    kept = books()
    for number, (what, quantity, price, is_buy) in enumerate(steps):
        working = kept.working_orders("main")
        if what == "S":
            kept.submit("main", wish(f"{number}", "buy" if is_buy else "sell", str(quantity)), 1)
        elif what == "P":
            kept.set_price("BTC", price, price + 1)
        elif what == "F" and working:
            kept.fill(working[-1], quantity, number)
        elif what == "E" and working:
            kept.end(working[0], number)
        elif what == "B" and kept.executions:
            kept.bust(f"E{len(kept.executions)}", number)
        kept.audit()
