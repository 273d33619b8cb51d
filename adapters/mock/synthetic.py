"""The synthetic market as a recording: a seeded series with an end, made as it is read."""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from random import Random

import msgspec
import numpy as np

from adapters.mock.candles import candles_of
from adapters.mock.depth import SyntheticBook
from adapters.mock.process import Grid, Ints, PriceProcess, Steps
from adapters.mock.settings import Channel, Market
from framework.model.events import Event
from framework.model.market_data import Aggressor, Quote, Trade

CHUNK_STEPS = 4_096

Lane = tuple[Ints, Sequence[Event]]
"""Times and events of one channel of one instrument."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What to make: `candle_count` candles of `interval` from `start_ns` on, and all between."""

    start_ns: int
    candle_count: int
    interval: str
    interval_ns: int
    step_ns: int
    channels: tuple[Channel, ...]
    depth: int
    snapshot_every: int


class Seeds(msgspec.Struct, frozen=True):
    """Where an instrument's chance comes from: of its prices, and of its book's deeper sizes."""

    price: int
    book: int


class SyntheticFeed:
    """A seeded series of every instrument, the same at every scan.

    At equal time: candles that close, then quotes, trades and books by instrument.
    """

    def __init__(self, markets: Sequence[Market], seeds: Sequence[Seeds], series: Series) -> None:
        self.instruments = tuple(market.definition for market in markets)
        self._markets = tuple(zip(markets, seeds, strict=True))
        self._series = series

    def scan(self) -> Iterator[Event]:
        """Yield every event in time order; memory does not grow with the series."""
        return chain.from_iterable(self.scan_chunks())

    def scan_chunks(self) -> Iterator[Sequence[Event]]:
        """Yield the same events in lists of about `CHUNK_STEPS`, never an empty one."""
        series = self._series
        makers = [_Maker(market, seeds, series) for market, seeds in self._markets]
        per_candle = series.interval_ns // series.step_ns
        is_sparse = series.channels == ("candles",)
        block = max(1, CHUNK_STEPS * (16 if is_sparse else 1) // per_candle)
        for done in range(0, series.candle_count, block):
            count = min(block, series.candle_count - done)
            # all candles before all else, so that they come first at equal time
            made = [maker.lanes(count) for maker in makers]
            lanes = [lane for candles, _ in made for lane in candles]
            lanes += [lane for _, others in made for lane in others]
            events = _sorted(lanes)
            if events:
                yield events


class _Maker:
    """Makes one instrument's events, block by block."""

    def __init__(self, market: Market, seeds: Seeds, series: Series) -> None:
        self._market = market
        self._series = series
        self._process = PriceProcess(
            market, seed=seeds.price, start_ns=series.start_ns, step_ns=series.step_ns
        )
        self._book = SyntheticBook(
            market,
            depth=series.depth,
            snapshot_every=series.snapshot_every,
            random=Random(seeds.book),
        )

    def lanes(self, candle_count: int) -> tuple[list[Lane], list[Lane]]:
        """Return the next candles, and the other channels of their time."""
        series, market = self._series, self._market
        per_candle = series.interval_ns // series.step_ns
        steps = self._process.take(candle_count * per_candle)
        candles: list[Lane] = []
        others: list[Lane] = []
        if "candles" in series.channels:
            made = candles_of(
                steps,
                market,
                interval=series.interval,
                length_ns=series.interval_ns,
                per_candle=per_candle,
            )
            closes = steps.time_ns[::per_candle] + np.int64(series.interval_ns)
            candles.append((closes, made))
        if "quotes" in series.channels:
            others.append((steps.time_ns, quotes_of(steps, market)))
        if "trades" in series.channels:
            others.append((steps.time_ns, trades_of(steps, market)))
        if "book" in series.channels:
            others.append((steps.time_ns, self._books(steps)))
        return candles, others

    def _books(self, steps: Steps) -> list[Event]:
        times = steps.time_ns.tolist()
        bids = zip(steps.bid_ticks.tolist(), steps.bid_lots.tolist(), strict=True)
        asks = zip(steps.ask_ticks.tolist(), steps.ask_lots.tolist(), strict=True)
        return [
            event
            for time_ns, bid, ask in zip(times, bids, asks, strict=True)
            if (event := self._book.update(bid, ask, time_ns=time_ns, received_ns=time_ns))
        ]


def quotes_of(steps: Steps, market: Market) -> list[Quote]:
    """Return one quote per step."""
    times = steps.time_ns.tolist()
    prices, sizes = Grid(market.tick).values, Grid(market.lot).values
    return list(
        map(
            Quote,
            repeat(market.definition.id),
            times,
            times,
            prices(steps.bid_ticks).tolist(),
            prices(steps.ask_ticks).tolist(),
            sizes(steps.bid_lots).tolist(),
            sizes(steps.ask_lots).tolist(),
        )
    )


def trades_of(steps: Steps, market: Market) -> list[Trade]:
    """Return one trade per step, at the bid or the ask of it."""
    times = steps.time_ns.tolist()
    sides = (Aggressor.SELLER, Aggressor.BUYER)
    return list(
        map(
            Trade,
            repeat(market.definition.id),
            times,
            times,
            Grid(market.tick).values(steps.trade_ticks).tolist(),
            Grid(market.lot).values(steps.trade_lots).tolist(),
            [sides[is_buyer] for is_buyer in steps.is_buyer.tolist()],
        )
    )


def _sorted(lanes: Sequence[Lane]) -> Sequence[Event]:
    """Merge lanes by time; at equal time in the order given."""
    if len(lanes) == 1:
        return lanes[0][1]
    order = np.argsort(np.concatenate([times for times, _ in lanes]), kind="stable")
    events = [event for _, lane in lanes for event in lane]
    return list(map(events.__getitem__, order.tolist()))
