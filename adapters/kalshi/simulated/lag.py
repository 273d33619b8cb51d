"""Portfolio reads that lag behind writes, as the venue's do.

A copy of each account's orders, fills, positions and money takes in what the exchange emits only
once it is older than the lag.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol

from adapters.kalshi.simulated.domain import (
    Balance,
    Fill,
    Order,
    Position,
    Refusal,
    Settlement,
)
from adapters.kalshi.simulated.emitted import (
    ExchangeEvent,
    Filled,
    OrderChanged,
    PositionChanged,
    Settled,
)
from adapters.kalshi.simulated.exchange import Exchange
from framework.interfaces import Clock

Private = OrderChanged | Filled | PositionChanged | Settled
MILLISECOND_NS = 1_000_000


class PortfolioReads(Protocol):
    """What the exchange's own portfolio and its late copy can both be asked; newest first."""

    def balance(self, account: str) -> Balance: ...
    def positions(self, account: str) -> Sequence[Position]: ...
    def orders(self, account: str, *, is_historical: bool = False) -> Sequence[Order]: ...
    def order(self, account: str, order_id: str) -> Order: ...
    def fills(self, account: str, *, is_historical: bool = False) -> Sequence[Fill]: ...
    def settlements(self, account: str) -> Sequence[Settlement]: ...


class LaggingReads:
    """Portfolio reads as of `lag_ms` ago, which may be changed at any time.

    Only `accounts` are copied: those that have somebody to read them.
    """

    def __init__(
        self, exchange: Exchange, clock: Clock, accounts: Collection[str], lag_ms: int = 0
    ) -> None:
        self.lag_ms = lag_ms
        self._exchange = exchange
        self._clock = clock
        self._copy = _Copy(exchange, accounts)
        self._pending: deque[tuple[int, Private, Balance]] = deque()
        self._accounts = accounts
        exchange.listen(self._note)

    @property
    def as_of_ns(self) -> int:
        """The moment whose state is read."""
        return self._clock.now_ns - self.lag_ms * MILLISECOND_NS

    def now(self) -> PortfolioReads:
        """Return what a read that comes now may see."""
        if not self.lag_ms:
            return self._exchange.portfolio
        self._catch_up()
        return self._copy

    def _note(self, event: ExchangeEvent) -> None:
        if isinstance(event, Private) and event.account in self._accounts:
            balance = self._exchange.portfolio.balance(event.account)
            self._pending.append((self._clock.now_ns, event, balance))
            self._catch_up()

    def _catch_up(self) -> None:
        as_of_ns = self.as_of_ns
        while self._pending and self._pending[0][0] <= as_of_ns:
            _, event, balance = self._pending.popleft()
            self._copy.take(event, balance)


class _Copy:
    """What each account looked like at some moment."""

    def __init__(self, exchange: Exchange, accounts: Collection[str]) -> None:
        self._exchange = exchange
        self._balances = {name: exchange.portfolio.balance(name) for name in accounts}
        self._orders: dict[str, dict[str, Order]] = {name: {} for name in accounts}
        self._fills: dict[str, list[Fill]] = {name: [] for name in accounts}
        self._positions: dict[str, dict[str, Position]] = {name: {} for name in accounts}
        self._settlements: dict[str, list[Settlement]] = {name: [] for name in accounts}

    def take(self, event: Private, balance: Balance) -> None:
        """Let it have happened, and the account have this much money after it."""
        self._balances[event.account] = balance
        match event:
            case OrderChanged(account, order):
                self._orders[account][order.order_id] = order
            case Filled(account, fill):
                self._fills[account].append(fill)
            case PositionChanged(account, position):
                self._positions[account][position.ticker] = position
            case Settled(account, settlement):
                self._settlements[account].append(settlement)

    def balance(self, account: str) -> Balance:
        return self._balances[account]

    def positions(self, account: str) -> list[Position]:
        return list(self._positions[account].values())

    def orders(self, account: str, *, is_historical: bool = False) -> list[Order]:
        cutoff_ns = self._exchange.portfolio.historical_cutoff_ns
        return [
            order
            for order in reversed(self._orders[account].values())
            if is_historical == (order.status != "resting" and order.updated_ns < cutoff_ns)
        ]

    def order(self, account: str, order_id: str) -> Order:
        try:
            return self._orders[account][order_id]
        except KeyError as error:
            raise Refusal(404, "not_found", f"there is no order {order_id}") from error

    def fills(self, account: str, *, is_historical: bool = False) -> list[Fill]:
        cutoff_ns = self._exchange.portfolio.historical_cutoff_ns
        return [
            fill
            for fill in reversed(self._fills[account])
            if is_historical == (fill.time_ns < cutoff_ns)
        ]

    def settlements(self, account: str) -> list[Settlement]:
        return self._settlements[account][::-1]
