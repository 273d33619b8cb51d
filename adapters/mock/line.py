"""One instrument of the live market: its next step, its book, and its closed candles."""

from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from random import Random
from typing import NamedTuple

from adapters.mock.candles import Past, candles_of, joined
from adapters.mock.depth import SyntheticBook
from adapters.mock.process import PriceProcess, Steps, part_of
from adapters.mock.settings import Market, MockSettings
from adapters.mock.synthetic import Seeds, quotes_of, trades_of
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade

BLOCK_STEPS = 256
RECOVERY_STEPS = 5  # from a lost delta to the snapshot that heals it
KEPT_CANDLES = 10_000  # closed since the start

Touch = tuple[int, int]
"""Best price in ticks and its size in lots."""


class Moment(NamedTuple):
    """What one step is made of, before the book has moved."""

    quote: Quote
    trade: Trade
    bid: Touch
    ask: Touch


class Line:
    """Moves step by step from `origin_ns` on, whether anybody listens or not."""

    def __init__(
        self,
        market: Market,
        seeds: Seeds,
        settings: MockSettings,
        *,
        origin_ns: int,
        interval_ns: int,
        past_seed: int,
    ) -> None:
        self.book = SyntheticBook(
            market,
            depth=settings.depth,
            snapshot_every=settings.snapshot_every,
            random=Random(seeds.book),
        )
        self.last_price = market.process.start_price
        self._market = market
        self._settings = settings
        self._origin_ns = origin_ns
        self._interval_ns = interval_ns
        self._step_ns = settings.interval_ms * 1_000_000
        self._process = PriceProcess(
            market, seed=seeds.price, start_ns=origin_ns, step_ns=self._step_ns
        )
        self._past = Past(
            market,
            seed=past_seed,
            end_ns=origin_ns,
            interval=settings.candle_interval,
            length_ns=interval_ns,
        )
        self._made: deque[Candle] = deque()  # of whole blocks: not closed yet
        self._closed: deque[Candle] = deque(maxlen=KEPT_CANDLES)
        self._moments = self._endless()
        self._delta_count = 0
        self._heal_in = 0

    def close_candle(self, time_ns: int) -> bool:
        """Close the candle that ends at `time_ns`; return whether there is one."""
        if not self._made or self._made[0].close_ns > time_ns:
            return False
        self._closed.append(self._made.popleft())
        return True

    def step(self) -> Moment:
        """Return the next step."""
        moment = next(self._moments)
        self.last_price = moment.trade.price
        return moment

    def move_book(self, moment: Moment, *, received_ns: int) -> BookSnapshot | BookDelta | None:
        """Move the book with a step; None where its message is lost, as the faults say."""
        if self._heal_in:
            self._heal_in -= 1
            if not self._heal_in:
                self.book.request_snapshot()
        every = self._settings.faults.gap_every
        if every and self._delta_count and self._delta_count % every == 0:
            self.book.lose_next()
        message = self.book.update(
            moment.bid, moment.ask, time_ns=moment.quote.time_ns, received_ns=received_ns
        )
        if message is None:
            self.heal()
        self._delta_count += not isinstance(message, BookSnapshot)
        return message

    def heal(self) -> None:
        """Send a snapshot a few steps from now, as a venue does after a gap."""
        self._heal_in = RECOVERY_STEPS

    def candles(self, interval: str, length_ns: int, *, end_ns: int, limit: int) -> list[Candle]:
        """Return up to `limit` closed candles with `close_ns <= end_ns`, oldest first.

        `length_ns` is a multiple of the shortest interval; candles are aligned to 1970.
        """
        first_ns, last_ns = self._span(length_ns, end_ns=end_ns, limit=limit)
        short = self._between(first_ns, last_ns)
        per_candle = length_ns // self._interval_ns
        if per_candle == 1:
            return short
        whole = len(short) // per_candle * per_candle
        short = short[len(short) - whole :]
        return [joined(short[i : i + per_candle], interval) for i in range(0, whole, per_candle)]

    def makes_past(self, length_ns: int, *, end_ns: int, limit: int) -> bool:
        """Make a part of the past that `candles` would need; return False once all is there."""
        first_ns, _ = self._span(length_ns, end_ns=end_ns, limit=limit)
        if not self._past.has_fewer_than(self._past_count(first_ns)):
            return False
        self._past.extend()
        return True

    def _between(self, first_ns: int, last_ns: int) -> list[Candle]:
        """Return the shortest candles that open from `first_ns` on and close by `last_ns`."""
        inside = takewhile(lambda candle: candle.open_ns >= first_ns, reversed(self._closed))
        candles = [*self._past.newest(self._past_count(first_ns)), *list(inside)[::-1]]
        return [candle for candle in candles if candle.close_ns <= last_ns]

    def _span(self, length_ns: int, *, end_ns: int, limit: int) -> tuple[int, int]:
        newest_ns = self._closed[-1].close_ns if self._closed else self._origin_ns
        last_ns = min(end_ns, newest_ns) // length_ns * length_ns
        return last_ns - limit * length_ns, last_ns

    def _past_count(self, first_ns: int) -> int:
        """Return how many candles lie between `first_ns` and the origin."""
        return (self._origin_ns - first_ns) // self._interval_ns

    def _endless(self) -> Iterator[Moment]:
        per_candle = self._interval_ns // self._step_ns
        block = per_candle * max(1, BLOCK_STEPS // per_candle)
        while True:
            steps = self._process.take(block)
            self._made.extend(
                candles_of(
                    steps,
                    self._market,
                    interval=self._settings.candle_interval,
                    length_ns=self._interval_ns,
                    per_candle=per_candle,
                )
            )
            for start in range(0, block, BLOCK_STEPS):
                yield from self._moments_of(part_of(steps, start, start + BLOCK_STEPS))

    def _moments_of(self, steps: Steps) -> Iterator[Moment]:
        bids = zip(steps.bid_ticks.tolist(), steps.bid_lots.tolist(), strict=True)
        asks = zip(steps.ask_ticks.tolist(), steps.ask_lots.tolist(), strict=True)
        quotes, trades = quotes_of(steps, self._market), trades_of(steps, self._market)
        return map(Moment, quotes, trades, bids, asks)
