"""What a member can read of its own orders, fills, positions and money."""

from collections.abc import Collection

from adapters.kalshi.simulated.domain import (
    DOLLAR,
    Balance,
    Fill,
    Order,
    Position,
    Settlement,
)
from adapters.kalshi.simulated.floor import Floor

_SECOND_NS = 1_000_000_000


class Portfolio:
    """Reads, newest first; an account that nobody has is refused with 401."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    @property
    def historical_cutoff_ns(self) -> int:
        """Ended orders and fills from before this time are historical."""
        return self._floor.clock.now_ns - self._floor.settings.history_after_s * _SECOND_NS

    def balance(self, account: str) -> Balance:
        """Return an account's money."""
        member = self._floor.accounts[account]
        value = sum(
            self._value(ticker, position.position)
            for ticker, position in member.positions.items()
            if position.position
        )
        return Balance(member.available, member.cash, value, self._floor.clock.now_ns)

    def position(self, account: str, ticker: str) -> Position:
        """Return what an account holds in a market; all zero where it never traded."""
        return self._floor.accounts[account].position(ticker)

    def positions(self, account: str) -> list[Position]:
        """Return what an account holds, and held, in order of its first trades."""
        return list(self._floor.accounts[account].positions.values())

    def order(self, account: str, order_id: str) -> Order:
        """Return an order. Raises Refusal 404."""
        return self._floor.accounts[account].order(order_id)

    def order_by_client_id(self, account: str, client_order_id: str) -> Order | None:
        """Return the order to which its owner gave this id, or None."""
        return self._floor.accounts[account].order_by_client_id(client_order_id)

    def orders(self, account: str, *, is_historical: bool = False) -> list[Order]:
        """Return an account's orders; what ended before the cutoff only on request."""
        cutoff_ns = self.historical_cutoff_ns
        return [
            order
            for order in reversed(self._floor.accounts[account].orders.values())
            if (order.status != "resting" and order.updated_ns < cutoff_ns) is is_historical
        ]

    def fills(self, account: str, *, is_historical: bool = False) -> list[Fill]:
        """Return an account's fills; those before the cutoff only on request."""
        cutoff_ns = self.historical_cutoff_ns
        return [
            fill
            for fill in reversed(self._floor.accounts[account].fills)
            if (fill.time_ns < cutoff_ns) is is_historical
        ]

    def settlements(self, account: str) -> list[Settlement]:
        """Return what settled markets paid."""
        return list(reversed(self._floor.accounts[account].settlements))

    def queue_positions(
        self, account: str, tickers: Collection[str] = ()
    ) -> list[tuple[Order, int]]:
        """Return resting orders with the count that trades before each at its price.

        `tickers` empty: of all markets.
        """
        return [
            (order, self._floor.market(ticker).book.queue_ahead(order.order_id))
            for ticker, orders in self._floor.accounts[account].resting.items()
            if not tickers or ticker in tickers
            for order in orders.values()
        ]

    def _value(self, ticker: str, position: int) -> int:
        """A position at the last price."""
        price = self._floor.market(ticker).ticker.price
        return position * price if position > 0 else -position * (DOLLAR - price)
