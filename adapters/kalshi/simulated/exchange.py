"""The exchange behind the simulated venue: domain only, no JSON, no sockets.

    exchange.orders          submit, amend, decrease, cancel            orders.py
    exchange.groups          order groups                               groups.py
    exchange.lifecycle       create, open, pause, ... settle markets    lifecycle.py
    exchange.data            books, tickers, trades, candles, events    market_data.py
    exchange.portfolio       orders, fills, positions, balances         portfolio.py
    exchange.communications  RFQs and quotes                            communications.py

Every call is one step, to completion. What it does is told to the listeners while it is done
(`emitted.py`); a listener must not call back into what changes the exchange. A call that the
exchange refuses raises `Refusal` and has no effect. Reads return frozen structs, and never
contradict each other or what was emitted (S8). The same seed, clock and calls emit the same
events (S16).
"""

from collections.abc import Callable
from random import Random

from adapters.kalshi.simulated.accounts import Accounts
from adapters.kalshi.simulated.admission import Admission
from adapters.kalshi.simulated.block_trades import BlockTrades
from adapters.kalshi.simulated.communications import Communications
from adapters.kalshi.simulated.emitted import ExchangeEvent
from adapters.kalshi.simulated.exchange_settings import ExchangeSettings
from adapters.kalshi.simulated.executions import Executions
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.group_limits import GroupLimits
from adapters.kalshi.simulated.groups import Groups
from adapters.kalshi.simulated.lifecycle import Lifecycle
from adapters.kalshi.simulated.market_data import MarketData
from adapters.kalshi.simulated.orders import Orders
from adapters.kalshi.simulated.past_candles import past_candles
from adapters.kalshi.simulated.portfolio import Portfolio
from framework.interfaces import Clock

_SECOND_NS = 1_000_000_000


class Exchange:
    """Builds the parts around what they share, and lists the markets of the settings."""

    def __init__(self, clock: Clock, random: Random, settings: ExchangeSettings) -> None:
        self.settings = settings
        self.clock = clock
        self._floor = Floor(clock, random, settings)
        limits = GroupLimits(settings.group_window_s)
        executions = Executions(self._floor, limits)
        admission = Admission(self._floor, limits)
        blocks = BlockTrades(self._floor, admission, executions)
        self.orders = Orders(self._floor, admission, executions)
        self.groups = Groups(self._floor, limits, executions)
        self.lifecycle = Lifecycle(self._floor, executions)
        self.data = MarketData(self._floor)
        self.portfolio = Portfolio(self._floor)
        self.communications = Communications(self._floor, admission, blocks)
        for series in settings.series:
            self.lifecycle.create_series(series)
        for event in settings.events:
            self.lifecycle.create_event(event)
        for market in settings.markets:
            self.lifecycle.create_market(market)
            if settings.past_minutes:
                self._remember_past(market.ticker, random)

    def _remember_past(self, ticker: str, random: Random) -> None:
        now_ns = self.clock.now_ns
        past = past_candles(random, now_ns // _SECOND_NS, self.settings.past_minutes)
        self._floor.market(ticker).candles.add_past(past, now_ns)

    def listen(self, on_event: Callable[[ExchangeEvent], None]) -> None:
        """Call `on_event` with everything that happens from now on, in order."""
        self._floor.listen(on_event)

    @property
    def accounts(self) -> Accounts:
        """The members."""
        return self._floor.accounts

    @property
    def is_exchange_active(self) -> bool:
        """Whether the exchange is open at all."""
        return self._floor.is_exchange_active

    @property
    def is_trading_active(self) -> bool:
        """Whether orders are taken."""
        return self._floor.is_trading_active
