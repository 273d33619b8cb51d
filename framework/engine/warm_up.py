"""Joins history and live candles of one run: history first, every candle once, no silent hole.

While history is on its way the subscriber is held: live events wait in its bounded queues. The
join is by time: a live candle that history held already is left out. Where the first live one
does not follow on, the hole is fetched again, and told by `GapDetected` if it stays.
"""

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from framework.bus.subscriber import Handler, Subscriber
from framework.model.events import GapDetected
from framework.model.market_data import Candle

Series = tuple[str, str]
"""An instrument and an interval."""

FetchHistory = Callable[[str, str, int], Awaitable[list[Candle]]]
"""Returns up to so many closed candles of a series before now, oldest first."""


class WarmUp:
    """One run's history; `start` is set by the runtime and has `fetch` run in a task."""

    def __init__(self, history: FetchHistory, publish: Callable[[GapDetected], None]) -> None:
        self.start: Callable[[], None] = lambda: None
        self.ask_history = history
        self._publish = publish
        self._subscriber: Subscriber | None = None
        self._wanted: list[tuple[Series, int]] = []
        self._is_fetching = False
        self._until_ns: dict[Series, int] = {}  # where history ends
        self._unjoined: set[Series] = set()  # no live candle has come yet
        self._stopped_at: dict[Series, Candle] = {}  # live candles behind a hole
        self._handed_out: dict[int, Candle] = {}  # history, by identity

    def ask(self, subscriber: Subscriber, instrument: str, interval: str, count: int) -> None:
        """Hold the run until the last `count` candles have been handed to it."""
        if self._subscriber is None:
            self._subscriber = subscriber
            subscriber.wrap(Candle, self._joining)
        self._want((instrument, interval), count)

    def is_history(self, event: Any) -> bool:
        """Whether an event was fetched, and did not come live."""
        return id(event) in self._handed_out

    async def fetch(self) -> None:
        """Fetch what was asked for, hand it out and let the run go on."""
        candles: list[Candle] = []
        live: list[Candle] = []
        while self._wanted:
            series, count = self._wanted.pop(0)
            stopped_at = self._stopped_at.pop(series, None)
            candles += self._news(series, await self.ask_history(*series, count), stopped_at)
            if stopped_at is not None:
                live.append(stopped_at)
                self._tell_hole(series, stopped_at)
        self._is_fetching = False
        candles.sort(key=attrgetter("time_ns"))
        self._handed_out = {id(candle): candle for candle in candles}
        if self._subscriber is not None:
            self._subscriber.release([*candles, *live])

    def _want(self, series: Series, count: int) -> None:
        self._wanted.append((series, count))
        if self._subscriber is not None:
            self._subscriber.hold()
        if not self._is_fetching:
            self._is_fetching = True
            self.start()

    def _news(
        self, series: Series, history: list[Candle], stopped_at: Candle | None
    ) -> list[Candle]:
        """Return what of `history` the run has not had, and note where it ends."""
        known_ns = self._until_ns.get(series)
        news = [
            candle
            for candle in history
            if (known_ns is None or candle.open_ns >= known_ns)
            and (stopped_at is None or candle.close_ns <= stopped_at.open_ns)
        ]
        if news:
            self._until_ns[series] = news[-1].close_ns
            if stopped_at is None:
                self._unjoined.add(series)
        return news

    def _joining(self, handler: Handler) -> Handler:
        def on_candle(candle: Candle) -> Any:
            return None if self._is_left_out(candle) else handler(candle)

        return on_candle

    def _is_left_out(self, candle: Candle) -> bool:
        """Whether a candle is a repeat, or has to wait for what is missing before it."""
        if id(candle) in self._handed_out:
            return False
        series = (candle.instrument, candle.interval)
        until_ns = self._until_ns.get(series)
        if until_ns is None:
            return False
        if candle.open_ns < until_ns:
            return True
        if series not in self._unjoined:
            return False
        self._unjoined.discard(series)
        missing = _missing_count(candle, until_ns)
        if missing:
            self._stopped_at[series] = candle
            self._want(series, missing)
        return missing > 0

    def _tell_hole(self, series: Series, candle: Candle) -> None:
        until_ns = self._until_ns[series]
        if candle.open_ns > until_ns:
            instrument, interval = series
            stream = f"candles {interval}"
            self._publish(
                GapDetected(instrument, stream, until_ns, candle.open_ns, candle.received_ns)
            )


def _missing_count(candle: Candle, until_ns: int) -> int:
    """Return how many candles lie between `until_ns` and `candle`, where that can be told."""
    if candle.interval.endswith(("t", "v")):
        return 0  # ticks and volume: nothing happened between them
    return (candle.open_ns - until_ns) // (candle.close_ns - candle.open_ns)
