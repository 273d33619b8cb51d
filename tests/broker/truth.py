"""The broker's own books: orders, executions, cash and positions, exact to the last digit.

Independent of the framework: nothing is imported from it, arithmetic traps every rounding, and
cash and positions are kept as running sums that `audit` works out again from the executions.
"""

from collections.abc import Callable, Iterator
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

import msgspec

from tests.broker.protocol import BalanceRow, ExecutionRow, OrderRow, PositionRow, Submit

EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
ZERO = Decimal(0)
WORKING, FILLED, CANCELLED, REJECTED = "working", "filled", "cancelled", "rejected"
BUY, SELL = "buy", "sell"


class TrueOrder(msgspec.Struct):
    """One order; `is_ours` is false where a person or another program sent it."""

    venue_order_id: str
    client_id: str
    account: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    created_ns: int
    changed_ns: int
    filled: Decimal = ZERO
    status: str = WORKING
    reason: str = ""
    revision: int = 0
    is_triggered: bool = False
    is_reduce_only: bool = False

    @property
    def is_working(self) -> bool:
        """Whether it may still trade."""
        return self.status == WORKING

    @property
    def remaining(self) -> Decimal:
        """What is not filled."""
        return EXACT.subtract(self.quantity, self.filled)

    @property
    def is_held_back(self) -> bool:
        """Whether it is a stop that has not been touched."""
        return self.stop_price is not None and not self.is_triggered

    def row(self) -> OrderRow:
        """Return what the broker says of it."""
        return OrderRow(
            venue_order_id=self.venue_order_id,
            client_id=self.client_id,
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            filled=self.filled,
            status=self.status,
            time_ns=self.changed_ns,
            revision=self.revision,
            price=self.price,
            stop_price=self.stop_price,
            reason=self.reason,
        )


class TrueExecution(msgspec.Struct):
    """One execution: `quantity` is zero once it was busted."""

    execution_id: str
    order: TrueOrder
    quantity: Decimal
    price: Decimal
    fee: Decimal
    time_ns: int
    is_corrected: bool = False

    def row(self, currency: str) -> ExecutionRow:
        """Return what the broker says of it."""
        return ExecutionRow(
            execution_id=self.execution_id,
            venue_order_id=self.order.venue_order_id,
            client_id=self.order.client_id,
            symbol=self.order.symbol,
            side=self.order.side,
            quantity=self.quantity,
            price=self.price,
            fee=self.fee,
            currency=currency,
            time_ns=self.time_ns,
            is_corrected=self.is_corrected,
        )


class Received(msgspec.Struct, frozen=True):
    """One command as it arrived, before anything was done about it."""

    time_ns: int
    account: str
    verb: str
    client_id: str


class NoOrder(Exception):
    """There is nothing to cancel or change; the text is the reason."""


class Books:
    """Holds the truth; every change is one call. Not a network in sight.

    Attributes:
        orders: every order ever accepted or rejected, oldest first, by venue order id.
        received: every command that arrived, lost ones included.
        on_change: called with each order after it came, ended, changed or traded.
    """

    def __init__(
        self,
        *,
        cash: dict[str, Decimal],
        currency: str = "USD",
        fee_rate: Decimal = Decimal("0.001"),
    ) -> None:
        self.currency = currency
        self.orders: dict[str, TrueOrder] = {}
        self.executions: dict[str, TrueExecution] = {}
        self.received: list[Received] = []
        self.on_change: Callable[[TrueOrder], None] = _ignore
        self.prices: dict[str, tuple[Decimal, Decimal]] = {}
        self._opening = dict(cash)
        self._fee_rate = fee_rate
        self._cash = dict(cash)
        self._positions: dict[tuple[str, str], Decimal] = {}
        self._newest: dict[tuple[str, str], TrueOrder] = {}  # by account and client id
        self._working: dict[str, TrueOrder] = {}

    # -- what was asked --------------------------------------------------------------------------

    def submit(self, account: str, wish: Submit, now_ns: int, *, reject: str = "") -> TrueOrder:
        """Take an order in, or reject it; a client id seen before makes one more order."""
        order = TrueOrder(
            venue_order_id=f"V{len(self.orders) + 1}",
            client_id=wish.client_id,
            account=account,
            symbol=wish.symbol,
            side=wish.side,
            type=wish.type,
            quantity=wish.quantity,
            price=wish.price,
            stop_price=wish.stop_price,
            time_in_force=wish.time_in_force,
            created_ns=now_ns,
            changed_ns=now_ns,
            is_reduce_only=wish.reduce_only,
        )
        self.orders[order.venue_order_id] = order
        if wish.client_id:
            self._newest[account, wish.client_id] = order
        reason = reject or self._fault(order)
        if reason:
            order.status, order.reason = REJECTED, reason
        else:
            self._working[order.venue_order_id] = order
        self.on_change(order)
        return order

    def find(self, account: str, client_id: str) -> TrueOrder | None:
        """Return the newest order of that client id."""
        return self._newest.get((account, client_id))

    def working_order(self, account: str, client_id: str) -> TrueOrder:
        """Return the working order of that client id. Raises NoOrder."""
        order = self.find(account, client_id)
        if order is None:
            raise NoOrder("unknown order")
        if not order.is_working:
            raise NoOrder(f"the order is {order.status}")
        return order

    def end(self, order: TrueOrder, now_ns: int, reason: str = "") -> None:
        """Cancel what is left of a working order."""
        order.status, order.reason, order.changed_ns = CANCELLED, reason, now_ns
        del self._working[order.venue_order_id]
        self.on_change(order)

    def change(
        self,
        order: TrueOrder,
        now_ns: int,
        *,
        revision: int,
        quantity: Decimal | None,
        price: Decimal | None,
        stop_price: Decimal | None,
    ) -> None:
        """Change a working order. Raises NoOrder: the new quantity is filled already."""
        if quantity is not None and quantity <= order.filled:
            raise NoOrder(f"{order.filled} is filled already")
        order.quantity = order.quantity if quantity is None else quantity
        order.price = order.price if price is None else price
        order.stop_price = order.stop_price if stop_price is None else stop_price
        order.revision, order.changed_ns = revision, now_ns
        self.on_change(order)

    # -- what happens ----------------------------------------------------------------------------

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        """Move a symbol's prices and wake the stops that they touch."""
        self.prices[symbol] = (bid, ask)
        for order in self._working.values():
            if order.symbol == symbol and order.is_held_back and self._touches(order, bid, ask):
                order.is_triggered = True

    def fillable(self, symbol: str) -> list[TrueOrder]:
        """Return the working orders that may trade at the symbol's prices, oldest first."""
        return [
            order
            for order in self._working.values()
            if order.symbol == symbol and self.may_trade(order)
        ]

    def may_trade(self, order: TrueOrder) -> bool:
        """Whether a working order may trade at the prices of now."""
        prices = self.prices.get(order.symbol)
        if not order.is_working or prices is None or order.is_held_back:
            return False
        if order.price is None:
            return True
        return order.price >= prices[1] if order.side == BUY else order.price <= prices[0]

    def fill(self, order: TrueOrder, quantity: Decimal, now_ns: int) -> TrueExecution:
        """Trade so much of an order at the prices of now, or at its limit where that is worse."""
        bid, ask = self.prices[order.symbol]
        if order.side == BUY:
            price = ask if order.price is None else min(ask, order.price)
        else:
            price = bid if order.price is None else max(bid, order.price)
        quantity = min(quantity, order.remaining)
        fee = EXACT.multiply(EXACT.multiply(quantity, price), self._fee_rate)
        execution = TrueExecution(
            f"E{len(self.executions) + 1}", order, quantity, price, fee, now_ns
        )
        self.executions[execution.execution_id] = execution
        order.filled = EXACT.add(order.filled, quantity)
        order.changed_ns = now_ns
        if order.remaining == ZERO:
            order.status = FILLED
            del self._working[order.venue_order_id]
        self._book(order, quantity, price, fee)
        self.on_change(order)
        return execution

    def correct(
        self, execution_id: str, quantity: Decimal, price: Decimal, now_ns: int
    ) -> TrueExecution:
        """Change what an execution was; its order goes on as it is, or is filled by it."""
        execution = self.executions[execution_id]
        order = execution.order
        self._book(order, -execution.quantity, execution.price, -execution.fee)
        order.filled = EXACT.subtract(order.filled, execution.quantity)
        execution.quantity, execution.price = quantity, price
        execution.fee = EXACT.multiply(EXACT.multiply(quantity, price), self._fee_rate)
        execution.is_corrected, execution.time_ns = True, now_ns
        self._book(order, quantity, price, execution.fee)
        order.filled = EXACT.add(order.filled, quantity)
        order.changed_ns = now_ns
        if order.is_working and order.remaining == ZERO:
            order.status = FILLED
            del self._working[order.venue_order_id]
        elif order.status == FILLED and order.remaining:
            order.status = CANCELLED
        return execution

    def bust(self, execution_id: str, now_ns: int) -> TrueExecution:
        """Take an execution back; its order does not work again."""
        execution = self.executions[execution_id]
        order = execution.order
        if not execution.is_corrected:
            self._book(order, -execution.quantity, execution.price, -execution.fee)
            order.filled = EXACT.subtract(order.filled, execution.quantity)
            execution.quantity = execution.fee = ZERO
            execution.is_corrected, execution.time_ns = True, now_ns
            if order.is_working:
                self.end(order, now_ns, "an execution was busted")
            else:
                order.status, order.changed_ns = CANCELLED, now_ns
        return execution

    # -- what is asked ---------------------------------------------------------------------------

    def working_orders(self, account: str) -> list[TrueOrder]:
        """Return the working orders of an account, oldest first."""
        return [order for order in self._working.values() if order.account == account]

    def executions_since(self, account: str, since_ns: int) -> list[TrueExecution]:
        """Return the executions made or corrected since then, oldest first."""
        return [
            execution
            for execution in self.executions.values()
            if execution.order.account == account and execution.time_ns >= since_ns
        ]

    def positions(self, account: str) -> tuple[PositionRow, ...]:
        """Return what an account holds, flat symbols left out."""
        return tuple(
            PositionRow(symbol, quantity)
            for (owner, symbol), quantity in self._positions.items()
            if owner == account and quantity
        )

    def accounts(self) -> list[str]:
        """Return every account."""
        return list(self._cash)

    def balances(self, account: str) -> tuple[BalanceRow, ...]:
        """Return an account's cash."""
        return (BalanceRow(self.currency, self._cash.get(account, ZERO)),)

    # -- what a test asks ------------------------------------------------------------------------

    def sent_twice(self) -> list[str]:
        """Return the client ids of which more than one submit arrived: the worst that can be."""
        seen: dict[str, int] = {}
        for note in self.received:
            if note.verb == "submit":
                seen[note.client_id] = seen.get(note.client_id, 0) + 1
        return [client_id for client_id, count in seen.items() if count > 1]

    def audit(self) -> None:
        """Work cash and positions out again from the executions. Raises AssertionError."""
        cash, positions = dict(self._opening), dict.fromkeys(self._positions, ZERO)
        filled = dict.fromkeys(self.orders, ZERO)
        for execution in self.executions.values():
            order = execution.order
            signed = execution.quantity if order.side == BUY else -execution.quantity
            key = (order.account, order.symbol)
            positions[key] = EXACT.add(positions[key], signed)
            value = EXACT.add(EXACT.multiply(signed, execution.price), execution.fee)
            cash[order.account] = EXACT.subtract(cash[order.account], value)
            name = order.venue_order_id
            filled[name] = EXACT.add(filled[name], execution.quantity)
        assert cash == self._cash
        assert positions == self._positions
        assert filled == {name: order.filled for name, order in self.orders.items()}
        assert list(self._working) == [n for n, order in self.orders.items() if order.is_working]

    def _book(self, order: TrueOrder, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        signed = quantity if order.side == BUY else -quantity
        key = (order.account, order.symbol)
        self._positions[key] = EXACT.add(self._positions.get(key, ZERO), signed)
        value = EXACT.add(EXACT.multiply(signed, price), fee)
        self._cash[order.account] = EXACT.subtract(self._cash[order.account], value)

    def _fault(self, order: TrueOrder) -> str:
        """Return why an order cannot be taken, or ""."""
        if order.symbol not in self.prices:
            return f"unknown symbol {order.symbol}"
        if order.side not in (BUY, SELL) or order.quantity <= ZERO:
            return "malformed"
        if order.account not in self._cash:
            return f"unknown account {order.account}"
        return ""

    def _touches(self, order: TrueOrder, bid: Decimal, ask: Decimal) -> bool:
        assert order.stop_price is not None
        return ask >= order.stop_price if order.side == BUY else bid <= order.stop_price

    def __iter__(self) -> Iterator[TrueOrder]:
        """Yield every order, oldest first."""
        return iter(self.orders.values())


def _ignore(order: TrueOrder) -> None:
    """Be told of nothing."""
