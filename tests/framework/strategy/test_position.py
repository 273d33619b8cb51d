"""What a run sees of its position, and closing it: flat means no order is on its way either."""

from decimal import Decimal
from typing import Any

import pytest

from framework import OrderError, OrderStatus, Strategy
from framework.errors import UnknownInstrument
from framework.model.market_data import Quote
from framework.settings.structs import LatencySettings
from tests.scripted_venue import (
    BTC,
    orders_of,
    play,
    position_of,
    quote,
    run_settings,
    settings,
    strategy_of,
)

SLOW = {"latency": LatencySettings(order_ms=2_500)}
QUOTES = [quote(second, 100.0, 101.0) for second in range(0, 12)]


class Noting(Strategy):
    """Calls `step(number)` on each quote."""

    def on_start(self) -> None:
        self.notes: list[Any] = []
        self.number = -1
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.number += 1
        self.step(self.number)

    def step(self, number: int) -> None:
        raise AssertionError("each test has its own")


def test_a_run_with_a_working_order_is_not_flat_so_the_sample_does_not_buy_twice() -> None:
    class Sample(Noting):
        def step(self, number: int) -> None:
            position = self.position(BTC)
            self.notes.append((position.is_flat, position.is_long, position.quantity))
            if position.is_flat:
                self.buy(BTC, 1)

    runtime = play(settings(run_settings(Sample), script=QUOTES, venue=SLOW))

    assert strategy_of(runtime).notes[:5] == [
        (True, False, 0),
        (False, False, 0),  # on its way
        (False, False, 0),
        (False, True, 1),
        (False, True, 1),
    ]
    assert len(orders_of(runtime)) == 1


def test_position_and_cash_never_change_within_a_plain_handler() -> None:
    class Watcher(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                before = (self.position(BTC).quantity, self.account().balances)
                self.buy(BTC, 1)
                self.notes.append(before == (self.position(BTC).quantity, self.account().balances))
            self.notes.append(self.position(BTC).quantity)

    runtime = play(settings(run_settings(Watcher), script=QUOTES))

    assert strategy_of(runtime).notes[:3] == [True, 0, 1]


def test_close_is_one_order_however_often_it_is_asked_for() -> None:
    class Closer(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                self.notes.append(self.close(BTC))
                self.buy(BTC, 2)
            elif number in (4, 5):
                handles = [self.close(BTC), self.close(BTC)]
                self.notes += [handle and handle.order_id for handle in handles]
            elif number == 11:
                self.notes.append(self.close(BTC))

    runtime = play(settings(run_settings(Closer), script=QUOTES, venue=SLOW))

    before, *during, after = strategy_of(runtime).notes
    assert before is None
    assert len(set(during)) == 1
    assert after is None
    assert [order.quantity for order in orders_of(runtime)] == [2, 2]
    assert position_of(runtime) == 0


def test_close_takes_working_entries_back_and_leaves_exits() -> None:
    class Closer(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                self.buy(BTC, 1)
            elif number == 1:
                self.buy(BTC, 1, price=50)
                self.sell(BTC, 1, price=150, reduce_only=True)
            elif number == 2:
                self.close(BTC)

    orders = orders_of(play(settings(run_settings(Closer), script=QUOTES)))

    assert [order.status for order in orders[:2]] == [OrderStatus.FILLED, OrderStatus.CANCELLED]
    assert orders[3].reduce_only
    assert orders[3].filled == 1


def test_flatten_cancels_exits_too_and_closes_everything() -> None:
    class Flattener(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                self.sell(BTC, 1)
            elif number == 1:
                self.buy(BTC, 1, price=50, reduce_only=True)
            elif number == 2:
                self.flatten()

    runtime = play(settings(run_settings(Flattener), script=QUOTES))

    assert position_of(runtime) == 0
    assert [order.status.value for order in orders_of(runtime)] == ["filled", "cancelled", "filled"]


def test_cancel_all_takes_back_the_orders_of_one_instrument_or_of_all() -> None:
    class Canceller(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                self.buy(BTC, 1, price=50)
                self.buy("x:ETH", 1, price=50)
                self.cancel_all("x:ETH")
            elif number == 1:
                self.notes.append([order.instrument for order in self.orders()])
                self.cancel_all()
            elif number == 2:
                self.notes.append(self.orders())

    assert strategy_of(play(settings(run_settings(Canceller), script=QUOTES))).notes == [[BTC], []]


def test_what_makes_no_sense_is_answered_with_the_reason() -> None:
    class Wrong(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                self.handle_ = self.buy(BTC, 1, price=50)
            elif number == 1:
                self.notes.append(self.modify(self.handle_, price="50.3"))
                self.notes.append(self.modify(self.handle_, quantity=0))
                self.notes.append(self.modify(self.handle_, price=60))
                self.notes.append(self.cancel(self.handle_))
            elif number == 2:
                self.notes.append(self.cancel(self.handle_))
                self.notes.append(self.modify(self.handle_, price=61))
                for call in (self.cancel, self.modify):
                    with pytest.raises(OrderError, match="has no order 'another'"):
                        call("another")
                with pytest.raises(UnknownInstrument):
                    self.watch_quotes("x:NONE")

    off_tick, zero, moved, taken_back, closed, closed_too = strategy_of(
        play(settings(run_settings(Wrong), script=QUOTES))
    ).notes
    assert "50.3" in off_tick
    assert "0" in zero
    assert moved is None
    assert taken_back is None
    assert "already cancelled" in closed
    assert "already cancelled" in closed_too


def test_the_same_key_is_the_same_order_and_other_content_is_a_conflict() -> None:
    class Repeater(Noting):
        def step(self, number: int) -> None:
            if number == 0:
                ids = {self.buy(BTC, 1, key="entry").order_id for _ in range(100)}
                self.notes.append(len(ids))
                with pytest.raises(OrderError, match="entry"):
                    self.buy(BTC, 2, key="entry")

    runtime = play(settings(run_settings(Repeater), script=QUOTES))

    assert strategy_of(runtime).notes == [1]
    assert position_of(runtime) == Decimal(1)
