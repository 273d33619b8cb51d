"""A small exchange for tests, on a clock that is turned by hand."""

from random import Random
from typing import Any, TypeVar

from adapters.kalshi.simulated.domain import (
    CONTRACT,
    DOLLAR_OF_MONEY,
    EventInfo,
    Market,
    NewOrder,
    Order,
    Position,
    SeriesInfo,
)
from adapters.kalshi.simulated.emitted import ExchangeEvent
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from tests.fakes import ManualClock

START_NS = 1_770_000_000_000_000_000
SECOND_NS = 1_000_000_000
BOS, NYC = "KXRAIN-26NOV21-BOS", "KXRAIN-26NOV21-NYC"
EVENT = "KXRAIN-26NOV21"
E = TypeVar("E")


class Rig:
    """Members `ann`, `ben` and `cy` with 1 000 dollars each; two markets of one event."""

    def __init__(self, *, fee_type: str = "quadratic", **settings: Any) -> None:
        self.clock = ManualClock(START_NS)
        members = ("ann", "ben", "cy")
        self.exchange = Exchange(
            self.clock,
            Random(7),
            ExchangeSettings(
                accounts=tuple(
                    AccountSettings(name=name, cash=1_000 * DOLLAR_OF_MONEY) for name in members
                ),
                series=(SeriesInfo(ticker="KXRAIN", fee_type=fee_type),),
                events=(EventInfo(event_ticker=EVENT, series_ticker="KXRAIN"),),
                markets=tuple(Market(ticker=name, event_ticker=EVENT) for name in (BOS, NYC)),
                **settings,
            ),
        )
        self.events: list[ExchangeEvent] = []
        self.exchange.listen(self.events.append)

    def buy(self, account: str, price: float, contracts: float, **fields: Any) -> Order:
        """Bid on Boston: `price` in cents, `contracts` whole."""
        return self.submit(account, "yes", price, contracts, **fields)

    def sell(self, account: str, price: float, contracts: float, **fields: Any) -> Order:
        """Offer Boston at a yes price in cents, by buying no."""
        return self.submit(account, "no", price, contracts, **fields)

    def submit(
        self, account: str, side: str, price: float, contracts: float, **fields: Any
    ) -> Order:
        request = {"ticker": BOS, "side": side, "action": "buy", **fields}
        return self.exchange.orders.submit(
            account,
            NewOrder(price=round(price * 100), count=round(contracts * CONTRACT), **request),
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, and forget what was emitted before."""
        self.events.clear()
        self.clock.advance_to(self.clock.now_ns + round(seconds * SECOND_NS))

    def of(self, kind: type[E]) -> list[E]:
        """What was emitted of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def order(self, order: Order) -> Order:
        """An order as it is now."""
        return self.exchange.portfolio.order(order.account, order.order_id)

    def position(self, account: str) -> Position:
        """What an account holds of Boston."""
        return self.exchange.portfolio.position(account, BOS)

    def cents(self, account: str) -> float:
        """An account's cash in cents, against what it began with."""
        cash = self.exchange.portfolio.balance(account).cash
        return (cash - 1_000 * DOLLAR_OF_MONEY) / 10_000

    def levels(self, ticker: str = BOS) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Both ladders in cents of their own leg and whole contracts."""
        book = self.exchange.data.book(ticker)
        yes, no = (
            [(price // 100, count // CONTRACT) for price, count in ladder]
            for ladder in (book.yes, book.no)
        )
        return yes, no
