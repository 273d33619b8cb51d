"""The simulated exchange by itself: matching, balances, refusals, candles."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.binance.simulated.amounts import SCALE, to_text, to_units, value_of
from adapters.binance.simulated.domain import (
    NOBODY,
    BalancesChanged,
    BestChanged,
    Order,
    OrderChanged,
    Refused,
    TradeMade,
    VenueEvent,
)
from adapters.binance.simulated.exchange import Exchange, NewOrder
from adapters.binance.simulated.klines import MINUTE_MS, Klines
from adapters.binance.simulated.market import Market
from adapters.binance.simulated.weights import BAN_MS, TooMuch, Weights
from adapters.binance.simulated.whole import BTCUSDT

NOW_MS = 1_780_000_000_000
PRICE = to_units("60000")


class Desk:
    """An exchange with two accounts, and what it told."""

    def __init__(self, *, fee_bps: int = 10) -> None:
        klines = Klines(Random(1), price=PRICE, tick=BTCUSDT.tick, now_ms=NOW_MS, past_minutes=10)
        self.market = Market(BTCUSDT, klines, first_update_id=100)
        self.events: list[VenueEvent] = []
        opening = {"USDT": to_units("100000"), "BTC": to_units("2")}
        self.exchange = Exchange(
            [self.market],
            {"a": opening, "b": opening},
            now_ms=lambda: NOW_MS,
            on_event=self.events.append,
            fee_bps=fee_bps,
        )
        self._count = 0

    def place(
        self,
        account: str,
        quantity: str,
        price: str = "",
        *,
        sells: bool = False,
        kind: str = "LIMIT",
        time_in_force: str = "GTC",
        client_id: str = "",
    ) -> Order:
        """Place an order; without a price a market order."""
        self._count += 1
        order, _ = self.exchange.place(
            NewOrder(
                account=account,
                client_id=client_id or f"{account}{self._count}",
                symbol="BTCUSDT",
                is_buy=not sells,
                type=kind if price else "MARKET",
                quantity=to_units(quantity),
                price=to_units(price) if price else 0,
                time_in_force=time_in_force,
            )
        )
        return order

    def holds(self, account: str, asset: str) -> tuple[str, str]:
        """Return what is free and locked."""
        ((_, free, locked),) = self.exchange.purses.rows(account, asset)
        return to_text(free).rstrip("0").rstrip("."), to_text(locked).rstrip("0").rstrip(".")

    def told(self, kind: type[Any]) -> list[Any]:
        """Return the events of a type."""
        return [event for event in self.events if isinstance(event, kind)]


def test_amounts_are_exact_both_ways() -> None:
    assert to_units("0.00000001") == 1
    assert to_text(123_456_789_012) == "1234.56789012"
    assert value_of(PRICE, to_units("0.5")) == to_units("30000")
    for wrong in ("", "x", "-1", "NaN", "Infinity", "0.000000001", "1e30"):
        with pytest.raises(ValueError, match="no amount"):
            to_units(wrong)


def test_a_limit_order_locks_what_it_may_need_and_a_cancel_frees_it() -> None:
    desk = Desk()
    order = desk.place("a", "0.5", "60000")
    assert desk.holds("a", "USDT") == ("70000", "30000")

    desk.exchange.cancel(order, "c1")

    assert desk.holds("a", "USDT") == ("100000", "0")
    changes = [(c.execution_type, c.order.client_id, c.cancel_id) for c in desk.told(OrderChanged)]
    assert changes == [("NEW", "a1", ""), ("CANCELED", "a1", "c1")]
    with pytest.raises(Refused, match="Unknown order"):
        desk.exchange.cancel(order)


def test_a_better_price_gives_back_what_was_locked_and_each_side_pays_in_what_it_got() -> None:
    desk = Desk()
    desk.place("a", "1", "60000", sells=True)
    desk.place("b", "0.5", "60100")

    assert desk.holds("b", "USDT") == ("70000", "0")
    assert desk.holds("b", "BTC") == ("2.4995", "0")
    assert desk.holds("a", "BTC") == ("1", "0.5")
    assert desk.holds("a", "USDT") == ("129970", "0")
    (trade,) = desk.told(TradeMade)
    assert (trade.price, trade.is_buyer_maker) == (PRICE, False)
    assert desk.told(BestChanged)[-1].ask == (PRICE, to_units("0.5"))
    assert desk.told(BalancesChanged)


def test_a_market_order_takes_what_there_is_and_its_rest_expires() -> None:
    desk = Desk()
    desk.place("a", "0.3", "60000", sells=True)

    order = desk.place("b", "0.5")

    assert (order.status, order.executed) == ("EXPIRED", to_units("0.3"))


@pytest.mark.parametrize(
    ("price", "time_in_force", "status", "executed"),
    [
        ("60000", "IOC", "EXPIRED", "0.3"),
        ("60000", "FOK", "EXPIRED", "0"),
        ("60000", "GTC", "PARTIALLY_FILLED", "0.3"),
        ("59999", "IOC", "EXPIRED", "0"),
    ],
)
def test_the_time_in_force_decides_over_the_rest(
    price: str, time_in_force: str, status: str, executed: str
) -> None:
    desk = Desk()
    desk.place("a", "0.3", "60000", sells=True)

    order = desk.place("b", "0.5", price, time_in_force=time_in_force)

    assert (order.status, order.executed) == (status, to_units(executed))


def test_own_orders_never_trade_with_each_other() -> None:
    desk = Desk()
    maker = desk.place("a", "0.3", "60000", sells=True)
    desk.place("b", "0.2", "60000", sells=True)

    taker = desk.place("a", "0.5", "60000")

    assert maker.status == "EXPIRED_IN_MATCH"
    assert (taker.status, taker.executed) == ("PARTIALLY_FILLED", to_units("0.2"))


@pytest.mark.parametrize(
    ("terms", "code", "text"),
    [
        ({"quantity": "0.000001", "price": "60000"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.0000105", "price": "60000"}, -1013, "LOT_SIZE"),
        ({"quantity": "1", "price": "60000.001"}, -1013, "PRICE_FILTER"),
        ({"quantity": "0.00001", "price": "60000"}, -1013, "NOTIONAL"),
        ({"quantity": "2", "price": "60000"}, -2010, "insufficient balance"),
        ({"quantity": "3", "price": "60000", "sells": True}, -2010, "insufficient balance"),
        ({"quantity": "3", "sells": True}, -2010, "insufficient balance"),
        ({"quantity": "1", "price": "70000", "kind": "LIMIT_MAKER"}, -2010, "immediately match"),
        ({"quantity": "1", "price": "50000", "client_id": "a2"}, -2010, "Duplicate order sent."),
    ],
)
def test_what_is_not_allowed_is_refused_by_the_venues_code(
    terms: dict[str, Any], code: int, text: str
) -> None:
    desk = Desk()
    desk.place("b", "1", "65000", sells=True)
    desk.place("a", "0.1", "50000")

    with pytest.raises(Refused, match=text) as caught:
        desk.place("a", **terms)

    assert caught.value.code == code
    assert len(desk.exchange.open_orders("a")) == 1


def test_a_buy_at_market_must_be_paid_for() -> None:
    desk = Desk()
    desk.place("b", "2", "60000", sells=True)

    with pytest.raises(Refused, match="insufficient balance"):
        desk.place("a", "2")


def test_questions_about_what_is_not_there_are_refused() -> None:
    desk = Desk()

    with pytest.raises(Refused, match=r"Invalid symbol"):
        desk.exchange.market("NOPE")
    with pytest.raises(Refused, match="does not exist"):
        desk.exchange.order("a", "BTCUSDT", "nope")


def test_a_deposit_is_told() -> None:
    desk = Desk()

    desk.exchange.deposit("a", "BNB", to_units("3"))

    assert desk.told(BalancesChanged)[-1].balances == (("BNB", to_units("3"), 0),)


def test_the_background_is_not_told_of_and_not_kept() -> None:
    desk = Desk()
    desk.place(NOBODY, "0.5", "60000", sells=True)
    desk.place(NOBODY, "0.5", "60000")

    assert desk.told(OrderChanged) == []
    assert desk.exchange.orders(NOBODY) == []
    assert len(desk.told(TradeMade)) == 1


steps = st.tuples(
    st.sampled_from(["a", "b", NOBODY]),
    st.booleans(),
    st.integers(59_990, 60_010),
    st.integers(1, 40),
    st.sampled_from(["LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "CANCEL"]),
    st.sampled_from(["GTC", "IOC", "FOK"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
def test_money_and_levels_add_up_whatever_is_asked(moves: list[Any]) -> None:
    """What is locked is what the open orders need; deltas alone rebuild the book."""
    desk = Desk(fee_bps=0)
    rebuilt: dict[tuple[bool, int], int] = {}
    last = desk.market.update_id
    for account, sells, price, quantity, kind, time_in_force in moves:
        open_orders = desk.exchange.open_orders(account)
        if kind == "CANCEL" and open_orders:
            desk.exchange.cancel(open_orders[0])
        elif kind != "CANCEL":
            limit = "" if kind == "MARKET" else str(price)
            try:
                desk.place(
                    account,
                    f"0.{quantity:03d}",
                    limit,
                    sells=sells,
                    kind=kind,
                    time_in_force=time_in_force,
                )
            except Refused:
                continue
        change = desk.market.take_change()
        if change is not None:
            assert change.first == last + 1
            last = change.last
            for is_buy, levels in ((True, change.bids), (False, change.asks)):
                rebuilt |= {(is_buy, level[0]): level[1] for level in levels}
    truth = {(b, p): q for b in (True, False) for p, q in desk.market.book.levels(b)}

    assert {key: size for key, size in rebuilt.items() if size} == truth
    for account in ("a", "b"):
        needed = {"USDT": 0, "BTC": 0}
        for order in desk.exchange.open_orders(account):
            asset = "USDT" if order.is_buy else "BTC"
            needed[asset] += (
                value_of(order.price, order.remaining) if order.is_buy else order.remaining
            )
        rows = {asset: (free, locked) for asset, free, locked in desk.exchange.purses.rows(account)}
        assert {asset: rows[asset][1] for asset in needed} == needed
        assert all(free >= 0 for free, _ in rows.values())


# -- candles -------------------------------------------------------------------------------------


def klines(past_minutes: int = 10) -> Klines:
    """Return candles with a past, at the start of a minute."""
    return Klines(
        Random(3),
        price=PRICE,
        tick=BTCUSDT.tick,
        now_ms=NOW_MS - NOW_MS % MINUTE_MS,
        past_minutes=past_minutes,
    )


def test_candles_follow_on_and_a_quiet_minute_repeats_the_close() -> None:
    some, now_ms = klines(), NOW_MS - NOW_MS % MINUTE_MS
    some.trade(PRICE + 500, 7, now_ms + 1)
    some.trade(PRICE - 500, 3, now_ms + 2)
    some.pass_time(now_ms + 2 * MINUTE_MS)

    *past, traded, quiet, _ = some.rows("1m", start_ms=None, end_ms=None, limit=100)

    assert len(past) == 10
    assert past[-1].close == PRICE == traded.open
    assert (traded.high, traded.low) == (PRICE + 500, PRICE - 500)
    assert (traded.close, traded.volume) == (PRICE - 500, 10)
    assert (quiet.open, quiet.close, quiet.volume) == (PRICE - 500, PRICE - 500, 0)
    assert all(bar.low <= min(bar.open, bar.close) for bar in past)


def test_long_candles_are_made_of_minutes() -> None:
    some = klines(60)
    minutes = some.rows("1m", start_ms=None, end_ms=None, limit=100)
    long = some.rows("5m", start_ms=None, end_ms=None, limit=3)[-2]
    parts = [bar for bar in minutes if long.open_ms <= bar.open_ms < long.open_ms + 5 * MINUTE_MS]

    assert (long.open, long.close) == (parts[0].open, parts[-1].close)
    assert long.high == max(bar.high for bar in parts)
    assert long.volume == sum(bar.volume for bar in parts)


def test_rows_from_a_start_are_the_first_and_others_the_last() -> None:
    some = klines()
    every = some.rows("1m", start_ms=None, end_ms=None, limit=100)

    first = some.rows("1m", start_ms=every[2].open_ms, end_ms=None, limit=3)
    last = some.rows("1m", start_ms=None, end_ms=every[5].open_ms, limit=3)

    assert first == every[2:5]
    assert last == every[3:6]


# -- limits --------------------------------------------------------------------------------------


def test_a_client_that_goes_on_after_too_much_is_banned() -> None:
    now = [NOW_MS - NOW_MS % 60_000]
    weights = Weights(100, lambda: now[0])
    assert weights.take("x", 100) == 100

    with pytest.raises(TooMuch) as first:
        weights.take("x", 1)
    for _ in range(20):
        with pytest.raises(TooMuch) as last:
            weights.take("x", 1)

    assert (first.value.status, first.value.retry_after_s) == (429, 60)
    assert (last.value.status, last.value.retry_after_s) == (418, 120)
    assert weights.take("y", 1) == 1
    now[0] += 60_000
    with pytest.raises(TooMuch):
        weights.take("x", 1)
    now[0] += BAN_MS
    assert weights.take("x", 1) == 1
    assert weights.banned_count == 1


def test_orders_have_a_limit_of_their_own_without_a_time_to_wait() -> None:
    now = [NOW_MS]
    weights = Weights(100, lambda: now[0])
    for _ in range(100):
        weights.take_order("a")

    with pytest.raises(TooMuch) as caught:
        weights.take_order("a")

    assert (caught.value.code, caught.value.retry_after_s) == (-1015, None)
    now[0] += 10_000
    weights.take_order("a")


def test_units_have_eight_digits() -> None:
    assert SCALE == 10**8
