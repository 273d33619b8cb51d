"""Workload `quotes`: 2,000,000 quotes, a limit order placed or cancelled every 1,000 (goal B)."""

from array import array
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, repeat
from random import Random
from statistics import median
from time import perf_counter

import msgspec

from benchmarks.harness import Columns, run_engine
from framework.model.market_data import Quote
from framework.strategy.handle import OrderHandle
from framework.strategy.strategy import Strategy

QUOTES = 2_000_000
CHUNK = 4_096
INSTRUMENT = "bench:BTC"


class Counter(Strategy):
    """Counts quotes; every 1,000 it places a limit order away from the market or cancels it."""

    class Settings(msgspec.Struct, frozen=True):
        """Nothing to set."""

    def on_start(self) -> None:
        self.count = 0
        self.resting: OrderHandle | None = None
        self.watch_quotes(INSTRUMENT)

    def on_quote(self, quote: Quote) -> None:
        self.count += 1
        if not self.count % 1_000:
            self.act(quote)

    def act(self, quote: Quote) -> None:
        """Place the order, or take it back."""
        if self.resting is None:
            price = self.instrument(INSTRUMENT).round_price(quote.bid - 50.0)
            self.resting = self.buy(INSTRUMENT, Decimal(1), price=price)
        else:
            self.cancel(self.resting)
            self.resting = None


class AsyncCounter(Counter):
    """The same with an `async` handler."""

    async def on_quote(self, quote: Quote) -> None:  # type: ignore[override] # the point
        self.count += 1
        if not self.count % 1_000:
            self.act(quote)


def make_columns(count: int = QUOTES, seed: int = 1) -> Columns:
    """Return a random walk on a grid of 0.5 as columns."""
    random = Random(seed)
    bid = 20_000.0
    columns: Columns = [array("q"), array("d"), array("d")]
    for index in range(count):
        bid += random.choice((-0.5, 0.0, 0.5))
        for column, value in zip(columns, (index * 1_000_000, bid, bid + 0.5), strict=True):
            column.append(value)
    return columns


def quotes(columns: Columns) -> Iterator[Quote]:
    """Yield quotes in chunks, built while they are read."""
    return chain.from_iterable(_chunks(columns))


def _chunks(columns: Columns) -> Iterator[Iterator[Quote]]:
    times, bids, asks = columns
    for start in range(0, len(times), CHUNK):
        part = slice(start, start + CHUNK)
        times_ns = times[part].tolist()
        yield map(
            Quote,
            repeat(INSTRUMENT),
            times_ns,
            times_ns,
            bids[part].tolist(),
            asks[part].tolist(),
            repeat(10.0),
            repeat(10.0),
        )


class _Floor:
    def __init__(self) -> None:
        self.count = 0

    def on_quote(self, quote: Quote) -> None:
        self.count += 1
        if not self.count % 1_000:
            self.act(quote)

    def act(self, quote: Quote) -> None:
        """Do nothing: the floor has no orders."""


def floor_s(columns: Columns) -> float:
    """Return the seconds a plain loop takes."""
    on_quote = _Floor().on_quote
    started = perf_counter()
    for quote in quotes(columns):
        on_quote(quote)
    return perf_counter() - started


def measure() -> list[dict[str, object]]:
    """Return one row per kind of handler; medians of three."""
    columns = make_columns()
    rows: list[dict[str, object]] = []
    for name, strategy in (("plain", Counter), ("async", AsyncCounter)):
        floors, times, orders = [], [], 0
        for _ in range(3):
            floors.append(floor_s(columns))
            seconds, runtime = run_engine(strategy, quotes(columns), INSTRUMENT)
            times.append(seconds)
            orders = len(runtime.engine.registry)
        rate, floor_rate = QUOTES / median(times), QUOTES / median(floors)
        rows.append(
            {
                "workload": "quotes",
                "handlers": name,
                "rate": round(rate),
                "unit": "quotes/s",
                "floor_rate": round(floor_rate),
                "ratio": round(rate / floor_rate, 3),
                "orders": orders,
            }
        )
    return rows
