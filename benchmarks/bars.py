"""Workload `bars`: a moving-average cross over 500,000 candles with everything on (goal A).

The floor builds the same structs from the same columns and does the same arithmetic and the
same bookkeeping of a position in a plain loop.
"""

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from itertools import chain, repeat
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import msgspec

from benchmarks.harness import Columns, run_engine
from framework.clock.clock import LiveClock
from framework.indicators import SMA
from framework.interfaces import OrderLog
from framework.model.market_data import Candle
from framework.store.opening import open_order_log
from framework.strategy.strategy import Strategy

CANDLES = 500_000
LOGGED_CANDLES = 50_000  # each order waits for the disk a few times
ROUNDS = 3
CHUNK = 4_096
MINUTE_NS = 60_000_000_000
INSTRUMENT = "bench:BTC"


class Cross(Strategy):
    """Long when the fast average is above the slow one, flat when below."""

    class Settings(msgspec.Struct, frozen=True):
        """Nothing to set."""

    def on_start(self) -> None:
        self.fast, self.slow = SMA(10), SMA(30)
        self.order_count = self.fill_count = self.position_count = 0
        self.watch_candles(INSTRUMENT, "1m")

    def on_candle(self, candle: Candle) -> None:
        fast, slow = self.fast.update(candle.close), self.slow.update(candle.close)
        if slow is None or fast is None:
            return
        position = self.position(INSTRUMENT)
        if fast > slow:
            if position.is_flat:
                self.buy(INSTRUMENT, Decimal(1))
        elif fast < slow and position.is_long:
            self.close(INSTRUMENT)


class HearingCross(Cross):
    """The same, and it hears every event of its orders."""

    def on_order(self, order: Any) -> None:
        self.order_count += 1

    def on_fill(self, fill: Any) -> None:
        self.fill_count += 1

    def on_position(self, position: Any) -> None:
        self.position_count += 1


class AsyncCross(Cross):
    """The same with an `async` handler."""

    async def on_candle(self, candle: Candle) -> None:  # type: ignore[override] # the point
        Cross.on_candle(self, candle)


def make_columns(count: int = CANDLES, seed: int = 1) -> Columns:
    """Return a random walk on a grid of 0.5 as columns of floats."""
    random = Random(seed)
    close = 20_000.0
    columns: Columns = [array("q")] + [array("d") for _ in range(5)]
    for index in range(count):
        open_ = close
        close = max(100.0, open_ + random.randint(-20, 20) * 0.5)
        high = max(open_, close) + random.randint(0, 5) * 0.5
        low = min(open_, close) - random.randint(0, 5) * 0.5
        row = (index * MINUTE_NS, open_, high, low, close, 1.0)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns


def candles(columns: Columns, count: int = CANDLES) -> Iterator[Candle]:
    """Yield the first `count` candles in chunks, built while they are read."""
    return chain.from_iterable(_chunks(columns, count))


def _chunks(columns: Columns, count: int) -> Iterator[Iterator[Candle]]:
    times, opens, highs, lows, closes, volumes = columns
    for start in range(0, min(len(times), count), CHUNK):
        part = slice(start, min(start + CHUNK, count))
        open_ns = times[part].tolist()
        close_ns = [time_ns + MINUTE_NS for time_ns in open_ns]
        yield map(
            Candle,
            repeat(INSTRUMENT),
            close_ns,
            close_ns,
            repeat("1m"),
            open_ns,
            close_ns,
            opens[part].tolist(),
            highs[part].tolist(),
            lows[part].tolist(),
            closes[part].tolist(),
            volumes[part].tolist(),
        )


def floor_s(columns: Columns) -> float:
    """Return the seconds a plain loop takes."""
    fast, slow = SMA(10), SMA(30)
    held, wanted, cash = 0, 0, 0.0
    started = perf_counter()
    for candle in candles(columns):
        if wanted:
            cash -= wanted * candle.open + candle.open * 0.001
            held, wanted = held + wanted, 0
        fast_value, slow_value = fast.update(candle.close), slow.update(candle.close)
        if slow_value is not None and fast_value is not None:
            if fast_value > slow_value:
                if not held:
                    wanted = 1
            elif fast_value < slow_value and held:
                wanted = -1
    return perf_counter() - started


def with_logs(columns: Columns) -> dict[str, object]:
    """Return the row of plain handlers with both logs on, beside the same without; medians.

    Every order and fact is a transaction in SQLite, synced before the order is sent, as in a live
    run; the inputs go to the input log.
    """
    from benchmarks.recording import recorded  # which itself plays these candles

    seconds: dict[str, list[float]] = {"no log": [], "order log": [], "both": []}
    counts: list[int] = []
    orders = entries = 0
    for _ in range(ROUNDS):
        for logs, taken in seconds.items():
            with ExitStack() as stack:
                folder = stack.enter_context(TemporaryDirectory())
                log = None if logs == "no log" else stored_log(folder)
                if logs == "both":
                    stack.enter_context(recorded(folder, counts))
                events = candles(columns, LOGGED_CANDLES)
                taken.append(run_engine(Cross, events, INSTRUMENT, order_log=log)[0])
                entries = 0 if log is None else log.position
    orders = len(run_engine(Cross, candles(columns, LOGGED_CANDLES), INSTRUMENT)[1].engine.registry)
    none, log_s, both_s = (median(taken) for taken in seconds.values())
    return {
        "workload": "bars",
        "handlers": "plain, logs on",
        "rate": round(LOGGED_CANDLES / both_s),
        "unit": "candles/s",
        "rate_order_log_alone": round(LOGGED_CANDLES / log_s),
        "rate_off": round(LOGGED_CANDLES / none),
        "ratio": round(none / both_s, 3),
        "orders": orders,
        "log_entries": entries,
        "input_records": counts[-1],
    }


def stored_log(folder: str) -> OrderLog:
    """Return a new order log on SQLite that writes where it is told to."""
    url = f"sqlite:///{folder}/journal.db"
    return open_order_log(url, clock=LiveClock(), make_id=lambda: "bench", inline=True)


def measure() -> list[dict[str, object]]:
    """Return one row per kind of handler, and one with logs on; medians of three."""
    columns = make_columns()
    rows: list[dict[str, object]] = []
    for name, strategy in (("plain", Cross), ("hearing", HearingCross), ("async", AsyncCross)):
        floors, times, orders = [], [], 0
        for _ in range(ROUNDS):
            floors.append(floor_s(columns))
            seconds, runtime = run_engine(strategy, candles(columns), INSTRUMENT)
            times.append(seconds)
            orders = len(runtime.engine.registry)
        rate, floor_rate = CANDLES / median(times), CANDLES / median(floors)
        row: dict[str, object] = {
            "workload": "bars",
            "handlers": name,
            "rate": round(rate),
            "unit": "candles/s",
            "floor_rate": round(floor_rate),
            "ratio": round(rate / floor_rate, 3),
            "orders": orders,
        }
        rows.append(row)
    return [*rows, with_logs(columns)]
