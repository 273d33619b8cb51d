"""Every handler of a strategy is reached by what it is there for, `def` and `async def` alike."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import pytest

from framework import Strategy
from framework.interfaces import BookView
from framework.model.account import CashBooked, CashReason, Settled
from framework.model.events import ConnectionChanged, ConnectionState, DataStale
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Funding,
    MarketPhase,
    MarketStatus,
    MarkPrice,
    Ticker,
)
from framework.model.reports import FillCorrection
from framework.strategy.handlers import HANDLERS
from tests.scripted_venue import (
    BTC,
    ETH,
    MINUTE_NS,
    START_NS,
    candle,
    play,
    quote,
    run_settings,
    settings,
    strategy_of,
    trade,
)


class Noted(msgspec.Struct, frozen=True):
    """An event of the user's own."""

    text: str


def snapshot(second: int, sequence: int) -> BookSnapshot:
    time_ns = START_NS + second * 1_000_000_000
    return BookSnapshot(ETH, time_ns, time_ns, sequence, ((10.0, 5.0),), ((10.5, 5.0),))


def delta(second: int, sequence: int) -> BookDelta:
    time_ns = START_NS + second * 1_000_000_000
    return BookDelta(ETH, time_ns, time_ns, sequence, sequence, ((10.0, 6.0),), ())


def market() -> list[Any]:
    at = START_NS + 8_000_000_000
    return [
        quote(1, 100.0, 101.0),
        trade(2, 100.5),
        snapshot(3, 1),
        delta(4, 2),
        delta(5, 9),  # a gap
        snapshot(6, 10),  # whole again
        quote(7, 100.0, 101.0),
        Ticker(BTC, at, at, 100.0),
        MarkPrice(BTC, at, at, 100.0),
        Funding(BTC, at, at, 0.0001, at),
        MarketStatus(BTC, at, at, MarketPhase.OPEN),
        candle(0, 100.0),
        candle(1, 101.0),
    ]


class Everything(Strategy):
    """Writes down which handler was called with what."""

    events: ClassVar[tuple[type, ...]] = (Noted,)

    def on_start(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.books: list[BookView] = []
        self.note("on_start", None)
        for watch in (self.watch_quotes, self.watch_trades, self.watch_market):
            watch(BTC)
        for watch in (self.watch_book, self.watch_deltas):
            watch(ETH)
        self.watch_candles(BTC, "1m")
        self.every(60, "tick")

    def note(self, handler: str, event: Any) -> None:
        self.calls.append((handler, type(event).__name__))
        if handler == "on_trade":
            self.buy(BTC, 1)
        elif handler == "on_timer" and event.time_ns < START_NS + 2 * MINUTE_NS:
            self.tell()
        elif handler == "on_event":
            raise ValueError("so that on_error has something to hear")

    def tell(self) -> None:
        now_ns = self.now_ns
        self.publish(ConnectionChanged("x", "feed", ConnectionState.STREAMING, now_ns))
        self.publish(DataStale(BTC, "quotes", 5, now_ns))
        self.publish(InstrumentChanged(BTC, now_ns, now_ns, self.instrument(BTC)))
        self.publish(Noted("hello"))
        reason = CashReason.DEPOSIT
        self.publish(CashBooked("main", "run", "USD", Decimal(5), reason, now_ns, "gift"))
        order = self.last_filled
        self.publish(FillCorrection(order, "x-1", Decimal(1), Decimal(99), now_ns))
        self.publish(Settled("main", BTC, Decimal(90), now_ns, "end"))

    def on_stop(self) -> None:
        self.note("on_stop", None)

    def on_fill(self, fill: Any) -> None:
        self.last_filled = fill.order_id
        self.note("on_fill", fill)

    def on_book(self, book: BookView) -> None:
        self.books.append(book)
        self.note("on_book", book)


class EverythingAsync(Everything):
    """The same, each time after a wait of no length."""

    async def on_fill(self, fill: Any) -> None:  # type: ignore[override] # either is allowed
        Everything.on_fill(self, fill)

    async def on_book(self, book: BookView) -> None:  # type: ignore[override] # either is allowed
        await self.sleep(0)
        Everything.on_book(self, book)


def noting(name: str, *, is_async: bool) -> Callable[..., Any]:
    def note(self: Everything, event: Any) -> None:
        self.note(name, event)

    async def note_later(self: Everything, event: Any) -> None:
        await self.sleep(0)
        self.note(name, event)

    return note_later if is_async else note


for _name in [*HANDLERS, "on_event"]:
    if _name not in Everything.__dict__:
        setattr(Everything, _name, noting(_name, is_async=False))
        setattr(EverythingAsync, _name, noting(_name, is_async=True))

BY_HANDLER = {
    "on_start": {"NoneType"},
    "on_stop": {"NoneType"},
    "on_event": {"Noted"},
    "on_book": {"FastOrderBook"},
} | {
    name: {kind.__name__ for kind in kinds} for name, kinds in HANDLERS.items() if name != "on_book"
}


@pytest.mark.parametrize("strategy", [Everything, EverythingAsync])
def test_every_handler_is_reached_with_every_event_it_is_there_for(
    strategy: type[Everything],
) -> None:
    runtime = play(settings(run_settings(strategy), script=market()))

    reached: dict[str, set[str]] = {}
    for handler, kind in strategy_of(runtime).calls:
        reached.setdefault(handler, set()).add(kind)
    assert reached == BY_HANDLER
    assert strategy_of(runtime).calls[0][0] == "on_start"
    assert strategy_of(runtime).calls[-1][0] == "on_stop"


def test_on_book_gets_the_book_itself_and_it_says_when_it_is_stale() -> None:
    class Reader(Strategy):
        def on_start(self) -> None:
            self.states: list[tuple[bool, tuple[float, float] | None]] = []
            self.watch_book(ETH)

        def on_book(self, book: BookView) -> None:
            self.states.append((book.is_synced, book.best_bid))

    runtime = play(settings(run_settings(Reader), script=market()))

    assert strategy_of(runtime).states == [
        (True, (10.0, 5.0)),
        (True, (10.0, 6.0)),
        (False, (10.0, 6.0)),
        (True, (10.0, 5.0)),
    ]


def test_a_strategy_hears_nothing_that_it_did_not_watch() -> None:
    class Deaf(Strategy):
        def on_start(self) -> None:
            self.quotes = 0
            self.watch_quotes(ETH)

        def on_quote(self, quote: Any) -> None:
            self.quotes += 1

        def on_trade(self, trade: Any) -> None:
            self.quotes += 1

    assert strategy_of(play(settings(run_settings(Deaf), script=market()))).quotes == 0


def test_a_strategy_hears_its_own_orders_only() -> None:
    class Buyer(Strategy):
        def on_start(self) -> None:
            self.heard: list[str] = []
            self.watch_quotes(BTC)

        def on_quote(self, quote: Any) -> None:
            if self.context.run == "buyer" and self.position(BTC).is_flat:
                self.order = self.buy(BTC, 1)

        def on_order(self, order: Any) -> None:
            self.heard.append(order.run)

        def on_fill(self, fill: Any) -> None:
            self.heard.append(fill.run)

        def on_position(self, position: Any) -> None:
            self.heard.append(position.run)

    runtime = play(
        settings(run_settings(Buyer, "buyer"), run_settings(Buyer, "other"), script=market())
    )

    assert set(strategy_of(runtime, 0).heard) == {"buyer"}
    assert strategy_of(runtime, 1).heard == []
    buyer, other = (run.context for run in runtime.system.runs)
    order_id = strategy_of(runtime, 0).order.order_id
    assert buyer.order(order_id) is not None
    assert other.order(order_id) is None  # T-31
