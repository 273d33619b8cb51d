"""Something on the quieter public channels: markets that come and go, lookups, RFQs."""

from collections import deque
from contextlib import suppress
from itertools import count

from adapters.kalshi.simulated.domain import (
    CONTRACT,
    DOLLAR,
    EventInfo,
    Market,
    Refusal,
    Rfq,
    SelectedLeg,
    SeriesInfo,
)
from adapters.kalshi.simulated.exchange import Exchange

_SERIES = "KXPULSE"
_PAIR_SERIES = "KXPULSEPAIR"
_COLLECTION = "KXPULSEPAIR-C"
_PAIR_EVENT = "KXPULSEPAIR-E"
_PAIR = "KXPULSEPAIR-E-1"
_FINISHED_KEPT = 20
_RFQ_CONTRACTS = 100 * CONTRACT
_SPREAD = 200  # what a quote asks for on both sides together: 2 cents


def is_news(market: Market) -> bool:
    """Whether a market is one of those that `BackgroundNews` plays with; nobody quotes them."""
    return market.event_ticker.startswith(_SERIES)


class BackgroundNews:
    """Takes one step on each of these channels per `beat`."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        self._exchange = exchange
        self._account = account  # it asks for quotes, and quotes
        self._numbers = count(1)
        self._stage = 0
        self._ticker = ""
        self._finished: deque[str] = deque()
        self._rfq: Rfq | None = None
        self._quoted: dict[str, None] = {}  # RFQs that have a quote of ours
        for series in (_SERIES, _PAIR_SERIES):
            exchange.lifecycle.create_series(SeriesInfo(ticker=series, title="The simulator's own"))
        pair = EventInfo(event_ticker=_PAIR_EVENT, series_ticker=_PAIR_SERIES, title="Two at once")
        exchange.lifecycle.create_event(pair, is_multivariate=True)

    def beat(self) -> None:
        """Take the next steps."""
        self._advance_market()
        self._look_up_pair()
        self._ask_for_quotes()
        self._answer_rfqs()

    def _advance_market(self) -> None:
        """Take the next of nine steps in the life of a market of our own."""
        stages = (
            self._create,
            lambda: self._exchange.lifecycle.pause(self._ticker),
            lambda: self._exchange.lifecycle.activate(self._ticker),
            lambda: self._exchange.lifecycle.change_metadata(self._ticker, floor_strike=10.5),
            lambda: self._exchange.lifecycle.change_price_structure(self._ticker, "deci_cent"),
            lambda: self._exchange.lifecycle.change_event_fee(self._event_ticker, "flat", 0.5),
            lambda: self._exchange.lifecycle.close(self._ticker),
            lambda: self._exchange.lifecycle.determine(self._ticker, "yes"),
            self._finish,
        )
        try:
            stages[self._stage]()
        except Refusal:  # somebody else had a hand in it: begin with another one
            self._stage = 0
        else:
            self._stage = (self._stage + 1) % len(stages)

    @property
    def _event_ticker(self) -> str:
        return self._ticker.rpartition("-")[0]

    def _create(self) -> None:
        self._ticker = f"{_SERIES}-{next(self._numbers)}-A"
        lifecycle = self._exchange.lifecycle
        event = EventInfo(event_ticker=self._event_ticker, series_ticker=_SERIES, title="A pulse")
        lifecycle.create_event(event)
        lifecycle.create_market(Market(ticker=self._ticker, event_ticker=event.event_ticker))

    def _finish(self) -> None:
        self._exchange.lifecycle.settle(self._ticker)
        self._finished.append(self._ticker)
        if len(self._finished) > _FINISHED_KEPT:
            self._exchange.lifecycle.forget(self._finished.popleft())

    def _look_up_pair(self) -> None:
        """Look up a market that combines two others, and pause it or resume it."""
        lifecycle = self._exchange.lifecycle
        legs = tuple(
            SelectedLeg(market.event_ticker, market.ticker, "yes")
            for market in self._exchange.data.markets()[:2]
            if not market.is_multivariate
        )
        pair = lifecycle.look_up(_COLLECTION, _PAIR_EVENT, _PAIR, legs)
        with suppress(Refusal):  # somebody has ended it
            (lifecycle.pause if pair.status == "active" else lifecycle.activate)(_PAIR)

    def _ask_for_quotes(self) -> None:
        """Ask for quotes on an open market, and withdraw that at the next beat."""
        communications = self._exchange.communications
        if self._rfq:
            communications.delete_rfq(self._account, self._rfq.rfq_id)
            self._rfq = None
            return
        tickers = [m.ticker for m in self._exchange.data.markets() if m.status == "active"]
        is_running = self._exchange.is_exchange_active and self._exchange.is_trading_active
        if tickers and is_running:
            ticker = tickers[next(self._numbers) % len(tickers)]
            self._rfq = communications.create_rfq(self._account, ticker, contracts=_RFQ_CONTRACTS)

    def _answer_rfqs(self) -> None:
        """Quote what others ask for, and trade on the quotes that they accept."""
        communications = self._exchange.communications
        rfqs = {rfq.rfq_id: rfq for rfq in communications.rfqs() if rfq.is_open}
        self._quoted = {rfq_id: None for rfq_id in self._quoted if rfq_id in rfqs}
        for rfq in rfqs.values():
            if rfq.account != self._account and rfq.rfq_id not in self._quoted:
                self._quoted[rfq.rfq_id] = None
                self._quote(rfq)
        for quote in communications.quotes(self._account):
            if quote.status == "accepted" and quote.account == self._account:
                with suppress(Refusal):  # the other party cannot pay, or there is no trading
                    communications.confirm_quote(self._account, quote.quote_id)

    def _quote(self, rfq: Rfq) -> None:
        """Bid for both outcomes, around the middle of the market."""
        ticker = self._exchange.data.ticker(rfq.market_ticker)
        cent = DOLLAR // 100
        middle = (ticker.yes_bid + ticker.yes_ask) // 2 // cent * cent
        yes_bid = max(cent, middle - _SPREAD // 2)
        no_bid = max(cent, DOLLAR - middle - _SPREAD // 2)
        self._exchange.communications.create_quote(
            self._account, rfq.rfq_id, yes_bid=yes_bid, no_bid=no_bid
        )
