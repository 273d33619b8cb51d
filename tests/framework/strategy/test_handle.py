"""A handle names an order; waiting on it changes nothing but when the handler goes on."""

import asyncio
from decimal import Decimal
from typing import Any

import anyio
import pytest

from framework import OrderHandle, OrderStatus, Strategy
from framework.model.market_data import Quote
from framework.settings.structs import LatencySettings
from tests.scripted_venue import BTC, START_NS, play, quote, run_settings, settings, strategy_of

SECOND_NS = 1_000_000_000
QUOTES = [quote(second, 100.0, 101.0) for second in range(0, 20)]
FALLING = [quote(second, 100.0 - second, 101.0 - second) for second in range(0, 20)]


class Waiter(Strategy):
    """Runs `script` once, on the first quote."""

    async def on_start(self) -> None:
        self.notes: list[Any] = []
        self.has_run = False
        self.watch_quotes(BTC)

    async def on_quote(self, quote: Quote) -> None:
        if not self.has_run:
            self.has_run = True
            await self.script()

    async def script(self) -> None:
        raise AssertionError("each test has its own")

    @property
    def second(self) -> float:
        return (self.now_ns - START_NS) / SECOND_NS


def notes_of(strategy: type[Strategy], events: list[Quote], latency_ms: float = 0.0) -> list[Any]:
    venue = {"latency": LatencySettings(order_ms=latency_ms)}
    runtime = play(settings(run_settings(strategy), script=events, venue=venue))
    notes: list[Any] = strategy_of(runtime).notes
    return notes


def test_accepted_filled_and_done_wait_for_exactly_that() -> None:
    class Buyer(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, 1)
            self.notes.append((handle.status, handle.is_open, self.second))
            order = await handle.accepted()
            self.notes.append((order.status, self.second))
            order = await handle.filled()
            self.notes.append((order.status, order.average_price, self.second))
            order = await handle.done()
            self.notes.append((handle.filled_quantity, handle.is_closed, order == handle.order))

    assert notes_of(Buyer, QUOTES, latency_ms=1_500) == [
        (OrderStatus.SUBMITTED, True, 0.0),
        (OrderStatus.ACCEPTED, 1.5),
        (OrderStatus.FILLED, Decimal(101), 1.5),
        (Decimal(1), True, True),
    ]


def test_accepted_comes_before_filled_where_there_is_time_between() -> None:
    class Rester(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, 1, price=95)
            self.notes.append(((await handle.accepted()).status, self.second))
            self.notes.append(((await handle.filled()).status, self.second))

    assert notes_of(Rester, FALLING) == [
        (OrderStatus.ACCEPTED, 0.0),
        (OrderStatus.FILLED, 6.0),
    ]


def test_a_timeout_does_not_change_the_order() -> None:
    class Impatient(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, 1, price=95)
            with pytest.raises(TimeoutError):
                await handle.filled(timeout_s=2.5)
            self.notes.append((handle.status, self.second, len(self.orders(BTC))))
            self.notes.append(((await handle.done()).status, self.second))

    assert notes_of(Impatient, FALLING) == [
        (OrderStatus.ACCEPTED, 2.5, 1),
        (OrderStatus.FILLED, 6.0),
    ]


def test_a_cancelled_wait_does_not_change_the_order() -> None:
    class Canceller(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, 1, price=95)
            with anyio.move_on_after(3):
                await handle.filled()
            self.notes.append((handle.status, self.second))
            async with asyncio.timeout(60):
                self.notes.append(((await handle.filled()).status, self.second))

    assert notes_of(Canceller, FALLING) == [
        (OrderStatus.ACCEPTED, 3.0),
        (OrderStatus.FILLED, 6.0),
    ]


def test_a_wait_for_a_refused_order_ends_at_once_with_the_reason() -> None:
    class Refused(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, "0.001")
            order = await handle.filled(timeout_s=1)
            self.notes.append((order.status, "lot" in handle.reason, self.second))
            handle = self.buy(BTC, 1, price=200, post_only=True)
            order = await handle.accepted(timeout_s=1)
            self.notes.append((order.status, handle.reason, self.second))

    assert notes_of(Refused, QUOTES) == [
        (OrderStatus.DENIED, True, 0.0),
        (OrderStatus.REJECTED, "post-only order would take", 0.0),
    ]


def test_many_waits_on_one_order_all_end() -> None:
    class Many(Waiter):
        async def script(self) -> None:
            handle = self.buy(BTC, 1, price=95)
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(self.wait, handle, number)

        async def wait(self, handle: OrderHandle, number: int) -> None:
            await handle.filled()
            self.notes.append(number)

    assert sorted(notes_of(Many, FALLING)) == [0, 1, 2]


def test_a_handle_on_nothing_says_so() -> None:
    class Curious(Waiter):
        async def script(self) -> None:
            handle = self.handle("no-such-order")
            with pytest.raises(KeyError):
                _ = handle.status
            with pytest.raises(KeyError):
                await handle.done()
            self.notes.append("both")

    assert notes_of(Curious, QUOTES) == ["both"]
