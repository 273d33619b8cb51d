"""Which handler of a strategy hears which event: only those that it overrides are called."""

from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    Resynced,
    RunStarted,
    RunStopping,
    Timer,
)
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookChanged,
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)
from framework.model.orders import Fill, FillCorrected, Order
from framework.strategy.strategy import Strategy

HANDLERS: dict[str, tuple[type, ...]] = {
    "on_quote": (Quote,),
    "on_trade": (Trade,),
    "on_candle": (Candle,),
    "on_book": (BookChanged,),
    "on_delta": (BookSnapshot, BookDelta),
    "on_market": (Ticker, MarkPrice, Funding, MarketStatus, InstrumentChanged),
    "on_order": (Order,),
    "on_fill": (Fill, FillCorrected),
    "on_position": (Position,),
    "on_account": (Account, CashBooked, Settled),
    "on_connection": (ConnectionChanged,),
    "on_gap": (GapDetected, Resynced),
    "on_stale": (DataStale,),
    "on_timer": (Timer,),
    "on_error": (ErrorRaised,),
}


def handlers_of(strategy: Strategy) -> dict[type, Callable[[Any], Any]]:
    """Return the handlers that a strategy overrides, by event type."""
    handlers: dict[type, Callable[[Any], Any]] = {}
    for name, event_types in HANDLERS.items():
        if getattr(type(strategy), name) is not getattr(Strategy, name):
            handlers.update(dict.fromkeys(event_types, getattr(strategy, name)))
    if BookChanged in handlers:
        handlers[BookChanged] = _with_book(strategy)
    handlers.update(dict.fromkeys(strategy.events, strategy.on_event))
    handlers[RunStarted] = _call(strategy.on_start)
    handlers[RunStopping] = _stop(strategy)
    return handlers


def _call(function: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a handler of one argument that calls `function` without it, `async` if it is."""

    def call(_: Any) -> Any:
        return function()

    async def call_async(_: Any) -> None:
        await function()

    chosen = call_async if iscoroutinefunction(function) else call
    chosen.__name__ = function.__name__
    return chosen


def _stop(strategy: Strategy) -> Callable[[RunStopping], Any]:
    def stop(event: RunStopping) -> Any:
        return strategy.on_halt(event.reason) if event.is_halt else strategy.on_stop()

    async def stop_async(event: RunStopping) -> None:
        answer = stop(event)
        if isawaitable(answer):
            await answer

    is_async = iscoroutinefunction(strategy.on_stop) or iscoroutinefunction(strategy.on_halt)
    chosen = stop_async if is_async else stop
    chosen.__name__ = "on_stop"
    return chosen


def _with_book(strategy: Strategy) -> Callable[[BookChanged], Any]:
    """Return a handler that passes the newest book instead of the note that it changed."""

    def on_book(change: BookChanged) -> Any:
        book = strategy.book(change.instrument)
        return None if book is None else strategy.on_book(book)

    async def on_book_async(change: BookChanged) -> None:
        book = strategy.book(change.instrument)
        if book is not None:
            await strategy.on_book(book)

    chosen = on_book_async if iscoroutinefunction(strategy.on_book) else on_book
    chosen.__name__ = "on_book"
    return chosen
