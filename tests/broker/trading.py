"""How the simulator's orders come to trade: at once, in parts, late, at a price, by somebody."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.broker.protocol import Submit
from tests.broker.truth import BUY, SELL, TrueOrder

if TYPE_CHECKING:
    from tests.broker.server import Server

STEP = Decimal("0.5")
LOWEST = Decimal(50)
SPREAD = Decimal(1)


class Trading:
    """Moves prices and fills orders by the script, and lets the server tell of it."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._busy: dict[str, int] = {}  # orders with parts still to come, by venue order id
        self._timers: list[asyncio.TimerHandle] = []
        self._foreign_count = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is due but what prices bring."""
        return not self._timers

    def stop(self) -> None:
        """Let nothing that is due happen any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._busy.clear()

    def begin(self, order: TrueOrder) -> None:
        """Trade an order as far as prices allow; what may not wait is cancelled."""
        server = self._server
        if not order.is_working or order.venue_order_id in self._busy:
            return
        if not server.books.may_trade(order):
            if order.time_in_force in ("ioc", "fok"):
                server.books.end(order, server.now_ns, "nothing to trade with")
                server.push_order(order)
            return
        script, chances = server.script, server.chances
        parts = chances.count(2, script.most_parts) if self._is_partial() else 1
        first_ms = script.part_ms if chances.happens(script.late) else 0
        for number in range(parts):
            self._after(first_ms + number * script.part_ms, order, parts - number)

    def race(self, order: TrueOrder) -> None:
        """Fill a part, or all, of an order that is just being cancelled or changed."""
        server = self._server
        if not order.is_held_back and server.chances.happens(server.script.cancel_race):
            self._fill(order, server.chances.count(1, 2))

    def move_price(self) -> None:
        """Move the next symbol by a step, and trade what that brings."""
        server = self._server
        symbols = list(server.books.prices)
        symbol = symbols[server.chances.count(0, len(symbols) - 1)]
        bid, _ = server.books.prices[symbol]
        bid = max(LOWEST, bid + STEP * server.chances.count(-2, 2))
        self.set_price(symbol, bid, bid + SPREAD)
        if server.chances.happens(server.script.foreign):
            self._interfere(symbol)

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        """Set a symbol's prices, tell them, and trade what they touch."""
        server = self._server
        server.books.set_price(symbol, bid, ask)
        server.push_price(symbol)
        for order in server.books.fillable(symbol):
            self.begin(order)

    def trade_as_somebody(
        self,
        account: str,
        symbol: str,
        side: str,
        quantity: Decimal,
        price: Decimal | None = None,
        client_id: str = "",
    ) -> str:
        """Send an order on the account by hand; return its venue order id."""
        server = self._server
        kind = "market" if price is None else "limit"
        wish = Submit(0, client_id, symbol, side, kind, quantity, price)
        order = server.books.submit(account, wish, server.now_ns)
        server.push_order(order)
        self.begin(order)
        return order.venue_order_id

    def bust(self, execution_id: str) -> None:
        """Take an execution back."""
        server = self._server
        execution = server.books.bust(execution_id, server.now_ns)
        server.push_execution(execution)
        server.push_order(execution.order)

    def correct(self, execution_id: str, quantity: Decimal, price: Decimal) -> None:
        """Change what an execution was."""
        server = self._server
        execution = server.books.correct(execution_id, quantity, price, server.now_ns)
        server.push_execution(execution)
        server.push_order(execution.order)

    def _interfere(self, symbol: str) -> None:
        chances = self._server.chances
        self._foreign_count += 1
        side = (BUY, SELL)[chances.count(0, 1)]
        account = self._server.books.accounts()[0]
        price = None if chances.count(0, 1) else LOWEST if side == BUY else LOWEST * 100
        name = f"somebody-{self._foreign_count}" if chances.count(0, 1) else ""
        self.trade_as_somebody(account, symbol, side, Decimal("0.05"), price, name)

    def _is_partial(self) -> bool:
        server = self._server
        return server.script.most_parts > 1 and server.chances.happens(server.script.partial)

    def _after(self, delay_ms: float, order: TrueOrder, parts: int) -> None:
        """Fill one of `parts` of what remains, after a while or now."""
        if not delay_ms:
            self._fill(order, parts)
            return
        name = order.venue_order_id
        self._busy[name] = self._busy.get(name, 0) + 1

        def due() -> None:
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]
            if self._server.books.may_trade(order):
                self._fill(order, parts)

        self._call_later(delay_ms, due)

    def _fill(self, order: TrueOrder, parts: int) -> None:
        server = self._server
        if not order.is_working:
            return
        execution = server.books.fill(order, _share(order.remaining, parts), server.now_ns)
        server.push_execution(execution)
        server.push_order(order)
        if server.chances.happens(server.script.bust):
            name = execution.execution_id
            self._call_later(server.script.bust_ms, lambda: self.bust(name))

    def _call_later(self, delay_ms: float, work: Callable[[], None]) -> None:
        timer: asyncio.TimerHandle

        def due() -> None:
            self._timers.remove(timer)
            work()

        timer = asyncio.get_running_loop().call_later(delay_ms / 1000, due)
        self._timers.append(timer)


def _share(remaining: Decimal, parts: int) -> Decimal:
    """Return about one of so many parts, in whole units of the last digit, at least one unit."""
    exponent = remaining.as_tuple().exponent
    assert isinstance(exponent, int)
    unit = Decimal(1).scaleb(exponent)
    return max(unit, (remaining / parts // unit) * unit)
