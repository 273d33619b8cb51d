"""Public reads: exchange status, markets, books, trades, candles, events, series.

They read the exchange itself, so they agree with every frame of the same instant (S8).
"""

from collections.abc import Callable, Iterable, Sequence

from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Market, MarketStatus, Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.market_bodies import (
    Body,
    book_body,
    candle_body,
    event_body,
    market_body,
    series_body,
    trade_body,
)
from adapters.kalshi.simulated.paging import newest_first, take_page

LARGEST_EVENT_PAGE = 200
MOST_TICKERS = 100  # of one request for several books or candles
DEEPEST = 100  # levels of a book
PERIODS = (1, 60, 1_440)  # minutes of a candle

STATUS_FILTERS: dict[str, tuple[MarketStatus, ...]] = {
    "unopened": ("initialized",),
    "open": ("active",),
    "paused": ("inactive",),
    "closed": ("closed", "determined", "disputed", "amended"),
    "settled": ("finalized",),
}


class MarketReads:
    """What everybody may read."""

    def __init__(self, exchange: Exchange, profile: Profile) -> None:
        self._exchange = exchange
        self._data = exchange.data
        self._profile = profile

    def routes(self) -> list[Route]:
        """Return the routes; newer venues want to know who reads a book."""
        is_current = self._profile is Profile.CURRENT
        candles = "/series/{series_ticker}/markets/{ticker}/candlesticks"
        return [
            _get("/exchange/status", self.status),
            _get("/markets", self.markets),
            _get("/markets/trades", self.trades),
            _get("/markets/candlesticks", self.many_candles),
            _get("/markets/orderbooks", self.books, is_private=True),
            _get("/markets/{ticker}", self.market),
            _get("/markets/{ticker}/orderbook", self.book, is_private=is_current),
            _get(candles, self.candles),
            _get("/events", self.events),
            _get("/events/{event_ticker}", self.event),
            _get("/series", self.all_series),
            _get("/series/{series_ticker}", self.series),
            _get("/historical/markets", self.historical_markets),
            _get("/historical/markets/{ticker}", self.market),
            _get("/historical/trades", self.historical_trades),
        ]

    def status(self, call: Call) -> Answer:
        """Say whether the exchange is open; 503 with the same body when it is not."""
        is_active = self._exchange.is_exchange_active
        body = {
            "exchange_active": is_active,
            "trading_active": self._exchange.is_trading_active,
            "exchange_estimated_resume_time": None,
        }
        return Answer(body, 200 if is_active else 503)

    def markets(self, call: Call) -> Answer:
        """Return a page of the markets that pass the filters, in order of creation."""
        passes = self._filter(call)
        wanted = ((n, market) for n, market in enumerate(self._data.markets()) if passes(market))
        page = take_page(wanted, call.query)
        return Answer({"markets": self._bodies(page.items), "cursor": page.cursor})

    def market(self, call: Call) -> Answer:
        """Return one market."""
        return Answer({"market": self._body(self._data.market(call.parts["ticker"]))})

    def historical_markets(self, call: Call) -> Answer:
        """Return a page of the markets that were settled before the cutoff."""
        cutoff_ns = self._exchange.portfolio.historical_cutoff_ns
        wanted = (
            (number, market)
            for number, market in enumerate(self._data.markets())
            if market.settled_ns is not None and market.settled_ns < cutoff_ns
        )
        page = take_page(wanted, call.query)
        return Answer({"markets": self._bodies(page.items), "cursor": page.cursor})

    def book(self, call: Call) -> Answer:
        """Return both ladders of one market."""
        depth = call.number("depth") or 0
        if not 0 <= depth <= DEEPEST:
            raise Refusal(400, "invalid_parameters", f"depth must be from 0 to {DEEPEST}")
        return Answer(book_body(self._data.book(call.parts["ticker"], depth), self._profile))

    def books(self, call: Call) -> Answer:
        """Return both ladders of several markets."""
        books = [self._data.book(ticker) for ticker in several(call, "tickers")]
        return Answer(
            {
                "orderbooks": [
                    {"ticker": book.ticker, **book_body(book, self._profile)} for book in books
                ]
            }
        )

    def trades(self, call: Call) -> Answer:
        """Return a page of trades, newest first."""
        return self._trades(call, lambda time_ns: True)

    def historical_trades(self, call: Call) -> Answer:
        """Return a page of the trades before the cutoff, newest first."""
        cutoff_ns = self._exchange.portfolio.historical_cutoff_ns
        return self._trades(call, lambda time_ns: time_ns < cutoff_ns)

    def candles(self, call: Call) -> Answer:
        """Return the candles of one market."""
        ticker = call.parts["ticker"]
        event = self._data.event(self._data.market(ticker).event_ticker)
        if event.series_ticker != call.parts["series_ticker"]:
            raise Refusal(404, "not_found", f"{ticker} is not in that series")
        return Answer({"ticker": ticker, "candlesticks": self._candles(call, ticker)})

    def many_candles(self, call: Call) -> Answer:
        """Return the candles of several markets."""
        markets = [
            {"market_ticker": ticker, "candlesticks": self._candles(call, ticker)}
            for ticker in several(call, "market_tickers")
        ]
        return Answer({"markets": markets})

    def events(self, call: Call) -> Answer:
        """Return a page of the events that pass the filters, in order of creation."""
        series, statuses = call.text("series_ticker"), wanted_statuses(call)
        earliest_ns = call.time_ns("min_updated_ts") or 0
        earliest_close_ns = call.time_ns("min_close_ts")

        def passes(event_ticker: str, series_ticker: str, updated_ns: int) -> bool:
            if series not in ("", series_ticker) or updated_ns < earliest_ns:
                return False
            if statuses is None and earliest_close_ns is None:
                return True
            return any(
                (statuses is None or market.status in statuses)
                and (earliest_close_ns is None or market.close_ns >= earliest_close_ns)
                for market in self._data.markets_of(event_ticker)
            )

        wanted = (
            (number, event)
            for number, event in enumerate(self._data.events())
            if passes(event.event_ticker, event.series_ticker, event.updated_ns)
        )
        page = take_page(wanted, call.query, largest=LARGEST_EVENT_PAGE)
        bodies = [event_body(event) for event in page.items]
        if call.is_set("with_nested_markets"):
            for body in bodies:
                body["markets"] = self._markets_of(body["event_ticker"])
        return Answer({"events": bodies, "cursor": page.cursor})

    def event(self, call: Call) -> Answer:
        """Return one event and its markets."""
        body = event_body(self._data.event(call.parts["event_ticker"]))
        markets = self._markets_of(body["event_ticker"])
        if call.is_set("with_nested_markets"):
            body["markets"] = markets
        return Answer({"event": body, "markets": markets})

    def all_series(self, call: Call) -> Answer:
        """Return every series, or those of a category."""
        category = call.text("category")
        return Answer(
            {
                "series": [
                    series_body(series)
                    for series in self._data.all_series()
                    if category in ("", series.category)
                ]
            }
        )

    def series(self, call: Call) -> Answer:
        """Return one series."""
        return Answer({"series": series_body(self._data.series(call.parts["series_ticker"]))})

    def _body(self, market: Market) -> Body:
        return market_body(
            market,
            self._data.ticker(market.ticker),
            self._data.previous_ticker(market.ticker),
            volume_24h=self._data.volume_24h(market.ticker),
            profile=self._profile,
        )

    def _bodies(self, markets: Iterable[Market]) -> list[Body]:
        return [self._body(market) for market in markets]

    def _markets_of(self, event_ticker: str) -> list[Body]:
        return self._bodies(self._data.markets_of(event_ticker))

    def _trades(self, call: Call, is_wanted: Callable[[int], bool]) -> Answer:
        found = self._data.trades(
            call.text("ticker"), call.time_ns("min_ts"), call.time_ns("max_ts")
        )
        numbered = newest_first(found, len(found))
        page = take_page(
            ((number, trade) for number, trade in numbered if is_wanted(trade.time_ns)), call.query
        )
        bodies = [trade_body(trade, self._profile) for trade in page.items]
        return Answer({"trades": bodies, "cursor": page.cursor})

    def _candles(self, call: Call, ticker: str) -> list[Body]:
        start_s, end_s = call.number("start_ts"), call.number("end_ts")
        period = call.number("period_interval")
        if start_s is None or end_s is None or period is None:
            raise Refusal(400, "missing_parameters", "start_ts, end_ts and period_interval")
        if period not in PERIODS or start_s > end_s:
            raise Refusal(400, "invalid_parameters", "the period or the range is not possible")
        candles = self._data.candles(ticker, period, start_s, end_s)
        return [candle_body(candle, self._profile) for candle in candles]

    def _filter(self, call: Call) -> Callable[[Market], bool]:
        statuses, tickers = wanted_statuses(call), call.words("tickers")
        event, series = call.text("event_ticker"), call.text("series_ticker")
        kind = call.text("mve_filter")
        earliest_update_ns = call.time_ns("min_updated_ts") or 0

        def passes(market: Market) -> bool:
            if statuses is not None and market.status not in statuses:
                return False
            if tickers and market.ticker not in tickers:
                return False
            if event and market.event_ticker not in event.split(","):
                return False
            if series and self._data.event(market.event_ticker).series_ticker != series:
                return False
            if kind in ("only", "exclude") and market.is_multivariate != (kind == "only"):
                return False
            return (
                market.updated_ns >= earliest_update_ns
                and call.is_within(market.created_ns, "created_ts")
                and call.is_within(market.close_ns, "close_ts")
                and call.is_within(market.settled_ns or 0, "settled_ts")
            )

        return passes


def wanted_statuses(call: Call) -> set[MarketStatus] | None:
    """Return the market statuses that the filter names, in its own words; None: all.

    Raises:
        Refusal: it has other words.
    """
    words = call.words("status")
    if not words:
        return None
    if unknown := [word for word in words if word not in STATUS_FILTERS]:
        raise Refusal(400, "invalid_parameters", f"there is no status {unknown[0]!r}")
    return {status for word in words for status in STATUS_FILTERS[word]}


def several(call: Call, name: str) -> Sequence[str]:
    """Return the tickers of a request for several markets.

    Raises:
        Refusal: there is none, or there are too many.
    """
    tickers = call.words(name)
    if not tickers:
        raise Refusal(400, "missing_parameters", f"{name} is needed")
    if len(tickers) > MOST_TICKERS:
        raise Refusal(400, "invalid_parameters", f"at most {MOST_TICKERS} {name}")
    return tickers


def _get(path: str, handle: Callable[[Call], Answer], *, is_private: bool = False) -> Route:
    return Route(method="GET", path=path, handle=handle, is_private=is_private)
