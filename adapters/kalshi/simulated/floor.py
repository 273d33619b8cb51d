"""What every part of the exchange shares: time, members, markets, and the way out for events."""

from collections.abc import Callable
from random import Random

from adapters.kalshi.simulated.accounts import Account, Accounts
from adapters.kalshi.simulated.domain import DOLLAR, EventInfo, Order, Refusal, SeriesInfo
from adapters.kalshi.simulated.emitted import ExchangeEvent, LevelChanged, OrderChanged
from adapters.kalshi.simulated.exchange_settings import ExchangeSettings
from adapters.kalshi.simulated.identity import UuidSource
from adapters.kalshi.simulated.traded_market import TradedMarket
from framework.interfaces import Clock


class Floor:
    """State without rules of its own."""

    def __init__(self, clock: Clock, random: Random, settings: ExchangeSettings) -> None:
        self.clock = clock
        self.settings = settings
        self.make_id = UuidSource(random)
        self.accounts = Accounts(settings, self.make_id)
        self.series: dict[str, SeriesInfo] = {}
        self.events: dict[str, EventInfo] = {}
        self.markets: dict[str, TradedMarket] = {}
        self.is_exchange_active = True
        self.is_trading_active = True
        self.touched: dict[str, TradedMarket] = {}  # by the request that is under way
        self._listeners: list[Callable[[ExchangeEvent], None]] = []

    def listen(self, on_event: Callable[[ExchangeEvent], None]) -> None:
        """Call `on_event` with everything that happens from now on."""
        self._listeners.append(on_event)

    def emit(self, event: ExchangeEvent) -> None:
        """Tell everyone who listens."""
        for on_event in self._listeners:
            on_event(event)

    def market(self, ticker: str) -> TradedMarket:
        """Return a market, whatever its status. Raises Refusal 404."""
        market = self.markets.get(ticker)
        if market is None:
            raise Refusal(404, "market_not_found", f"no market {ticker!r}")
        return market

    def event(self, event_ticker: str) -> EventInfo:
        """Return an event. Raises Refusal 404."""
        event = self.events.get(event_ticker)
        if event is None:
            raise Refusal(404, "not_found", f"no event {event_ticker!r}")
        return event

    def put_order(self, account: Account, order: Order) -> None:
        """Keep an order as it is now and tell its owner."""
        account.put_order(order)
        if not account.is_background:
            self.emit(OrderChanged(account.name, order))

    def change_level(self, market: TradedMarket, order: Order, change: int) -> None:
        """Tell that `order` added to, or took from, what rests at its price."""
        self.touched[order.ticker] = market
        side = order.outcome_side
        price = order.yes_price if side == "yes" else DOLLAR - order.yes_price
        self.emit(
            LevelChanged(
                ticker=order.ticker,
                market_id=market.market.market_id,
                side=side,
                price=price,
                change=change,
                size=market.change_level(side, price, change),
                owner=order.account,
                client_order_id=order.client_order_id,
                subaccount=order.subaccount,
                time_ns=self.clock.now_ns,
            )
        )
