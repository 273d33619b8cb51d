"""Traders in the background: quotes around a wandering price, cancels, and now and then a trade."""

from random import Random

from adapters.binance.simulated.domain import NOBODY
from adapters.binance.simulated.exchange import Exchange, NewOrder
from adapters.binance.simulated.market import Market

MOST_RESTING = 60  # orders per symbol
SPAN_TICKS = 20


class Activity:
    """Acts on every market once per step; all of it is a function of the seed."""

    def __init__(self, exchange: Exchange, random: Random) -> None:
        self._exchange = exchange
        self._random = random
        self._count = 0

    def step(self) -> None:
        """Do one thing in each market."""
        for market in self._exchange.markets.values():
            self._act(market)

    def _act(self, market: Market) -> None:
        resting = self._exchange.open_orders(NOBODY, market.listing.symbol)
        draw = self._random.random()
        if len(resting) >= MOST_RESTING or (draw < 0.25 and resting):
            self._exchange.cancel(self._random.choice(resting))
        elif draw < 0.35 and resting:
            self._place(market, "MARKET", 0)
        else:
            self._quote(market)

    def _quote(self, market: Market) -> None:
        """Add to one side, near the last price; it may cross and trade."""
        is_buy = self._random.random() < 0.5
        away = self._random.randint(-1, SPAN_TICKS) * market.listing.tick
        price = market.last_price - away if is_buy else market.last_price + away
        self._place(market, "LIMIT", max(price, market.listing.tick), is_buy=is_buy)

    def _place(self, market: Market, kind: str, price: int, *, is_buy: bool | None = None) -> None:
        listing = market.listing
        self._count += 1
        least = listing.least_quantity
        if price:
            least = max(least, -(-listing.least_value * 100_000_000 // price))
        steps = -(-least // listing.step) + self._random.randint(0, 1_000)
        self._exchange.place(
            NewOrder(
                account=NOBODY,
                client_id=f"background-{self._count}",
                symbol=listing.symbol,
                is_buy=self._random.random() < 0.5 if is_buy is None else is_buy,
                type=kind,
                quantity=steps * listing.step,
                price=price,
            )
        )
